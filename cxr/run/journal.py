"""A CSV table with a row a case, written by several processes and through kills.

Each process adds its rows to a journal of its own beside the table (`masks.0.jsonl` beside `masks.csv`), a line a row;
one process folds the journals into the table. Rows are known by their folder and case.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from cxr import tables, writing
from cxr.reading.radiograph import legible

KEY = ["folder", "case"]
MARKS = ("digest", "made")  # columns that note what a row was made from: its input, and weights with settings


@contextmanager
def writer(table: Path, rank: int) -> Iterator[Callable[[dict], None]]:
    """A function that adds a row to this process's own journal at once, so that a kill loses no finished case."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table.with_name(f"{table.stem}.{rank}.jsonl"), "a") as file:

        def write(row: dict) -> None:
            row = {name: legible(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
            file.write(json.dumps(row) + "\n")
            file.flush()

        yield write


def merge(table: Path, text: Collection[str], forget: Collection[tuple[str, str]] = frozenset()) -> pd.DataFrame:
    """Fold the journals into the table, the newest row of a case counting, and return it sorted by folder and case.

    text are the columns that hold text, all others numbers. Cases to `forget`, by (folder, case), lose their rows, and
    with them the mark of being finished.
    """
    journals = _journals(table)
    rows = known(table, text)
    if len(rows):
        rows = rows[[key not in forget for key in zip(rows.folder, rows.case, strict=True)]]
        save(table, rows.sort_values(KEY, ignore_index=True))
    for file in journals:
        file.unlink()
    return read(table, text) if table.exists() else rows


def known(table: Path, text: Collection[str]) -> pd.DataFrame:
    """The rows of the table and its journals, the newest of a case, as merge() would fold them; nothing is written."""
    parts = [read(table, text)] if table.exists() else []
    parts += [pd.DataFrame(_lines(file)) for file in _journals(table)]
    parts = [rows for rows in parts if len(rows)]
    if not parts:
        return pd.DataFrame(columns=[*text, *MARKS])
    rows = pd.concat(parts, ignore_index=True).drop_duplicates(KEY, keep="last")
    last = [name for name in MARKS if name in rows]  # in their place, whichever row came first
    return rows[[*(name for name in rows if name not in last), *last]]


def outdated(rows: pd.DataFrame, now: Mapping[tuple[str, str], tuple[str, ...]]) -> set[tuple[str, str]]:
    """The cases, by (folder, case), of known() rows without failure that were not made from what is there `now`, which
    holds MARKS, or the first of them, by case. A row that notes nothing is such a row: who knows what it tells of."""
    marks = rows[rows.status != "failed"].reindex(columns=[*KEY, *MARKS]).itertuples(index=False, name=None)
    return {(f, c) for f, c, *noted in marks if (f, c) in now and tuple(noted[: len(now[f, c])]) != now[f, c]}


def finished(table: Path, text: Collection[str]) -> set[tuple[str, str]]:
    """The cases, by folder and name, that have a row in the table without failure."""
    if not table.exists():
        return set()
    rows = read(table, text)
    rows = rows[rows.status != "failed"]
    return set(zip(rows.folder, rows.case, strict=True))


def clear(table: Path) -> None:
    """Throw a table away, and what killed runs left to be folded into it: rows made otherwise must not stay."""
    for path in (table, *_journals(table)):
        path.unlink(missing_ok=True)


def save(table: Path, rows: pd.DataFrame) -> None:
    """Write the table so that a kill leaves the old one or the new."""
    writing.csv(table, rows.convert_dtypes())  # whole numbers look whole


def read(table: Path, text: Collection[str]) -> pd.DataFrame:
    """The table, `text` columns as they stand, the others as numbers. Raises BadData."""
    rows = tables.read(table, KEY)  # a case may be called NA or 007: names stay text
    return tables.numbers(table, rows, [*text, *MARKS])


def _journals(table: Path) -> list[Path]:
    """The journals of all processes that are not folded into the table yet."""
    return sorted(table.parent.glob(f"{table.stem}.*.jsonl"))


def _lines(file: Path) -> list[dict]:
    rows = []
    for line in file.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # the line that a kill cut short: its case is done again
            break
        if not isinstance(row, dict) or not {*KEY} <= row.keys():
            break
        rows.append(row)
    return rows
