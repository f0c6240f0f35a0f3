"""Is the answer outside the lung? What a random forest predicts from numbers that hold no lung.

Eight numbers of the original radiograph, of which none sees the lung, and what the table of patients tells, accuse the
data where they predict the class: a network may then have learned the hospital (Maguolo and Nanni 2020; DeGrave,
Janizek and Lee 2021). Four numbers of sharpness are of the middle of the equalised image, which holds lung: they show
how much the way of copying may tell, and accuse nobody. Forests (Breiman 2001) are tested in 5 folds, by patient.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from classification.trust import numbers, probe
from classification.trust.part import Figure, Part
from classification.trust.subject import Subject
from cxr.stats import bootstrap, paired, proportion, scores

TITLE = "Is the answer outside the lung?"
MEANS = (
    "If numbers without any lung predict the class, the classes differ in how and where radiographs were made, and a "
    "network may have learned that."
)
NO_LUNG = {"outside": "8 numbers outside the lung", "metadata": "metadata"}
FOLDS, TREES, LEAST = 5, 100, 4  # LEAST: patients of a class below which nothing is tested
MARGIN = 0.05  # by which a probe must beat the greatest class, at the lower end of its interval, to accuse
RUN = "the run"


class Answer(NamedTuple):
    """What a probe, or the run, says of those cases that it knows: rows of the subject, and their probabilities."""

    rows: np.ndarray
    predicted: np.ndarray
    p: np.ndarray


def measure(subject: Subject) -> Part:
    """The part "outside" of the audit: accuracy and macro F1 of each probe and of the run, and what they have in
    common with the greatest class; the table has each class's sensitivity too."""
    measured = numbers.measure(subject)
    told, unknown = numbers.metadata(subject)
    probes = {"outside": measured[[*numbers.OUTSIDE]], "metadata": told, "sharpness": measured[[*numbers.SHARPNESS]]}
    found = {NO_LUNG.get(key, key): answer(subject, table) for key, table in probes.items()}
    missing = _missing(subject, probes, found, unknown)
    found = {name: one for name, one in found.items() if one is not None}
    if subject.predictions is not None:
        p = subject.predictions[[f"p_{name}" for name in subject.names]].to_numpy(float)
        predicted = np.array([subject.names.index(name) for name in subject.predictions.predicted])
        found[RUN] = Answer(np.arange(len(p)), predicted, p / p.sum(1, keepdims=True))

    figures, table = _accuracies(subject, found)
    suspects = [found[name] for name in NO_LUNG.values() if name in found]
    accused = any(excess(subject, one, 1 - 0.05 / len(suspects)) > MARGIN for one in suspects) if suspects else None
    lead = _lead(subject, found) if suspects and RUN in found else None
    verdict = _verdict(figures, lead, accused)
    return Part("outside", TITLE, MEANS, [*figures, lead] if lead else figures, verdict, accused, missing, table)


def answer(subject: Subject, table: pd.DataFrame) -> Answer | None:
    """What a forest says from a table of numbers, of cases whose patient it did not see; None where there are fewer
    than two classes, or a class with too few patients."""
    rows = np.flatnonzero(table.notna().all(axis=1)) if table.shape[1] else np.zeros(0, int)
    label, patient, values = subject.label[rows], subject.patient[rows], table.to_numpy(float)[rows]
    patients = [len(set(patient[label == c])) for c in np.unique(subject.label)]  # of every class, also a lost one
    if len(patients) < 2 or min(patients) < LEAST:
        return None
    forest = RandomForestClassifier(TREES, random_state=subject.seed % 2**32)
    p = np.zeros((len(rows), len(subject.names)))
    told = probe.out_of_fold(values, label, patient, subject.seed % 2**32, forest.fit, min(FOLDS, *patients))
    p[:, : told.shape[1]] = told
    return Answer(rows, p.argmax(1), p)


def excess(subject: Subject, one: Answer, level: float) -> float:
    """The lower end, at some level, of by how much a probe is right more often than who always says the greatest class
    (over patients, on the same resamples)."""
    label = subject.label[one.rows]
    more = (one.predicted == label) - 1.0 * (label == np.bincount(label).argmax())
    return bootstrap.mean_interval(more, subject.patient[one.rows], level=level)[0]


