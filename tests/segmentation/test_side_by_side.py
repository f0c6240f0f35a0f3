"""Several radiographs in work at once: no row waits for another, an interruption ends and keeps what is finished."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from conftest import ROOT, TINY

from cxr import pairs
from segmentation import batches

SEGMENT = "segmentation/inference.py"


def links(radiograph, folder, count):
    folder.mkdir()
    for i in range(count):
        os.link(radiograph, folder / f"c{i:05}{radiograph.suffix}")
    return folder


def rows(out):
    journal = out / "masks.0.jsonl"
    return journal.read_text().count("\n") if journal.exists() else 0


def words(given, out, trained):
    return [SEGMENT, "-i", given, "-o", out, *TINY, f"file_weights={trained.run / 'best.pt'}", "num_batch_test=1"]


def test_a_slow_first_radiograph_keeps_no_other_row_waiting(trained, radiographs, tmp_path, call, monkeypatch):
    given = links(next((radiographs / "JSRT").iterdir()), tmp_path / "in", 8)
    read, seen = batches.read, []

    def slow(job, settings):
        if job.case == "c00000":
            until = time.monotonic() + 60
            while rows(tmp_path / "out") < 4 and time.monotonic() < until:
                time.sleep(0.05)
            seen.append(rows(tmp_path / "out"))
        return read(job, settings)

    monkeypatch.setattr(batches, "read", slow)
    threads = torch.get_num_threads()
    done = call(*words(given, tmp_path / "out", trained))
    assert done.code == 0 and seen[0] >= 4 and torch.get_num_threads() == threads
    assert len(pairs.find(tmp_path / "out" / "in")) == 8


def test_ctrl_c_ends_soon_and_every_finished_pair_has_its_row(trained, radiographs, tmp_path):
    given = links(next((radiographs / "JSRT").iterdir()), tmp_path / "in", 3000)
    out = tmp_path / "out"
    line = [sys.executable, *words(given, out, trained)]
    # Whoever runs the tests in the background of a shell has SIGINT ignored, and so would the script.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with open(tmp_path / "log", "w") as log:
        child = subprocess.Popen([str(word) for word in line], cwd=ROOT, stdout=log, stderr=log, preexec_fn=heard)
        try:
            until = time.monotonic() + 120
            while not (out / "masks.0.jsonl").exists() and time.monotonic() < until:
                time.sleep(0.005)
            child.send_signal(signal.SIGINT)  # while batches are still being given out
            assert child.wait(timeout=15) != 0
        finally:
            child.kill()
            child.wait()
    finished = len(pairs.find(out / "in")) if (out / "in").exists() else 0
    assert rows(out) == finished < 3000


@pytest.mark.parametrize(
    "number,cores,count",
    [
        (9, 1, 2),
        (9, 2, 2),
        (9, 3, 3),
        (9, 5, 4),
        (9, 6, 3),
        (9, 7, 3),
        (9, 8, 4),
        (9, 10, 2),
        (9, 16, 4),
        (1, 16, 1),
        (2, 16, 2),
        (0, 4, 1),
    ],
)
def test_as_many_at_once_as_leave_few_cores_idle(number, cores, count):
    assert batches.side_by_side(number, cores) == count
