"""Compare runs on the same cases: is one better, or is it chance?

    python classification/compare.py RUN_A RUN_B             folders with predictions.csv, or such files
    python classification/compare.py RUN_A RUN_B --common    only the cases that both hold
    python classification/compare.py FOLDER                  a table of all runs below a folder

Pairs the runs case by case. Writes the difference of every metric (B - A) with its 95 % interval over patients to
compare.csv and compare.png, and McNemar's exact test over cases and patients to compare.json. Where a network was
trained on some of the cases, the others are measured apart as well. Of several seeds the mean of their metrics counts,
with intervals over seeds and patients.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd

from classification.runs import comparing, overview
from cxr import version, writing
from cxr.errors import BadData
from cxr.figures import forest
from cxr.run import caselist
from cxr.stats import bootstrap


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two runs, or a folder with several")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: compare in the folder of RUN_B")
    parser.add_argument("--common", action="store_true", help="measure the cases that both hold")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: 0)")
    version.add_flag(parser)
    options = parser.parse_args()
    if len(options.runs) == 1:
        return tell_all(Path(options.runs[0]), Path(options.output or options.runs[0]))
    if len(options.runs) > 2:
        raise BadData("give two runs, or one folder with several below it.")
    a, b, notes = comparing.pair(*map(comparing.read, options.runs), options.common)
    for note in notes:
        print(f"Note: {note}.")
    output = Path(options.output) if options.output else b.place / "compare"
    about = {
        **{name: comparing.about(run) for name, run in (("a", a), ("b", b))},
        "resamples": bootstrap.RESAMPLES,
        "seed": options.seed,
        "project": version.about(),
    }
    print(f"A: {a.name}\nB: {b.name}")
    rest, beside = comparing.unseen(a, b), output / "compare_not_trained_on.csv"
    beside.unlink(missing_ok=True)  # of an earlier comparison
    table, found = measure(a, b, options.seed)
    title = f"{forest.named(a.name, b.name)}\n{found['cases']} cases of {found['patients']} patients"
    writing.csv(output / "compare.csv", table.drop(columns="label"))
    single = len(a.seeds) == len(b.seeds) == 1
    axis = f"Difference, B - A, with 95 % interval over {'patients' if single else 'seeds and patients'}"
    forest.differences([(axis, table)], output / "compare.png", title)
    if rest:
        print(f"\n{caselist.REST}:")
        table, found[caselist.REST] = measure(*rest, options.seed)
        writing.csv(beside, table.drop(columns="label"))
    writing.json(output / "compare.json", about | found)
    if single:
        print("How much another training with another seed would change is in none of these intervals.")
    print(f"Wrote {output}: compare.csv, {f'{beside.name}, ' if rest else ''}compare.json, compare.png.")


def measure(a: comparing.Run, b: comparing.Run, seed: int) -> tuple[pd.DataFrame, dict]:
    """The differences of two runs, and what compare.json tells of these cases; prints both."""
    table, tests = comparing.differences(a, b, seed=seed), comparing.tests(a, b)
    found = {"cases": len(a.rows) // len(a.seeds), "patients": a.rows.patient.nunique(), "mcnemar": tests}
    print(f"{found['cases']} cases of {found['patients']} patients")
    print(table.drop(columns=["metric", "class"]).round(3).to_string(index=False))
    for unit, test in tests.items():
        better = f"A in {test['better_a']}, B in {test['better_b']}"
        print(f"More often right, of the {unit}: {better}; McNemar's exact p = {test['p']:.3g}")
    print(verdict(table, tests))
    return table, found


def tell_all(folder: Path, output: Path) -> None:
    """Write and print the table of all runs below a folder."""
    table, notes = overview.table(folder)
    writing.csv(output / "runs.csv", table)
    for note in notes:
        print(f"Note: {note}.")
    print(table.round(3).to_string(index=False))
    print(f"Wrote {output / 'runs.csv'}. Next: python classification/compare.py RUN_A RUN_B, since single intervals do")
    print("not tell whether two runs differ, and the best of many looks better than it is.")


def verdict(table, tests: dict) -> str:
    """What the accuracy and its test over patients say."""
    row = table.iloc[0]
    if not (row.low > 0 or row.high < 0) or tests["patients"]["p"] >= 0.05:
        return "These cases do not show which run is more accurate."
    return f"{'B' if row.difference > 0 else 'A'} is more accurate on these cases; other hospitals were not asked."


if __name__ == "__main__":
    main()
