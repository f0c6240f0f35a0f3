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

from cxr import digest, tables, writing
from cxr.errors import BadData, BadRun
from cxr.run import lock, opening, runfolder
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


def through(runs: Sequence, folders: Callable[..., Sequence[Path]], make: Callable) -> tuple[list, dict, dict]:
    """What make(run) gives for every run that no other program is at; why runs failed, and who is at others, by the
    name of the first of the folders(run) that it works in. These are asked again at the end, so that whoever ends last
    has all."""
    signal.signal(signal.SIGTERM, opening.interrupt)  # as Ctrl-C: what runs below is stopped as well
    made, failed, held = [], {}, {}
    for again in (False, True):
        for number, run in enumerate(runs, 1):
            name = folders(run)[0].name
            if again and name not in held:
                continue
            title = f"[{number}/{len(runs)}] {name}"
            try:
                if busy := hold(folders(run)):
                    held[name] = busy
                    print(f"{title}: another process works on it.", flush=True)
                    continue
                held.pop(name, None)
                print(title, flush=True)
                made.append(make(run))
            except (BadRun, BadData) as fault:
                failed[name] = str(fault)
                print(f"{title} failed: {fault}", flush=True)
            finally:
                lock.release()
    return made, failed, held


def hold(folders: Sequence[Path]) -> str:
    """Take a run that works in these folders for this process, until lock.release(); or who is at it."""
    own = folders[0] / f".commands{lock.NAME}"
    try:
        for file in (own, *(folder / lock.NAME for folder in folders)):  # also a script that was started by hand
            lock.take(file)
        lock.release()  # the commands take those of the folders themselves
        lock.take(own)
    except BadRun as other:
        return str(other)
    return ""


def made_from(settings: config.Settings, cases: object, unread: Collection[str] = ()) -> str:
    """A digest of what decides a run beside its command lines, which hold only what was typed: all settings but the
    `unread`, the weights that it starts from, and its `cases`, with a digest of each one's content."""
    start = digest.of_file(Path(settings.start_weights)) if settings.start_weights else ""
    return digest.of_text(str([runfolder.deciding(config.as_dict(settings), unread), start, cases]))


def run(folder: Path, made_from: str, prepare: Callable[[], object], lines: Sequence[list[str]]) -> None:
    """Make a run: prepare(), which writes what the commands read, then the commands. A command that has ended well is
    skipped, unless one before it had to be run, or what the run is made_from() has changed. Raises BadRun
    where a command fails.
    """
    record = folder / RECORD
    held = tables.json(record) if record.exists() else {}
    done = held.get("commands") if held.get("made_from") == made_from else []
    done = done if isinstance(done, list) else []
    if any(line not in done for line in lines):
        prepare()
    for i, line in enumerate(lines):
        if line in done:
            continue
        print(shlex.join(["python", *line[1:]]), flush=True)
        if code := call(line):
            raise BadRun(f"{Path(line[1]).name} ended with exit code {code}, as told above; run this again to go on.")
        done = [*(other for other in done if other in lines[:i]), line]
        writing.json(record, {"made_from": made_from, "commands": done})
