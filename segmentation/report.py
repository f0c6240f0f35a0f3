"""Gather what inference.py has segmented into one page for the browser, the flagged cases first, with outlines.

    python segmentation/report.py -i output              output/report.html
    python segmentation/report.py -i output -o FILE      the page elsewhere

Reads masks.csv, report.json and the pairs of a folder that segmentation/inference.py wrote. The page shows areas,
cardiothoracic ratio, view and why a mask is flagged, and needs no network connection. Up to 500 cases (--embed) it
holds their pictures; with more cases they lie in a folder beside it, report_files.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd

from classification.cases.finder import Case
from classification.page import beside, contents, findings, store
from cxr import tables
from cxr.settings import config
from segmentation import header, masks_csv

# What the page shows of a case beside its status
MEASURES = {
    "ctr": "Cardiothoracic ratio",
    "margin": "Margin",
    "area_left_mm2": "Left lung, mm²",
    "area_right_mm2": "Right lung, mm²",
    "area_heart_mm2": "Heart, mm²",
    "area_left": "Left lung, pixels",
    "area_right": "Right lung, pixels",
    "area_heart": "Heart, pixels",
}
ORDER = ("flagged", "failed", "ok")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", metavar="FOLDER", help="what inference.py wrote (default: dir_save)")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: report.html in that folder")
    store.add_flag(parser)
    settings, options = config.load(header, parser=parser)
    folder = Path(options.input or settings.dir_save).absolute()
    output = Path(options.output or folder / "report.html").absolute()
    with opening.asked():
        store.take(output)
        content, places = gather(folder)
    store.write(output, content, places, {}, options.embed, max(settings.num_workers, 1))


def gather(folder: Path) -> tuple[dict, dict]:
    """What the page's template takes, and where the pairs lie {(folder, case): Case}. Raises BadData."""
    rows = beside.table(folder / masks_csv.MASKS, masks_csv.TEXT, "segmentation/inference.py")
    rows = rows.sort_values("status", key=lambda told: told.map(dict(zip(ORDER, range(3), strict=True))), kind="stable")
    cases = [about(row) for row in rows.to_dict("records")]
    places = {
        (case["folder"], case["case"]): Case(case["case"], case["folder"], folder / case["folder"], None)
        for case in cases
    }
    made = beside.read_json(folder / "report.json")
    with tables.used(folder / "report.json"):
        content = contents.bare(contents.title(made) or folder.name, folder)
    content |= {
        "cases": cases,
        "markers": beside.ranges(cases, MEASURES),
        "parts": {"Segmentation": made} if made else {},
    }
    return content, places


def about(row: dict) -> dict:
    """A row of masks.csv as a case of the page, as findings.cases() gives those of stage 2."""
    failed = row["status"] == "failed"
    case = {name: row[name] for name in ("case", "folder", "reason", "view")}
    case |= {"status": "failed" if failed else "ok", "mask": findings.UNKNOWN if failed else row["status"]}
    case |= {"mask_reason": "" if failed else row["reason"], "right": None}
    case |= dict.fromkeys(("label", "patient", "predicted", "set"), "")
    case |= dict.fromkeys(("p", "votes", "seed", *findings.NUMBERS))
    measured = {name: beside.finite(row[name]) for name in MEASURES if name in row and pd.notna(row[name])}
    return case | {"markers": {"ctr": None, "margin": None} | measured}


if __name__ == "__main__":
    main()
