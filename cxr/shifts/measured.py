"""What both shift.py share: they measure case by case, keep what is measured, and write their tables at the end.

A journal beside the tables holds the rows of each measured case. An interrupted run goes on from it; a finished run
removes it.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr import writing
from cxr.reading.radiograph import legible
from cxr.run import journal
from cxr.run.engine import generator
from cxr.shifts import suite

CLEAN = "none"  # the name and kind of a case without a shift
UNFINISHED = "unfinished"  # names a table of which there is never more than its journal


def versions(shifts: Iterable[suite.Shift], pixels: np.ndarray, labels: np.ndarray, seed: int, case: str) -> Iterator:
    """Name, kind, pixels and labels of a radiograph as it is (CLEAN), and under each shift."""
    yield CLEAN, CLEAN, pixels, labels
    for shift in shifts:
        yield shift.name, shift.kind, *suite.shifted(shift, pixels, labels, generator(seed, "shift", shift.name, case))


def collect(output: Path, cases: Iterable[tuple], made: str, measure: Callable) -> tuple[list[dict], list[str]]:
    """The rows and faults of all cases, of which an interrupted run has measured some.

    cases: (folder, name, digest of its files, the case) of each; made: what weights, settings and shifts decide;
    measure(case) gives the rows and faults of one case. A case without rows, or made otherwise, is measured again.
    """
    table = output / UNFINISHED
    kept = {(r.folder, r.case, r.digest, r.made): r for r in journal.known(table, ()).itertuples()}
    rows, faults = [], []
    with journal.writer(table, 0) as write:
        for folder, name, digest, case in tqdm(list(cases), "cases"):
            key = legible(folder), legible(name), digest, made
            if key in kept:
                found, wrong = kept[key].rows, kept[key].faults
            else:
                found, wrong = measure(case)
                if found:
                    names = dict(zip((*journal.KEY, *journal.MARKS), key, strict=True))
                    write(names | {"rows": found, "faults": wrong})
            rows, faults = rows + found, faults + wrong
    return rows, faults


def write(output: Path, frame: pd.DataFrame, new: np.ndarray, summarise: Callable) -> pd.DataFrame:
    """Write shift.csv and its summary, which is returned; if the weights were trained on some of the cases and not on
    others, which are `new`, a bool a row, the summary of these too."""
    summary, rest = summarise(frame), output / "shift_summary_not_trained_on.csv"
    writing.csv(output / "shift.csv", frame)
    writing.csv(output / "shift_summary.csv", summary)
    rest.unlink(missing_ok=True)
    if 0 < new.sum() < len(frame):
        writing.csv(rest, summarise(frame[new]))
    return summary


def end(output: Path, summary: pd.DataFrame, faults: list[str]) -> None:
    """Throw the journal away, once everything is written, say what was, and end the script."""
    journal.clear(output / UNFINISHED)
    print(summary.round(3).to_string(index=False))
    for fault in faults:
        print(f"failed: {fault}")
    print(f"Wrote {output}: shift.csv, shift_summary.csv, report.json.")
    sys.exit(1 if faults else 0)
