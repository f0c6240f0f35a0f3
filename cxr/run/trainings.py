"""Many trainings, each by the commands that a person would type, as processes of their own.

A command that has ended well is not run again. Several programs may share the work: what one is at, the others leave
out.
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cxr import tables, writing
from cxr.errors import BadRun
from cxr.run import lock
from cxr.settings import config
from cxr.settings.headerfile import ROOT

RECORD = "commands.json"  # in a run's folder: what it was made from, and the commands that have ended well


def command(script: str, settings: config.Settings, *words: object, without: Collection[str] = ()) -> list[str]:
    """The command line of a script with some words, and with the settings that were typed, but for those that the words
    set and those named in `without`."""
    words = list(map(str, words))
    typed = settings._typed - {*without, *(word.partition("=")[0] for word in words)}
    line = shlex.split(config.command(script, settings, sorted(typed), *words))
    return [sys.executable, str(ROOT / script), *line[2:]]


def call(line: Sequence[str]) -> int:
    """A command as a process of its own, which ends when this one is interrupted; its exit code."""
    child = subprocess.Popen(line)
    try:
        return child.wait()
    except BaseException:
        child.terminate()  # it may stop at any moment, and goes on from there
        child.wait()
        raise


def run(folder: Path, made_from: str, prepare: Callable[[], object], lines: Sequence[list[str]]) -> bool:
    """Make a run: prepare(), which writes what the commands read, then the commands. False where another program is at
    it. A command that has ended well is skipped, unless one before it had to be run, or what the run is `made_from` (a
    digest of its cases) has changed. Raises BadRun where a command fails.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what runs below is stopped as well
    try:
        lock.take(folder / ".commands.lock")
    except BadRun:
        return False
    record = folder / RECORD
    try:
        held = tables.json(record) if record.exists() else {}
        done = held.get("commands", []) if held.get("made_from") == made_from else []
        if any(line not in done for line in lines):
            prepare()
        for i, line in enumerate(lines):
            if line in done:
                continue
            print(shlex.join(["python", *line[1:]]), flush=True)
            if code := call(line):
                raise BadRun(
                    f"{Path(line[1]).name} ended with exit code {code}, as told above; run this again to go on."
                )
            done = [*(other for other in done if other in lines[:i]), line]
            writing.json(record, {"made_from": made_from, "commands": done})
    finally:
        lock.release()
    return True
