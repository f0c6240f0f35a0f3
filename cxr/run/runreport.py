"""report.json: what a run of inference was made with and what came of it."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lightning_fabric import Fabric

from cxr import tables, writing
from cxr import version as project
from cxr.digest import of_text
from cxr.settings import config

# OpenCV is published under four names that hold the same module
_CV2 = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
_SAME = {name: _CV2 for name in _CV2}


def check(path: Path, settings: config.Settings, weights: Path | Sequence[Path], decisive: Sequence[str]) -> None:
    """Raise ValueError if the report of an earlier run in this folder tells of other weights or other settings.

    decisive are the settings that decide a case's result: cases made with other values do not belong into one folder.
    """
    if not path.exists() or (not any(path.parent.glob("*.csv")) and not any(path.parent.glob("*.jsonl"))):
        return  # it holds no case yet: a run with a fault in its settings may have come so far
    try:
        earlier = tables.json(path)
        known = [name for name in decisive if name in earlier["settings"]]  # an older report lacks newer settings
        old = {name: earlier["settings"][name] for name in known} | {"weights": earlier["weights"]["sha256"]}
    except (KeyError, TypeError):
        raise ValueError(f"{path} is damaged; remove it, or give another folder with -o.") from None
    new = {name: config.as_dict(settings)[name] for name in known} | {"weights": digest(weights)}
    changed = [name for name in new if old[name] != new[name]]
    if changed:
        raise ValueError(
            f"{path.parent} holds cases made with other {', '.join(changed)} (see report.json there): give another "
            "folder with -o, or --overwrite to make them again."
        )


def inputs(path: Path) -> list[str]:
    """The folders that the report of an earlier run, or its metrics.json, names; none where there is no such file."""
    try:
        return [str(given) for given in tables.json(path)["input"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def made_with(settings: config.Settings, weights: Path | Sequence[Path], decisive: Sequence[str]) -> str:
    """16 hexadecimal digits of the weights and of the settings that decide a case's result, for its row."""
    values = config.as_dict(settings)
    return of_text(json.dumps([digest(weights), {name: values[name] for name in sorted(decisive)}]))


def digest(weights: Path | Sequence[Path]) -> str:
    """SHA-256 of a file, in hexadecimal; of several, that of theirs, in whatever order."""
    if isinstance(weights, Path):
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    return hashlib.sha256(" ".join(sorted(map(digest, weights))).encode()).hexdigest()


def about(weights: Path | Sequence[Path]) -> dict:
    """Where weights lie, and their sha256; of several the folder that holds them all, and the same of each member."""
    told = {"file": str(weights), "sha256": digest(weights)}
    if isinstance(weights, Path):
        return told
    return told | {"file": os.path.commonpath(weights), "members": [about(file) for file in weights]}


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """The version of each package under its own name; of OpenCV that distribution which is installed, and None for a
    package that is there without being installed, such as one built by hand."""
    found = {}
    for package in packages:
        names = _SAME.get(package, (package,))
        for name in names:
            try:
                found[name] = version(name)
                break
            except PackageNotFoundError:
                continue
        else:
            found[package] = None
    return found


def write(
    path: Path,
    settings: config.Settings,
    fabric: Fabric,
    weights: Path | Sequence[Path] | None,
    packages: Sequence[str],
    counts: dict | None = None,
    seconds: float | None = None,
    inputs: Sequence[str] | None = None,
) -> None:
    """Write report.json: versions of `packages`, device, settings, weights, if any, and their sha256; the folders that
    the cases came from, if given; counts and seconds when all is done."""
    report = {
        "command": " ".join(sys.argv),
        "project": project.about(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": seconds and round(seconds, 1),
        "counts": counts,
        "device": str(fabric.device),
        "processes": fabric.world_size,
        "weights": about(weights) if weights else None,
        "versions": {"python": platform.python_version()} | versions(packages),
        "settings": config.as_dict(settings),
    }
    if inputs is not None:
        report["input"] = list(inputs)
    writing.json(path, report)
