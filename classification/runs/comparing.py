"""Two runs on the same cases: the difference of every metric with its interval over patients, and exact tests."""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from classification.cases import finder
from classification.voting import predictions
from classification.voting.refusal import REFUSED
from cxr.errors import BadData
from cxr.run import caselist
from cxr.stats import bootstrap, paired, resampled

KEY = ["folder", "case"]
OVERALL = {"accuracy": "accuracy", "f1": "macro F1", "auroc": "macro AUROC", "brier": "Brier score (less is better)"}


class Run(NamedTuple):
    """The labelled cases that a run has predicted, with every seed; a row for each case and seed."""

    name: str
    place: Path  # folder of its predictions.csv
    rows: pd.DataFrame
    classes: list[str]
    refused: set[tuple[str, str]]  # the cases, by KEY, that it refused, with any of its seeds

    @property
    def seeds(self) -> list[str]:
        return sorted(self.rows.seed.unique())

    @property
    def seen(self) -> set[tuple[str, str]]:
        """The cases, by KEY, that any of its networks was trained on."""
        told = self.rows.get(caselist.NAME, pd.Series("", self.rows.index))
        return _keys(self.rows[told.isin(["train", "val"])])

    def only(self, keys: Container) -> "Run":
        """The same run on these cases alone."""
        kept = [key in keys for key in zip(self.rows.folder, self.rows.case, strict=True)]
        return self._replace(rows=self.rows[kept])


def read(given: str | Path) -> Run:
    """The run of a folder with predictions.csv, or of such a file. Raises BadData."""
    place = Path(given)
    rows, classes = predictions.read(place)
    rows = rows.sort_values(["seed", *KEY])
    per_seed = rows.groupby("seed").size()
    if per_seed.nunique() > 1:
        raise BadData(f"{place} holds {per_seed.to_dict()} cases of its seeds; finish the runs of all seeds first.")
    refused = _keys(rows[rows.status == REFUSED])
    rows = rows[(rows.status == "ok") & (rows.label != "")]
    rows = rows[rows.groupby(KEY).seed.transform("size") == len(per_seed)]  # a seed may refuse what another answers
    if not len(rows):
        raise BadData(f"{place} has no predicted case with a label: there is nothing to compare.")
    return Run(str(given), place if place.is_dir() else place.parent, rows.reset_index(drop=True), classes, refused)


def pair(a: Run, b: Run, common: bool) -> tuple[Run, Run, list[str]]:
    """Both runs on the cases that they share, with the patients of a, and notes. Raises BadData for other classes,
    labels or cases."""
    if set(a.classes) != set(b.classes):
        told = "; ".join(f"{run.name} knows {', '.join(run.classes)}" for run in (a, b))
        raise BadData(f"the runs know different classes: {told}.")
    keys = [_keys(run.rows) for run in (a, b)]
    told = "; ".join(
        f"{run.name} refused {len(lost)} cases that {other.name} answered ({_some(lost)})"
        for run, other in ((a, b), (b, a))
        if (lost := run.refused & _keys(other.rows))
    )
    if told and not common:
        raise BadData(
            f"the runs are of different cases: {told}; leave them out with --common, or predict with refuse=0."
        )
    shared = set(paired.match(*keys, (a.name, b.name), common))
    a, b = a.only(shared), b.only(shared)
    about = [run.rows.drop_duplicates(KEY).set_index(KEY).sort_index() for run in (a, b)]
    other = about[0].index[about[0].label.to_numpy() != about[1].label.to_numpy()]
    if len(other):
        raise BadData(f"the runs disagree on the label of {len(other)} cases: {_some(other)}. Use one table for both.")
    notes = [f"{len(shared)} cases that both hold, of {len(keys[0])} and {len(keys[1])}"] if common else []
    notes += [f"{told}: they are left out"] if told else []
    moved = int((about[0].patient.to_numpy() != about[1].patient.to_numpy()).sum())
    if moved:
        notes.append(f"{moved} cases have another patient in {b.name}; those of {a.name} count")
    for run in (a, b):
        if caselist.NAME not in run.rows:
            notes.append(f"{run.name} is of an older version and does not tell which cases its network was trained on")
            continue
        if run.seen:
            what = "results look better than they are"
            notes.append(f"{len(run.seen)} of {len(shared)} cases were trained on by the network of {run.name}: {what}")
        if (run.rows[caselist.NAME] == caselist.UNKNOWN).any():
            notes.append(caselist.untold(run.name))
    noted = [one.get("digest", pd.Series("", one.index)) for one in about]
    if other := int(((noted[0] != noted[1]) & (noted[0] != "") & (noted[1] != "")).sum()):
        notes.append(f"{other} of {len(shared)} cases were predicted from other pairs of the same name in {b.name}")
    patient = about[0].patient
    rows = b.rows.assign(patient=patient.loc[list(zip(b.rows.folder, b.rows.case, strict=True))].to_numpy())
    return a, b._replace(rows=rows, classes=a.classes), notes


