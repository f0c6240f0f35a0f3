"""bench.json and bench.md, written anew after every stage, so that a run cut short keeps the stages it has measured."""

import dataclasses
import json
import os
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks import rates, table, work
from cxr import writing

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless")


def begin(options, size, about: dict, output: Path) -> dict:
    """What bench.json is to hold, without a stage yet, or with those of the run before where --resume is typed.

    about: machine, data and rates. Raises ValueError where that run was of other files, weights, sizes or machines.
    """
    asked = {name: str(getattr(options, name)) for name in ("input", "segmentation", "classifier", "device", "fastest")}
    found = {"asked": asked, "size": dataclasses.asdict(size), "stages": [], "rows": [], "losses": {}, "waits": {}}
    found |= {"load": [os.getloadavg()[0]], "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES)}
    found |= about
    file = output / "bench.json"
    if options.resume and file.is_file():
        earlier = json.loads(file.read_text())
        same = ("asked", "size", "machine", "data", "versions")
        if differ := [name for name in same if earlier.get(name) != found[name]]:
            raise ValueError(f"{file} is of another {', '.join(differ)}: leave out --resume, or name another folder.")
        found = earlier | {"rates": rates.best(earlier["rates"], found["rates"])}
    return found


def keep(found: dict, output: Path) -> str:
    """Write what is measured so far; returns the table as Markdown."""
    for row in found["rows"]:
        row["floor_s"] = work.floor(*row["amount"], found["rates"], "bf16" in row["setting"])
    found["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    found["load"][1:] = [os.getloadavg()[0]]
    writing.json(output / "bench.json", found)
    text = table.markdown(found)
    writing.text(output / "bench.md", text + "\n")
    return text
