"""The two sides of a stage as processes, run in turn: what bench.py times."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from cxr.errors import BadRun

ROOT = Path(__file__).resolve().parents[1]


class Failed(BadRun):
    """A side ended before its time; the message holds the last it said."""


def in_turn(stage: str, arguments: dict, sides: dict[str, list[str]], pairs: int, work: Path) -> dict:
    """Run one stage of every side, {name: settings}, once to warm up and then `pairs` times in turn.

    Returns for each side {"seconds": of each run but the first, "peak_bytes": of its process, "results": arrays of the
    first run, "losses": of every run}.
    """
    workers, found = {}, {}
    try:
        for side, settings in sides.items():
            told = {"side": "plain" if side == "plain" else "project", "stage": stage}
            workers[side] = _start(told | {"arguments": arguments | {"settings": settings}}, work / f"{side}.log")
            found[side] = {"seconds": []}
        for i in range(pairs + 1):
            for side, worker in workers.items():
                file = work / f"{side}.npz"
                answer = _ask(worker, str(file) if i == 0 else None, work / f"{side}.log")
                found[side]["peak_bytes"] = answer["peak_bytes"]
                if i == 0:
                    with np.load(file) as arrays:
                        found[side]["results"] = dict(arrays)
                    file.unlink()
                else:
                    found[side]["seconds"].append(answer["seconds"])
                found[side].setdefault("losses", []).append(answer.get("loss"))
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
            worker.stdout.close()
    return found


def process(words: list, log: Path) -> tuple[float, int]:
    """Run a command to its end: seconds, and the greatest memory of the process in bytes. Raises Failed."""
    with open(log, "w") as file:
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=file, stderr=file)
        peak, over = [0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(child.pid, peak, over))
        watcher.start()
        child.wait()
        seconds = time.perf_counter() - start
        over.set()
        watcher.join()
    if child.returncode:
        raise Failed(f"{words[0]} ended with code {child.returncode}: {_last(log)}")
    return seconds, peak[0]


def peak_bytes(pid: int | str = "self") -> int:
    """The greatest memory that a running process has had, in bytes; 0 where the system does not tell it (not Linux).

    Not getrusage(): what that calls a process's peak begins with its parent's memory at the time of the start.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]  # gone once it has ended
    return int(found[0]) * 1024 if found else 0


def _watch(pid: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(0.05):
        peak[0] = max(peak[0], peak_bytes(pid))


def _start(request: dict, log: Path) -> subprocess.Popen:
    with open(log, "w") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()
    return worker


def _ask(worker: subprocess.Popen, out: str | None, log: Path) -> dict:
    try:
        worker.stdin.write(json.dumps(out) + "\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())
    except (OSError, ValueError):
        raise Failed(f"a side of the benchmark ended: {_last(log)}") from None


def _last(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-12:])
