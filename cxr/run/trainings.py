"""Many trainings, each by the commands that a person would type, as processes of their own.

A command that has ended well is not run again. Several programs may share the work: what one is at, the others leave
out.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cxr import tables, writing
from cxr.errors import BadRun
from cxr.run import lock
from cxr.settings.headerfile import ROOT

RECORD = "commands.json"  # in a run's folder: what it was made from, and the commands that have ended well


def run(folder: Path, made_from: str, prepare: Callable[[], object], commands: Sequence[Sequence[str]]) -> bool:
    """Make a run: prepare(), which writes what the commands read, then the commands, each a script and its words. False
    where another program is at it. A command that has ended well is skipped, unless one before it had to be run, or
    what the run is `made_from` (a digest of its cases) has changed. Raises BadRun where a command fails.
    """
    try:
        lock.take(folder / ".commands.lock")
    except BadRun:
        return False
    record = folder / RECORD
    try:
        held = tables.json(record) if record.exists() else {}
        done = held.get("commands", []) if held.get("made_from") == made_from else []
        if any(list(command) not in done for command in commands):
            prepare()
        for i, command in enumerate(commands):
            if list(command) in done:
                continue
            done = [other for other in done if other in map(list, commands[:i])]
            start(*command)
            done.append(list(command))
            writing.json(record, {"made_from": made_from, "commands": done})
    finally:
        lock.release()
    return True


def start(script: str, *words: str) -> None:
    """Run a script of the project to its end. Raises BadRun if it fails; it has said why."""
    print(f"python {script} {' '.join(words)}", flush=True)
    child = subprocess.Popen([sys.executable, str(ROOT / script), *words])
    try:
        code = child.wait()
    except BaseException:
        child.terminate()  # it may stop at any moment, and goes on from there
        child.wait()
        raise
    if code:
        raise BadRun(f"{script} ended with {code}; mend what it says above and run this again: it goes on from there.")
