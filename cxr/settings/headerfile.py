"""header.py as rows: every setting with the heading it stands under, its default, and the comment behind it.

Read from the file's source and never run, so a mistake in it is told in one sentence by the script that reads it, and
each run gets fresh lists and dictionaries.
"""

import ast
import io
import textwrap
import tokenize
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from cxr.errors import BadData
from cxr.settings.literals import REFUSALS, is_plain

ROOT = Path(__file__).resolve().parents[2]


class Header(ModuleType):
    """What `from STAGE import header` gives, for the package in the file `stage`: reads header.py when asked for one of
    its settings, as header.seed. Raises BadData as read(), AttributeError."""

    def __init__(self, stage: str) -> None:
        super().__init__("header")
        self.__file__ = str(Path(stage).with_name("header.py"))

    def __getattr__(self, name: str) -> Any:
        for _, known, default, _ in [] if name.startswith("_") else read(self):
            if known == name:
                return default
        raise AttributeError(f"{where(self)} has no setting {name!r}")


def read(header: ModuleType) -> list[tuple]:
    """List (group, name, default, comment) of every setting in header.py, in its order.

    The group is the comment block that heads the lines; the comment is the one behind the value, "" if there is none.
    Raises BadData with file, line and remedy for what is no Python in UTF-8, and for a line that is not NAME = literal:
    a computed value would ignore an override of its source.
    """
    body, headings, trailing = _parsed(header)
    rows, group, last = [], "", 0
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            last = node.end_lineno
            continue
        name, default = _assignment(node, header)
        if any(name == row[1] for row in rows):
            raise BadData(f"{where(header)} line {node.lineno} sets {name} a second time; keep one of the lines")
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


def _parsed(header: ModuleType) -> tuple[list[ast.stmt], dict[int, str], dict[int, str]]:
    """The statements of header.py, and _comments(). Raises BadData."""
    held = b""
    try:
        held = Path(header.__file__).read_bytes()
        source = held.decode("utf-8-sig")
        return ast.parse(source).body, *_comments(source)
    except OSError as error:
        raise BadData(f"{where(header)} cannot be read ({error.strerror}); put the project's file there") from None
    except UnicodeDecodeError as error:
        line = held.count(b"\n", 0, error.start) + 1
        raise BadData(f"{where(header)} line {line} is not in UTF-8; save the file in this encoding") from None
    except REFUSALS as error:
        line = getattr(error, "lineno", None) or held.count(b"\n", 0, held.find(b"\0") + 1) + 1
        told = getattr(error, "msg", None) or error
        remedy = "write NAME = literal, a text in quotes, a path with /"
        raise BadData(f"{where(header)} line {line} is not Python ({told}); {remedy}") from None


def _comments(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """{line: text} of the comments that fill a line from its start, and of those behind code."""
    headings, trailing = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source, None).readline):
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
        told = "is not NAME = literal; write the value out, a text in quotes"
        raise BadData(f"{where(header)} line {node.lineno} {told}") from None
