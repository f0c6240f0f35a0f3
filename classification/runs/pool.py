"""Pool the predictions of a cross-validation: every case by the networks that have not seen its patient."""

import hashlib
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd

from classification import inference
from classification.cases import finder
from classification.runs import folds
from classification.runs.folds import Run
from classification.voting import predictions, refusal
from cxr import tables, version, writing
from cxr.errors import BadData
from cxr.run import caselist, journal
from cxr.stats import scores


def predicted(run: Run) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a finished run's test cases, with fold and seed, and the names of the classes. Raises BadData where
    one of the cases has no row."""
    rows, names = predictions.read(run.output)
    found = finder.find([run.test])
    wanted = {(case.folder, case.case) for case in (*found.cases, *found.halves)}
    rows = rows[[key in wanted for key in zip(rows.folder, rows.case, strict=True)]]
    if len(rows) < len(wanted):
        raise BadData(
            f"{run.output / predictions.TABLE} lacks {len(wanted) - len(rows)} of the {len(wanted)} cases of "
            f"{run.test}; predict them: {shlex.join(['python', *run.command('classification/inference.py')[1:]])}"
        )
    if caselist.NAME not in rows:  # written by an older version
        seen, _ = caselist.seen(run.weights, map(finder.about, found.cases))
        other = caselist.unseen(run.weights)
        known = [seen.get(key, other) for key in zip(rows.folder, rows.case, strict=True)]
        rows = rows.assign(**{caselist.NAME: known})
    return rows.assign(fold=run.fold, seed=run.seed), names


def write(runs: Sequence[Run], settings, whole: int) -> dict[str, int]:
    """Write predictions.csv, metrics.json, the figures and report.json of finished runs to dir_save/<test_name>/; how
    many rows are ok, refused and failed. whole: how many runs the cross-validation has. Raises BadData."""
    output = Path(settings.dir_save) / settings.test_name
    tables_of, classes = zip(*map(predicted, runs), strict=True)
    names = classes[0]
    if any(other != names for other in classes):
        raise BadData(f"the runs of {output} know different classes; train them with the same classes.")
    rows = pd.concat(tables_of, ignore_index=True).sort_values(["seed", "fold", *journal.KEY], ignore_index=True)
    for name in inference.MEASURED:
        (output / name).unlink(missing_ok=True)
    journal.save(output / predictions.TABLE, rows)
    counts = {status: int((rows.status == status).sum()) for status in ("ok", refusal.REFUSED, "failed")}
    labelled = rows[rows.label != ""]
    with tables.used(f"report.json of a run of {output}"):
        made = about(runs, settings, counts)
    if (labelled.status == "ok").any():
        more = {"runs": {"pooled": len(runs), "of": whole}, "seeds": by_seed(labelled, names)}
        inference.measure(output, labelled, names, [str(run.test) for run in runs], more=more)
    writing.json(output / "report.json", made)
    return counts


def by_seed(rows: pd.DataFrame, names: list[str]) -> dict[str, dict]:
    """The metrics of each seed alone, with intervals over patients."""
    good = rows[rows.status == "ok"]
    return {str(seed): scores.classification(**inference.columns(own, names)) for seed, own in good.groupby("seed")}


def about(runs: Sequence[Run], settings, counts: dict) -> dict:
    """report.json: that of the first run, with the inputs, weights and seconds of all."""
    told = [folds.report(run) for run in runs]
    members = [one["weights"] for one in told]
    together = hashlib.sha256(" ".join(f"{r.name} {m['sha256']}" for r, m in zip(runs, members, strict=True)).encode())
    own = {"test_name": settings.test_name, "seeds": sorted({run.seed for run in runs})}
    return told[0] | {
        "command": " ".join(sys.argv),
        "project": version.about(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(sum(one["seconds"] or 0 for one in told), 1),
        "counts": counts,
        "weights": {
            "file": str(Path(settings.dir_checkpoint) / settings.test_name),
            "sha256": together.hexdigest(),  # other than an ensemble's of the same files, which answers otherwise
            "members": members,
        },
        "settings": told[0]["settings"] | own,
        "input": list(dict.fromkeys(str(run.test) for run in runs)),
    }
