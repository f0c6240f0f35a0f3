"""Settings: header.py and NAME=VALUE arguments make one frozen namespace, header.py's comments its --help.

headerfile.py reads the defaults; here they become the values of one run. Settings named dir_* or file_* are paths:
absolute in Settings, whatever folder the script runs from.
"""

import argparse
import difflib
import os
import re
import sys
from pathlib import Path

from cxr.settings.headerfile import ROOT, listing, read, where
from cxr.settings.literals import REFUSALS, absolute, convert, convert_path, kind, plain, relative

_OVERRIDE = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


class Settings:
    """One run's values as attributes. Frozen, equal by value, and picklable into spawned DataLoader workers.

    `changed` maps the names that differ from header.py to the header's value, `typed` names those of the command line.
    """

    def __init__(self, values, changed=None, typed=()):
        self.__dict__.update(values, _changed=dict(changed or {}), _typed=frozenset(typed))

    def __setattr__(self, name, value):
        raise AttributeError(f"settings are frozen: change {name} in header.py or type {name}=VALUE after the script")

    def __delattr__(self, name):
        raise AttributeError(f"settings are frozen: {name} cannot be deleted")

    def __eq__(self, other):
        return isinstance(other, Settings) and _values(self) == _values(other)

    __hash__ = None

    def __repr__(self):
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in _values(self).items())})"


def load(header, argv=None, parser=None):
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
        parser.add_argument("stray", nargs="*", metavar="NAME=VALUE", help="settings of this run, listed below")
        flags, unknown = parser.parse_known_args(rest)
        _refuse(flags.stray + unknown, rows)
        del flags.stray
        return _resolve(rows, overrides, header), flags
    except ValueError as fault:
        parser.exit(2, f"{parser.prog}: {fault}\n")


def as_dict(settings):
    """Settings as plain types that JSON returns unchanged, for header.json and checkpoints.

    Tuples become lists. Paths inside the repository are relative to it, so that a moved checkout is the same run.
    """
    return {name: _saved(name, value) for name, value in _values(settings).items()}


def unless_typed(settings, values):
    """The settings with other `values`, but for those that the command line gave: these stay."""
    new = {name: value for name, value in values.items() if name not in settings._typed}
    changed = {name: getattr(settings, name) for name in new} | settings._changed
    return Settings(_values(settings) | new, {n: v for n, v in changed.items() if new.get(n) != v}, settings._typed)


def replace(settings, **values):
    """The settings with other values, and with options of a script, which decide its results as well."""
    return Settings(_values(settings) | values, settings._changed, settings._typed)


def describe(settings):
    """Aligned 'name = value' lines; behind a value that differs from header.py stands the header's."""
    values = as_dict(settings)
    width = max((len(name) for name in values), default=0)
    changed = {name: _saved(name, value) for name, value in settings._changed.items()}
    return "\n".join(
        f"{name:<{width}} = {value!r}" + (f"  <- header.py: {changed[name]!r}" if name in changed else "")
        for name, value in values.items()
    )


def _saved(name, value):
    return relative(value, ROOT) if _is_path(name) else plain(value)


def _values(settings):
    return {name: value for name, value in vars(settings).items() if not name.startswith("_")}


def _split(argv, names):
    """Take NAME=VALUE out of argv, also where argparse would take it for a file: `-i a.png b.png epoch_max=2`."""
    overrides, rest = [], []
    for argument in argv:
        match = _OVERRIDE.fullmatch(argument)
        if match and (match[1] in names or not os.path.exists(argument)):
            overrides.append(match.groups())
        else:
            rest.append(argument)
    return overrides, rest


def _refuse(strays, rows):
    for stray in strays:
        name = stray.lstrip("-").split("=")[0]
        if any(name == row[1] for row in rows):
            raise ValueError(f"{stray!r} is a setting, which is typed as {name}=VALUE")
        raise ValueError(f"{stray!r} is neither a flag of this script nor NAME=VALUE; --help lists both")


def _resolve(rows, overrides, header):
    defaults = {name: default for _, name, default, _ in rows}
    values = {name: absolute(value, ROOT) if _is_path(name) else value for name, value in defaults.items()}
    changed = {}
    for name, text in overrides:
        if name not in values:
            nearest = difflib.get_close_matches(name, values, n=1, cutoff=0.0)[0]
            raise ValueError(f"{where(header)} has no setting {name!r}; the nearest is {nearest!r}, --help lists all")
        try:
            value = convert_path(text, defaults[name]) if _is_path(name) else convert(text, defaults[name])
        except REFUSALS:
            wanted = f"{kind(defaults[name])} as path" if _is_path(name) else kind(defaults[name])
            raise ValueError(f"{name} takes {wanted}, not {text!r}; its default is {defaults[name]!r}") from None
        value = absolute(value, Path.cwd()) if _is_path(name) else value
        changed.setdefault(name, values[name])
        values[name] = value
    for name, value in values.items():
        if name.endswith("seed") and isinstance(value, int) and value < 0:
            raise ValueError(f"{name} takes a whole number from 0 on, not {value}")
    typed = {name for name, _ in overrides}
    return Settings(values, {name: value for name, value in changed.items() if value != values[name]}, typed)


def _is_path(name):
    return name.startswith(("dir_", "file_"))