def unseen(a: Run, b: Run) -> tuple[Run, Run] | None:
    """A pair on the cases that neither network was trained on; None where these are all, or none."""
    rest = _keys(a.rows)
    for run in (a, b):
        rest -= _keys(run.rows[run.rows.get(caselist.NAME, pd.Series("", run.rows.index)) != ""])
    return (a.only(rest), b.only(rest)) if 0 < len(rest) < len(_keys(a.rows)) else None


def _keys(rows: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(rows.folder, rows.case, strict=True))


def _some(keys: Iterable[tuple[str, str]]) -> str:
    return finder.some("/".join(key) for key in keys)


def resample(run: Run, count: int, seed: int) -> dict:
    """resampled.metrics(); two runs on the same cases get the same resamples of patients, and of as many seeds too."""
    truth, predicted, p, patients = predictions.columns(run.rows, run.classes)
    member, training = (pd.factorize(values)[0] for values in (patients, run.rows.seed))
    return resampled.metrics(truth, predicted, p, member, count, seed, training)


def differences(a: Run, b: Run, resamples: int = bootstrap.RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """A row a metric: metric, class, label, a, b, difference (b - a), low, high.

    The metrics are accuracy and the sensitivity of each class, with intervals of paired shares (paired.py), and macro
    F1 and AUROC and the Brier score, with those of a paired bootstrap over patients, NaN where no resample differs.
    Several seeds of a run count by the mean of their metrics; then every interval comes from the bootstrap, over seeds
    and patients.
    """
    values = [resample(run, resamples, seed) for run in (a, b)]
    single = len(a.seeds) == len(b.seeds) == 1
    cases, rows = right(a, b), []
    for key in [*OVERALL, *(("sensitivity", c) for c in range(len(a.classes)))]:
        if key not in values[0]:
            continue  # no case of that class
        first, second = (each[key] for each in values)
        gap = second - first
        metric, name = (key, "") if isinstance(key, str) else (key[0], a.classes[key[1]])
        if single and metric in ("accuracy", "sensitivity"):
            among = cases[cases.label == name] if name else cases
            low, high = paired.share_interval((among.b - among.a).to_numpy(), among.patient.to_numpy())
        else:
            low, high = bootstrap.bounds(gap[1:]) if np.nan_to_num(gap).any() else (np.nan, np.nan)
        label = f"sensitivity, {name}" if name else OVERALL[key]
        row = {"metric": metric, "class": name, "label": label, "a": first[0], "b": second[0]}
        rows.append(row | {"difference": gap[0], "low": low, "high": high})
    return pd.DataFrame(rows)


def right(a: Run, b: Run) -> pd.DataFrame:
    """A row a case: label, patient, and the share of its seeds' answers that are right, in columns a and b."""
    about = a.rows.drop_duplicates(KEY).set_index(KEY)[["label", "patient"]]
    shares = [(run.rows.predicted == run.rows.label).groupby([run.rows[k] for k in KEY]).mean() for run in (a, b)]
    return about.assign(a=shares[0], b=shares[1])


def tests(a: Run, b: Run) -> dict[str, dict]:
    """McNemar's exact test over cases and over patients (paired.sign_test): which run has the greater share right, of a
    case over its seeds, and of a patient over the cases."""
    cases = right(a, b)
    patients = cases.groupby("patient")[["a", "b"]].mean()
    return {
        unit: paired.sign_test(rows.a.to_numpy(), rows.b.to_numpy())
        for unit, rows in (("cases", cases), ("patients", patients))
    }


def about(run: Run) -> dict:
    """What compare.json tells of a run: its weights by the report.json beside its predictions. Raises BadData."""
    told = {"run": run.name, "weights": predictions.beside(Path(run.name), "report.json").get("weights")}
    return told | {"accuracy_by_seed": by_seed(run), caselist.NAME: len(run.seen)}


def by_seed(run: Run) -> dict[str, float]:
    """The accuracy of each seed's training."""
    return (run.rows.predicted == run.rows.label).groupby(run.rows.seed).mean().round(6).to_dict()
