"""bench.json and bench.md, written anew after every stage, so that a run cut short keeps the stages it has measured."""

import dataclasses
import os
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import rates, table, work
from cxr import tables, writing
from cxr.run import runreport

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless")


def begin(options, size, about: dict, output: Path) -> dict:
    """What bench.json is to hold, without a stage yet, or with those of the run before where --resume is typed.

    about: machine, data and rates. Raises ValueError where that run was of other files, weights, sizes or machines, or
    its bench.json is damaged.
    """
    asked = {name: str(getattr(options, name)) for name in ("input", "segmentation", "classifier", "device", "fastest")}
    found = {"asked": asked, "size": dataclasses.asdict(size), "stages": [], "rows": [], "losses": {}, "waits": {}}
    versions = ", ".join(f"{name} {number}" for name, number in runreport.versions(PACKAGES).items())
    found |= {"load": [os.getloadavg()[0]], "versions": versions} | about
    file = output / "bench.json"
    if options.resume and file.is_file():
        earlier = tables.json(file)
        same = ("asked", "size", "machine", "data", "versions")
        if differ := [name for name in same if earlier.get(name) != found[name]]:
            raise ValueError(f"{file} is of another {', '.join(differ)}: leave out --resume, or name another folder.")
        with tables.used(file):
            found = earlier | {"rates": rates.best(earlier["rates"], found["rates"])}
            found["stages"] = [*earlier["stages"]]
            markdown(found)  # as it will be after every stage
    return found


def keep(found: dict, output: Path) -> str:
    """Write what is measured so far; returns the table as Markdown."""
    text = markdown(found)
    writing.json(output / "bench.json", found)
    writing.text(output / "bench.md", text + "\n")
    return text


def markdown(found: dict) -> str:
    """The table of what is measured by now."""
    for row in found["rows"]:
        row["floor_s"] = work.floor(*row["amount"], found["rates"], "bf16" in row["setting"])
    found["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    found["load"][1:] = [os.getloadavg()[0]]
    return table.markdown(found)