def _accuracies(subject: Subject, found: dict[str, Answer]) -> tuple[list[Figure], pd.DataFrame]:
    figures, rows = [], []
    for name, one in found.items():
        patient = subject.patient[one.rows]
        told = scores.classification(subject.label[one.rows], one.predicted, one.p, subject.names, patient)
        wanted = {"accuracy": told["overall"]["accuracy"], "macro F1": told["overall"]["f1"]}
        wanted |= {f"sensitivity of {c}": row["sensitivity"] for c, row in told["per_class"].items()}
        for metric, entry in wanted.items():
            bounds = [entry[key] for key in ("value", "low", "high")]
            rows.append([name, metric, *bounds, told["cases"], told["patients"]])
            if metric in ("accuracy", "macro F1"):
                figures.append(Figure(f"{metric}: {name}", *bounds, told["cases"], told["patients"]))
    label, count = subject.label, len(set(subject.patient))
    shares = np.bincount(label) / len(label)
    greatest, chance = label == shares.argmax(), shares[label]
    for name, right, over in (
        ("greatest class", greatest, proportion.of_cases),
        ("chance", chance, bootstrap.mean_interval),
    ):
        bounds = [float(np.mean(right)), *over(right, subject.patient)]
        figures.append(Figure(f"accuracy: {name}", *bounds, len(label), count))
        rows.append([name, "accuracy", *bounds, len(label), count])
    return figures, pd.DataFrame(rows, columns=["probe", "metric", "value", "low", "high", "cases", "patients"])


def _lead(subject: Subject, found: dict[str, Answer]) -> Figure:
    """By how much the run is right more often than the best probe that sees no lung."""
    right = {name: one.predicted == subject.label[one.rows] for name, one in found.items()}
    best = max((name for name in NO_LUNG.values() if name in found), key=lambda name: right[name].mean())
    rows = found[best].rows
    more, patient = right[RUN][rows] - 1.0 * right[best], subject.patient[rows]
    bounds = float(more.mean()), *paired.share_interval(more, patient)
    return Figure(f"accuracy of the run above that of {best}", *bounds, len(rows), len(set(patient)))


def _verdict(figures: list[Figure], lead: Figure | None, accused: bool | None) -> str:
    of = {one.name.removeprefix("accuracy: "): one for one in figures if one.name.startswith("accuracy: ")}
    probes = [of[name] for name in NO_LUNG.values() if name in of]
    if not probes:
        return "No probe without lung could be tested."
    best = max(probes, key=lambda one: one.value)
    told = f"{best.name.removeprefix('accuracy: ')} alone predict{'s' * (best is of.get('metadata'))} the class of "
    told = f"{told[0].upper()}{told[1:]}{best.value:.0%} of the cases ({best.low:.0%} to {best.high:.0%}), "
    told += f"and the greatest class holds {of['greatest class'].value:.0%}"
    end = "a network can be right on these data without a lung" if accused else "no shortcut outside the lung was found"
    if lead:
        points = f"{100 * lead.value:.0f} points ({100 * lead.low:.0f} to {100 * lead.high:.0f})"
        end += f". The accuracy of the run less that of this probe is {points}"
    return f"{told}: {end}."


def _missing(subject: Subject, probes: dict, found: dict, unknown: list[str]) -> str:
    told, lost = [], int(probes["outside"].isna().any(axis=1).sum())
    if lost:
        told.append(
            f"{lost} of {len(subject.cases)} original radiographs cannot be read; with them where masks.csv says, "
            "these cases could be tested."
        )
    if unknown:
        told.append(
            f"{', '.join(unknown)}: unknown for more than a fifth of a class; a table of patients with "
            f"{'it' if len(unknown) == 1 else 'them'} (file_metadata) would allow the test."
        )
    patients = [len(set(subject.patient[subject.label == c])) for c in np.unique(subject.label)]
    if len(patients) < 2 or min(patients) < LEAST:
        told.append(f"No probe can be trained: that takes two classes, and {LEAST} patients of each.")
    return " ".join(told)
