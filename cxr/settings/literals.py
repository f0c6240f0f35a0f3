"""Values a person types: text to a value or path of the default's type, and values to what JSON keeps."""

import ast
import math
import os
from pathlib import Path
from typing import Any

# what convert() and ast.literal_eval() raise for text they cannot take
REFUSALS = (ValueError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, RecursionError)

_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def convert(value: Any, default: Any) -> Any:
    """Value of `default`'s type from typed text, or from an element of a typed list.

    bool: true/false/yes/no/1/0. int: also 1e3. float: finite. str: quotes optional. list, tuple: a Python literal, or
    values parted by commas, each of the type of the default's elements. dict: a Python literal. None: a Python
    literal, else the text. Raises one of REFUSALS for anything else.
    """
    if default is None:
        return _literal_or_text(value)
    if isinstance(default, bool):
        return _BOOLS[str(value).lower()]
    if isinstance(default, int):
        return _integer(value)
    if isinstance(default, float):
        return _finite(value)
    if isinstance(default, str):
        return _unquote(_require(value, str))
    if isinstance(default, dict):
        return _require(_plain_literal(value) if isinstance(value, str) else value, dict)
    return _sequence(value, default)


def convert_path(text: str, default: Any, several: bool = False) -> str | list[str] | tuple[str, ...] | None:
    """Typed text as a path, None or a list of paths; only a setting that is None in header.py may be None.

    several: whether commas part paths where there is no file of that name and the default is no list.

    Raises one of REFUSALS for an empty path or an empty list.
    """
    listed = isinstance(default, (list, tuple))
    if default is None and text == "None":
        return None
    parted = several and "," in text and not os.path.exists(os.path.expanduser(text))
    if listed or parted or (default is None and text[:1] in ("[", "(")):
        paths = convert(text, type(default)([""]) if listed else [""])
    elif text == "None":
        raise ValueError
    else:
        paths = _unquote(text)
    if not paths or "" in list(paths):
        raise ValueError
    return paths


def absolute(paths: Any, folder: str | Path) -> Any:
    """A path, None or a list of paths, each taken from `folder` and '~' expanded, as absolute str."""
    if paths is None:
        return None
    if isinstance(paths, str):
        return os.path.abspath(os.path.join(folder, os.path.expanduser(paths)))
    return type(paths)(absolute(path, folder) for path in paths)


def relative(paths: Any, folder: str | Path) -> Any:
    """The inverse of absolute() for what lies inside `folder`; the rest stays absolute. Tuples become lists."""
    if isinstance(paths, str):
        return Path(paths).relative_to(folder).as_posix() if Path(paths).is_relative_to(folder) else paths
    return None if paths is None else [relative(path, folder) for path in paths]


def kind(default: Any) -> str:
    """The type of a default in words: 'an int', 'a list of str'."""
    if default is None:
        return "a Python literal or text"
    if isinstance(default, (list, tuple)):
        names = {type(element).__name__ for element in default}
        return f"a {type(default).__name__}" + (f" of {names.pop()}" if len(names) == 1 else "")
    name = type(default).__name__
    return f"an {name}" if name == "int" else f"a {name}"


def is_plain(value: Any) -> bool:
    """Whether a value is of None, bool, int, finite float, str, and lists, tuples and dicts (keys str) of these."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


def plain(value: Any) -> Any:
    """A copy in which tuples are lists, as JSON returns them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _sequence(value: Any, default: list | tuple) -> list | tuple:
    parted = isinstance(value, str) and value.strip()[:1] not in ("[", "(")
    if parted:
        value = [part.strip() for part in value.strip().rstrip(",").split(",")]
        if not all(value):
            raise ValueError
    elif isinstance(value, str):
        value = _plain_literal(value)
    if not isinstance(value, (list, tuple)):
        value = [value]
    numbers = default and all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in default)
    if numbers and any(isinstance(item, float) for item in default):
        model = 0.0
    elif default and len({type(item) for item in default}) == 1:
        model = default[0]
    else:
        model = None  # an empty or a mixed default says nothing of its elements
    # a str within a Python literal has lost its quotes already: it is no text to read once more
    done = () if parted or not (model is None or isinstance(model, str)) else str
    return type(default)(item if isinstance(item, done) else convert(item, model) for item in value)


def _unquote(text: str) -> str:
    """'a b' without the quotes that a person may have put round it."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        try:
            return _require(ast.literal_eval(text), str)
        except REFUSALS:
            return text
    return text


def _literal_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _plain_literal(value)
    except REFUSALS:
        return value


def _plain_literal(text: str) -> Any:
    value = ast.literal_eval(text.strip())
    if not is_plain(value):
        raise ValueError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:  # perhaps 1e3
            value = _finite(value)
    if not _finite(value).is_integer():
        raise ValueError
    return int(value)


def _finite(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _require(value: Any, wanted: type) -> Any:
    if not isinstance(value, wanted):
        raise TypeError
    return value
