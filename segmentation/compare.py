"""Compare two evaluations on the same cases: are these masks better, or is it chance?

    python segmentation/compare.py EVAL_A EVAL_B             folders with metrics.csv of evaluate.py, or such files
    python segmentation/compare.py EVAL_A EVAL_B --common    only the cases that both hold

Writes the mean difference of every metric (B - A) with its 95 % interval over patients and the p of Wilcoxon's
signed-rank test to compare.csv, draws it in compare.png, and notes the weights in compare.json. Where weights were
trained on some of the cases, the others are measured apart as well. A case is a patient unless metrics.csv has a
column patient.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import numpy as np
import pandas as pd

from cxr import tables, version, writing
from cxr.errors import BadData
from cxr.figures import forest
from cxr.run import caselist
from cxr.stats import bootstrap, paired

TEXT = ("case", caselist.NAME, "patient")
DISTANCES = ("hausdorff", "surface")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="EVAL_A")
    parser.add_argument("b", metavar="EVAL_B")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: compare in the folder of EVAL_B")
    parser.add_argument("--common", action="store_true", help="measure the cases that both hold")
    version.add_flag(parser)
    options = parser.parse_args()
    names = options.a, options.b
    both = [read(name) for name in names]
    cases = paired.match(*(rows.index for rows in both), names, options.common)
    a, b = (rows.loc[cases] for rows in both)
    table = differences(a, b)
    file = Path(options.b)
    output = Path(options.output) if options.output else (file if file.is_dir() else file.parent) / "compare"
    rest, beside = cases, output / "compare_not_trained_on.csv"
    beside.unlink(missing_ok=True)  # of an earlier comparison
    about = {"cases": len(cases), "project": version.about()}
    writing.csv(output / "compare.csv", table)
    forest.differences(panels(table), output / "compare.png", f"{forest.named(*names)}\n{len(cases)} cases")
    print(f"A: {options.a}\nB: {options.b}\n{len(cases)} cases")
    for key, name, rows in zip("ab", names, (a, b), strict=True):
        told = rows.get(caselist.NAME, pd.Series("", rows.index))
        seen = rows.index[told.isin(["train", "val"])]
        rest = [case for case in rest if told[case] == ""]
        about[key] = {"evaluation": name, "weights": made(name), caselist.NAME: len(seen)}
        if len(seen):
            print(f"Note: the weights of {name} were trained on or chosen by {len(seen)} of these cases.")
        if (told == caselist.UNKNOWN).any():
            print(f"Note: {caselist.untold(name)}.")
    print(table.round(4).to_string(index=False))
    if 0 < len(rest) < len(cases):
        table = differences(a.loc[rest], b.loc[rest])
        writing.csv(beside, table)
        print(f"\n{caselist.REST}: {len(rest)} cases\n{table.round(4).to_string(index=False)}")
    writing.json(output / "compare.json", about)
    written = ["compare.csv", *([beside.name] if beside.exists() else []), "compare.json", "compare.png"]
    print(f"Wrote {output}: {', '.join(written)}. Each p is of one metric: of twenty, one is below 0.05 by chance.")


def made(given: str) -> dict | None:
    """The weights of an evaluation, by the report.json beside its metrics.csv. Raises BadData."""
    file = Path(given) / "report.json" if Path(given).is_dir() else Path(given).with_name("report.json")
    return tables.json(file).get("weights") if file.is_file() else None


def read(given: str) -> pd.DataFrame:
    """metrics.csv of a folder, or such a file, by case. Raises BadData."""
    file = Path(given) / "metrics.csv" if Path(given).is_dir() else Path(given)
    if not file.is_file():
        raise BadData(f"{file} does not exist; segmentation/evaluate.py writes it.")
    rows = tables.numbers(file, tables.read(file, ["case"]), TEXT)
    if rows.case.duplicated().any():
        raise BadData(f"{file} holds a case twice; {tables.REMEDY}.")
    return rows.set_index("case")


def differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """A row a metric that both tables hold, of the same cases in the same order: metric, patients, means a and b,
    difference, low and high (paired bootstrap over patients; of shares for flagged; NaN where no case differs), and p,
    in which each patient counts by the mean of its cases."""
    patients = a["patient"].to_numpy() if "patient" in a else a.index.to_numpy()
    rows = []
    for metric in [name for name in a.columns.intersection(b.columns) if name not in TEXT]:
        gap = (b[metric] - a[metric]).to_numpy(float)
        known = ~pd.isna(gap)
        if not known.any():
            continue
        if metric == "flagged":
            low, high = paired.share_interval(gap, patients)
        else:
            low, high = bootstrap.mean_interval(gap[known], patients[known]) if gap[known].any() else (np.nan, np.nan)
        means = paired.of_patients(gap[known], patients[known])
        row = {"metric": metric, "patients": len(means), "a": a[metric][known].mean(), "b": b[metric][known].mean()}
        rows.append(row | {"difference": gap[known].mean(), "low": low, "high": high, "p": paired.signed_rank(means)})
    if not rows:
        raise BadData("the tables share no metric; write them again with segmentation/evaluate.py.")
    return pd.DataFrame(rows)


def panels(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """What forest.differences() takes: overlap, distances in pixels, and in mm."""
    rows = table.rename(columns={"metric": "label"})
    far, metric = rows.label.str.startswith(DISTANCES), rows.label.str.endswith("_mm")
    return [
        ("B - A, above 0: B is better", rows[~far & (rows.label != "flagged")]),
        ("B - A, pixels at 1024, below 0: B is better", rows[far & ~metric]),
        ("B - A, mm, below 0: B is better", rows[far & metric]),
    ]


if __name__ == "__main__":
    main()
