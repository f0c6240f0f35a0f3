"""Tables and JSON that one script leaves for another, read strictly: what was saved by a spreadsheet is understood, and
what is damaged is named with its line and the remedy."""

import codecs
import csv
import io
import json as plain_json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.errors import BadData

REMEDY = "correct it, or move it away and run the script that writes it again"
_SEPARATORS = ",;\t"


def read(path: Path, needed: Collection[str] = ()) -> pd.DataFrame:
    """A .csv as text, "" where a cell is empty. Raises BadData with file, line and remedy, and changes nothing.

    needed: columns that must be there. Commas, semicolons and tabs separate cells, as the column names tell; a first
    line `sep=;` is understood; what is not UTF-8 is taken for the Latin-1 of Windows. attrs["comma"] is whether numbers
    may have a decimal comma.
    """
    try:
        names, rows, separator = lines(path, decoded(Path(path).read_bytes()))
    except OSError as error:
        raise BadData(f"{path} cannot be read ({error.strerror}); {REMEDY}.") from None
    if not names:
        raise BadData(f"{path} is empty; {REMEDY}.")
    missing = [name for name in needed if name not in names]
    if missing:
        raise BadData(f"{path} has no column {', '.join(missing)}; {REMEDY}.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f"{path} has the column {twice!r} twice; {REMEDY}.")
    for number, cells in rows:
        if len(cells) != len(names):
            raise BadData(f"{path}, line {number} has {len(cells)} cells for {len(names)} columns; {REMEDY}.")
    table = pd.DataFrame([cells for _, cells in rows], columns=names, dtype=str)
    table.attrs["comma"] = separator != ","
    return table


def numbers(path: Path, table: pd.DataFrame, text: Collection[str]) -> pd.DataFrame:
    """The table with all columns but `text` as numbers, NaN where empty. Raises BadData."""
    comma = table.attrs.get("comma", False)
    for column in table.columns.difference([*text]):
        cells = table[column].str.replace(",", ".", regex=False) if comma else table[column]
        values = pd.to_numeric(cells, errors="coerce")
        wrong = (values.isna() & ~cells.str.strip().str.lower().isin(("", "nan"))).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise BadData(
                f"{path}, row {row + 2}, column {column}: {table[column].iloc[row]!r} is not a number; {REMEDY}."
            )
        table[column] = values
    return table


def lines(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """The column names of a .csv with some text, its rows with the number of their last line, blank ones left out, and
    what separates cells. Raises BadData."""
    if "\0" in text:
        raise BadData(f"{path} is not a table of text; save it as .csv in UTF-8, or {REMEDY}.")
    first = text.split("\n", 1)[0].strip().strip('"')
    told = first[4:] if first.lower().startswith("sep=") and len(first) == 5 else ""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=told or separator(first), strict=True)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise BadData(f"{path}, line {reader.line_num} is damaged ({error}); {REMEDY}.") from None
    rows = rows[1:] if told else rows
    return (rows[0][1] if rows else []), rows[1:], reader.dialect.delimiter


def decoded(held: bytes) -> str:
    """Bytes of a text as UTF-16 if they begin so, as UTF-8, or else as Windows' Latin-1."""
    if held.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return held.decode("utf-16", "replace")
    try:
        return held.decode("utf-8-sig")
    except UnicodeDecodeError:
        return held.decode("cp1252", "replace")


def separator(names: str) -> str:
    """What separates the column names of a table: that which occurs most often."""
    return max(_SEPARATORS, key=names.count)


def json(path: Path, kind: type = dict) -> Any:
    """What a JSON file holds, of some kind. Raises BadData with line and remedy, FileNotFoundError."""
    try:
        held = plain_json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise
    except plain_json.JSONDecodeError as error:
        raise BadData(f"{path}, line {error.lineno} is damaged ({error.msg}); {REMEDY}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path} cannot be read ({error}); {REMEDY}.") from None
    if not isinstance(held, kind):
        raise BadData(f"{path} holds a {type(held).__name__} and not a {kind.__name__}; {REMEDY}.")
    return held


@contextmanager
def used(path: Path | str) -> Iterator[None]:
    """Around the use of what a file holds: an entry that is not there, or of another kind than its script writes, is
    BadData with the file and the remedy."""
    try:
        yield
    except BadData:
        raise
    except (ArithmeticError, AttributeError, FileNotFoundError, LookupError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        raise BadData(f"{path} does not hold what it should ({told}); {REMEDY}.") from error
