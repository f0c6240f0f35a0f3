"""report.json: what a run of inference.py was made with and what came of it."""

import hashlib
import json
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from cxr import config

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "pydicom", "python-gdcm", "lightning-fabric")


def write(path: Path, settings, fabric, weights: Path, counts: dict, seconds: float) -> None:
    """Write report.json: versions, device, settings, weights and their sha256, counts, seconds."""
    report = {
        "command": " ".join(sys.argv),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "counts": counts,
        "device": str(fabric.device),
        "processes": fabric.world_size,
        "weights": {"file": str(weights), "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "settings": config.as_dict(settings),
    }
    path.write_text(json.dumps(report, indent=1) + "\n")
