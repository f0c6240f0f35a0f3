"""Write metadata.xls, the published cohort as a workbook, from a table of its facts.

    python data/make_metadata.py COHORT.csv                  to metadata.xls at the top of the repository
    python data/make_metadata.py COHORT.csv -o other.xls

COHORT.csv has the columns of metadata.xls: source, filename, patientid, offset, sex, age, finding, Class, view and
license; other columns are ignored. The workbook has one sheet per source and one row per image; the same table gives
the same bytes. Needs xlwt, as the tests do. To read metadata.xls, use cxr/cohort.py.
"""

import argparse
import math
import shlex
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from cxr import cohort, tables, version, writing
from cxr.version import ROOT
from data.thorax import formats

NUMBERS = ("patientid", "offset", "age")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, metavar="COHORT.csv", help="the facts, one row per image")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "metadata.xls", help="(metadata.xls)")
    version.add_flag(parser)
    args = parser.parse_args()
    with opening.asked():
        rows = read_facts(args.table)
        with writing.replacing(args.output) as file:
            formats.write_metadata(file, rows)
        patients = cohort.read(args.output).patient.nunique()
    following = shlex.join(["python", "data/arrange.py", "--metadata", str(args.output.absolute())])
    print(
        f"Wrote {len(rows)} images of {patients} patients from {len({row['source'] for row in rows})} sources to "
        f"{args.output}; next: {following} -i DOWNLOADS"
    )


def read_facts(path: Path) -> list[dict[str, Any]]:
    """The rows of the table as dicts by formats.COLUMNS, numbers as numbers, None where empty. Raises ValueError."""
    table = tables.read(path, formats.COLUMNS)
    if table.empty:
        raise ValueError(f"{path} holds no row below its column names; add one an image.")
    if table.attrs["comma"]:
        table[[*NUMBERS]] = table[[*NUMBERS]].replace(",", ".", regex=True)
    rows = [{name: _value(name, row[name]) for name in formats.COLUMNS} for row in table.to_dict("records")]
    for number, row in enumerate(rows, 2):
        for name in ("source", "filename", "Class"):
            if row[name] is None:
                raise ValueError(f"{path}, row {number} has no {name}; fill it in.")
    return rows


def _value(name: str, text: str) -> Any:
    """A cell as metadata.xls holds it."""
    text = text.strip()
    if name not in NUMBERS:
        return text or None
    try:
        number = float(text)
    except ValueError:
        return text or None  # an age as "60s", an id with letters
    if not math.isfinite(number):
        return text
    return int(number) if number == int(number) else number


if __name__ == "__main__":
    main()
