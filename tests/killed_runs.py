"""Runs that are killed as nothing can be caught of, and whether two trainings are the same bit for bit."""

import json
import os
import signal
import subprocess
import time

import torch
from conftest import ROOT, command, environment

# Runs a script and kills it, as nothing can be caught of, just before the n-th file is moved into its place: in an
# epoch these are log.jsonl, best.pt where the score is better, curves.png, last.pt.
KILLER = """
import os, runpy, signal, sys
left, replace = int(sys.argv.pop(1)), os.replace
sys.argv.pop(0)
def dying(*names):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = dying
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def load(path):
    return torch.load(path, weights_only=True)


def same(one, other):
    """Whether two nested states are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


def assert_same_run(one, other):
    for name in ("last.pt", "best.pt"):
        first, second = load(one / name), load(other / name)
        assert first.keys() == second.keys()
        for part in first.keys() - {"settings", "project"}:
            assert same(first[part], second[part]), f"{name}: {part}"
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (one, other)]
    for row in sum(logs, []):
        row.pop("seconds")
    assert logs[0] == logs[1]


def kill_after(script, words, path, seconds):
    """Start a training, and kill it with its children some seconds after it has written `path` anew."""
    path.unlink(missing_ok=True)
    process = subprocess.Popen(
        command(script, *words),
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not path.exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)
    if process.poll() is None:  # else this machine was faster
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
