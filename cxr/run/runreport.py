"""report.json: what a run of inference was made with and what came of it."""

import hashlib
import json
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from cxr import writing
from cxr.settings import config


def check(path: Path, settings, weights: Path, decisive: Sequence[str]) -> None:
    """Raise ValueError if the report of an earlier run in this folder tells of other weights or other settings.

    decisive are the settings that decide a case's result: cases made with other values do not belong into one folder.
    """
    if not path.exists() or not any(path.parent.glob("*.csv")) and not any(path.parent.glob("*.jsonl")):
        return  # it holds no case yet: a run with a fault in its settings may have come so far
    try:
        earlier = json.loads(path.read_text())
        known = [name for name in decisive if name in earlier["settings"]]  # an older report lacks newer settings
        old = {name: earlier["settings"][name] for name in known} | {"weights": earlier["weights"]["sha256"]}
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(f"{path} is damaged; remove it, or give another folder with -o.") from None
    new = {name: config.as_dict(settings)[name] for name in known} | {"weights": digest(weights)}
    changed = [name for name in new if old[name] != new[name]]
    if changed:
        raise ValueError(
            f"{path.parent} holds cases made with other {', '.join(changed)} (see report.json there): give another "
            "folder with -o, or --overwrite to make them again."
        )


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(
    path: Path,
    settings,
    fabric,
    weights: Path,
    packages: Sequence[str],
    counts: dict | None = None,
    seconds: float | None = None,
) -> None:
    """Write report.json: versions of `packages`, device, settings, weights and their sha256; counts and seconds when
    all is done."""
    report = {
        "command": " ".join(sys.argv),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": seconds and round(seconds, 1),
        "counts": counts,
        "device": str(fabric.device),
        "processes": fabric.world_size,
        "weights": {"file": str(weights), "sha256": digest(weights)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "settings": config.as_dict(settings),
    }
    writing.json(path, report)
