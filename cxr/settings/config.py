"""Settings: header.py and NAME=VALUE arguments make one frozen namespace, header.py's comments its --help.

headerfile.py reads the defaults; here they become the values of one run. Settings named dir_*
or file_*, and start_weights, are paths: absolute in Settings, whatever folder the script runs from.
"""

import argparse
import difflib
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from cxr import version
from cxr.errors import BadRun
from cxr.settings.headerfile import ROOT, listing, read, where
from cxr.settings.literals import REFUSALS, absolute, convert, convert_path, kind, plain, relative

# Settings that may be None, whatever header.py sets them to
OPTIONAL = ("dir_images", "dir_masks", "file_cases", "start_weights", "file_weights", "compile")
# Paths that may be several, though header.py names one or none
_SEVERAL = ("file_weights",)
_OVERRIDE = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


class NoSetting(AttributeError, BadRun):
    """A setting that header.py has lost."""


class Settings:
    """One run's values as attributes. Frozen, equal by value, and picklable into spawned DataLoader workers.

    `changed` maps the names that differ from header.py to the header's value, `typed` names those of the command line.
    """

    def __init__(
        self, values: Mapping[str, Any], changed: Mapping[str, Any] | None = None, typed: Iterable[str] = ()
    ) -> None:
        self.__dict__.update(values, _changed=dict(changed or {}), _typed=frozenset(typed))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)  # of pickle and copy, which ask before there is anything
        raise NoSetting(f"header.py has no setting {name}, which is needed; put it back as the project ships it")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are frozen: change {name} in header.py or type {name}=VALUE after the script")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"settings are frozen: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and _values(self) == _values(other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in _values(self).items())})"


def load(
    header: ModuleType, argv: Sequence[str] | None = None, parser: argparse.ArgumentParser | None = None
) -> tuple[Settings, argparse.Namespace]:
    """Read the settings of one run, and the script's own flags.

    header  the stage's header module
    argv    arguments, by default sys.argv[1:]; NAME=VALUE overrides a setting, wherever it stands
    parser  argparse.ArgumentParser with the script's own flags, which load() completes and uses up

    Returns (Settings, argparse.Namespace of the script's flags). A faulty argument or header ends the process with
    exit code 2 and one sentence; --help prints flags and settings and ends it with 0.
    """
    parser = parser or argparse.ArgumentParser()
    try:
        rows = read(header)
        overrides, rest = _split(list(sys.argv[1:] if argv is None else argv), {name for _, name, _, _ in rows})
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = listing(rows, header)
        version.add_flag(parser)
        parser.add_argument("stray", nargs="*", metavar="NAME=VALUE", help="settings of this run, listed below")
        flags, unknown = parser.parse_known_args(rest)
        _refuse(flags.stray + unknown, rows)
        del flags.stray
        return _resolve(rows, overrides, header), flags
    except ValueError as fault:
        parser.exit(2, f"{parser.prog}: {fault}\n")


def as_dict(settings: Settings) -> dict[str, Any]:
    """Settings as plain types that JSON returns unchanged, for header.json and checkpoints.

    Tuples become lists. Paths inside the repository are relative to it, so that a moved checkout is the same run.
    """
    return {name: _saved(name, value) for name, value in _values(settings).items()}


def unless_typed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with other `values`, but for those that the command line gave: these stay."""
    new = {name: value for name, value in values.items() if name not in settings._typed}
    changed = {name: getattr(settings, name) for name in new} | settings._changed
    return Settings(_values(settings) | new, {n: v for n, v in changed.items() if new.get(n) != v}, settings._typed)


def replace(settings: Settings, **values: Any) -> Settings:
    """The settings with other values, and with options of a script, which decide its results as well."""
    return Settings(_values(settings) | values, settings._changed, settings._typed)


def describe(settings: Settings) -> str:
    """Aligned 'name = value' lines; behind a value that differs from header.py stands the header's."""
    values = as_dict(settings)
    width = max((len(name) for name in values), default=0)
    changed = {name: _saved(name, value) for name, value in settings._changed.items()}
    return "\n".join(
        f"{name:<{width}} = {value!r}" + (f"  <- header.py: {changed[name]!r}" if name in changed else "")
        for name, value in values.items()
    )


def command(script: str, settings: Settings, names: Iterable[str], *more: str) -> str:
    """The command that runs a script with those of the settings `names` that were typed, as a shell takes it; `more`
    are further words. Paths are absolute, so that it works from the folder of the repository."""
    typed = [f"{name}={_word(getattr(settings, name))}" for name in names if name in settings._typed]
    return shlex.join(["python", script, *map(str, more), *typed])


def _word(value: Any) -> str:
    if not isinstance(value, (list, tuple)):
        return str(value)
    plainly = value and all(isinstance(item, str) and not set(item) & set(",[]()'\"") for item in value)
    return ",".join(value) if plainly else repr(plain(value)).replace(", ", ",")


def is_path(name: str) -> bool:
    """Whether a setting of this name is a path or a list of paths."""
    return name.startswith(("dir_", "file_")) or name == "start_weights"


def _saved(name: str, value: Any) -> Any:
    return relative(value, ROOT) if is_path(name) else plain(value)


def _values(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in vars(settings).items() if not name.startswith("_")}


def _split(argv: list[str], names: set[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Take NAME=VALUE out of argv, also where argparse would take it for a file: `-i a.png b.png epoch_max=2`."""
    overrides, rest = [], []
    for argument in argv:
        match = _OVERRIDE.fullmatch(argument)
        if match and (match[1] in names or not os.path.exists(argument)):
            overrides.append(match.groups())
        else:
            rest.append(argument)
    return overrides, rest


def _refuse(strays: list[str], rows: list[tuple]) -> None:
    for stray in strays:
        name = stray.lstrip("-").split("=")[0]
        if any(name == row[1] for row in rows):
            raise ValueError(f"{stray!r} is a setting, which is typed as {name}=VALUE")
        raise ValueError(f"{stray!r} is neither a flag of this script nor NAME=VALUE; --help lists both")


def _resolve(rows: list[tuple], overrides: list[tuple[str, str]], header: ModuleType) -> Settings:
    defaults = {name: default for _, name, default, _ in rows}
    values = {name: absolute(value, ROOT) if is_path(name) else value for name, value in defaults.items()}
    changed = {}
    for name, text in overrides:
        if name not in values:
            nearest = difflib.get_close_matches(name, values, n=1, cutoff=0.0)[0]
            raise ValueError(f"{where(header)} has no setting {name!r}; the nearest is {nearest!r}, --help lists all")
        default = None if name in OPTIONAL and text == "None" else defaults[name]
        try:
            value = convert_path(text, default, name in _SEVERAL) if is_path(name) else convert(text, default)
        except REFUSALS:
            wanted = f"{kind(defaults[name])} as path" if is_path(name) else kind(defaults[name])
            raise ValueError(f"{name} takes {wanted}, not {text!r}; its default is {defaults[name]!r}") from None
        value = absolute(value, Path.cwd()) if is_path(name) else value
        changed.setdefault(name, values[name])
        values[name] = value
    for name, value in values.items():
        if name.endswith("seed") and isinstance(value, int) and value < 0:
            raise ValueError(f"{name} takes a whole number from 0 on, not {value}")
    typed = {name for name, _ in overrides}
    return Settings(values, {name: value for name, value in changed.items() if value != values[name]}, typed)
