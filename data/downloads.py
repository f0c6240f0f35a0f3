"""Find the radiographs of a table in downloaded sets, in the folders and under the suffixes these come with."""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from cxr.patients import known_set, same_letters
from cxr.reading.radiograph import case_of

# A folder so named holds one set, whatever lies around it; the innermost such folder tells.
SET_OF_FOLDER = (
    ("Cohen et al", re.compile(r"cohen|covid-?chest-?xray", re.I)),
    ("CoronaHack", re.compile(r"coronahack|kermany|chest_?xray(2017)?$|chest-xray-pneumonia", re.I)),
    ("JSRT", re.compile(r"jsrt|all247images", re.I)),
    ("NLM(MC)", re.compile(r"montgomery|nlm[-_ ]?mc", re.I)),
)
# What carries a radiograph's name and is not the radiograph: masks, annotations, an archive's shadow files
PASSED_OVER = re.compile(r"mask|^scr$|^lesions$|^annotations$|^clinicalreadings$|^__macosx$|^\.", re.I)
PHANTOM = "phantom.json"  # drawn radiographs have the names of real ones


def index(folders: Sequence[str | Path]) -> dict[str, list[tuple[Path, str | None]]]:
    """{case name in lower case: [(file, set or None)]} of the files below the folders, in a fixed order.

    set is the one that the innermost telling folder names, of those given and those below. Linked folders are followed.
    """
    found, seen = {}, set()
    for given in folders:
        given = Path(os.path.abspath(given))
        for here, below, names in os.walk(given, followlinks=True):
            real = os.path.realpath(here)
            if real in seen or (PHANTOM in names and Path(here) != given):
                below.clear()
                continue
            seen.add(real)
            below[:] = sorted(name for name in below if not PASSED_OVER.search(name))
            owner = _owner(Path(here).relative_to(given.parent).parts)
            for name in sorted(names):
                if not name.startswith("."):
                    found.setdefault(same_letters(case_of(name)), []).append((Path(here, name), owner))
    return found


def by_name(name: str, source: str, found: dict[str, list[tuple[Path, str | None]]]) -> list[Path]:
    """The files that may be the radiograph `name` of a source, among those of index(): the sure ones if there are any.

    A file in a folder of another of the four known sets is none, where the table names a source; one in a folder of its
    own set comes before one in a folder that tells nothing; then one of exactly that name before another suffix.
    """
    known = known_set(source)
    candidates = [
        (file, owner)
        for file, owner in found.get(same_letters(case_of(name)), [])
        if owner in (known, None) or not source
    ]
    files = [file for file, owner in candidates if owner and owner == known] or [file for file, _ in candidates]
    return [file for file in files if same_letters(file.name) == same_letters(name)] or files


def by_path(path: str, folders: Sequence[str | Path]) -> list[Path]:
    """The files that a path of a table names, relative to one of the folders or absolute; where there is none, those
    whose names differ in upper and lower case or in how accents are written."""
    asked = [Path(os.path.abspath(Path(folder, path))) for folder in folders]
    files = [file for file in asked if file.is_file()] or [file for given in asked for file in _namesakes(given)]
    return [file for file in dict.fromkeys(files) if path and file.is_file()]


def _namesakes(path: Path) -> list[Path]:
    """The files whose path consists of the same letters."""
    if path.exists() or path == path.parent:
        return [path]
    found = []
    for folder in _namesakes(path.parent):
        if folder.is_dir():
            names = _names(folder, folder.stat().st_mtime_ns)
            found += [folder / name for name in names.get(same_letters(path.name), [])]
    return found


@lru_cache(maxsize=64)
def _names(folder: Path, _: int) -> dict[str, list[str]]:
    """The names in a folder as it was at some time, by their letters."""
    found = {}
    for path in sorted(folder.iterdir()):
        found.setdefault(same_letters(path.name), []).append(path.name)
    return found


def _owner(parts: Sequence[str]) -> str | None:
    for part in reversed(parts):
        for name, pattern in SET_OF_FOLDER:
            if pattern.search(part):
                return name
    return None
