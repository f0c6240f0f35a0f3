"""header.py as rows: every setting with the heading it stands under, its default, and the comment behind it.

Read from the file's source, so the header module is never touched, and each run gets fresh lists and dictionaries.
"""

import ast
import io
import textwrap
import tokenize
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from cxr.settings.literals import REFUSALS, is_plain

ROOT = Path(__file__).resolve().parents[2]


def read(header: ModuleType) -> list[tuple]:
    """List (group, name, default, comment) of every setting in header.py, in its order.

    The group is the comment block that heads the lines; the comment is the one behind the value, "" if there is none.
    Raises ValueError for a line that is not NAME = literal: a computed value would ignore an override of its source.
    """
    source = Path(header.__file__).read_text(encoding="utf-8")
    headings, trailing = _comments(source)
    rows, group, last = [], "", 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            last = node.end_lineno
            continue
        name, default = _assignment(node, header)
        if any(name == row[1] for row in rows):
            raise ValueError(f"{where(header)} line {node.lineno} sets {name} a second time; keep one of the lines")
        between = [line for line in headings if last < line < node.lineno]
        if between:
            start = max(line for line in between if line - 1 not in headings)
            group = " ".join(headings[line] for line in between if line >= start).strip()
        rows.append((group, name, default, trailing.get(node.end_lineno, "")))
        last = node.end_lineno
    return rows


def where(header: ModuleType) -> str:
    """The header's file as messages name it: from the repository's root, where it lies there."""
    path = Path(header.__file__).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def listing(rows: Sequence[tuple], header: ModuleType) -> str:
    """Settings by group with default and comment, for --help."""
    lines, heading = [f"settings and their defaults in {where(header)}; NAME=VALUE overrides one for this run:"], None
    for group, name, default, comment in rows:
        if group != heading:
            lines += ["", f"  {group}"]
            heading = group
        setting = f"    {name}={default!r}"
        if len(setting) > 38:
            lines.append(setting)
            setting = ""
        lines += textwrap.wrap(comment, 116, initial_indent=f"{setting:<40}", subsequent_indent=" " * 40) or [setting]
    return "\n".join(lines)


def _comments(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """{line: text} of the comments that fill a line from its start, and of those behind code."""
    headings, trailing = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.strip("#-=~ \t")
            if token.start[1] == 0:
                headings[token.start[0]] = text
            elif token.line[: token.start[1]].strip():
                trailing[token.start[0]] = text
    return headings, trailing


def _assignment(node: ast.stmt, header: ModuleType) -> tuple[str, Any]:
    try:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            raise ValueError
        default = ast.literal_eval(node.value)
        if node.targets[0].id.startswith("_") or not is_plain(default):
            raise ValueError
        return node.targets[0].id, default
    except REFUSALS:
        raise ValueError(f"{where(header)} line {node.lineno} is not NAME = literal; write the value out") from None
