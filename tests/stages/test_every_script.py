"""Every script in turn: on a full disk it ends in one sentence, the same command then goes on, none uses the network or
writes outside its output, whatever a file is called, and no output tells who the patient in a DICOM header is."""

import errno
import os
import socket
import sys
from pathlib import Path

import every_script
import pytest
from conftest import ROOT

from cxr.run import trainings

NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}


@pytest.fixture
def connections():
    """What leads off this machine from now to the end of the test."""
    seen = [[]]

    def hook(event, given):  # once added, it cannot be taken away
        if seen and event in NETWORK and not (event == "socket.connect" and given[0].family == socket.AF_UNIX):
            seen[0].append((event, given))

    sys.addaudithook(hook)
    yield seen[0]
    seen.clear()


def outside(out):
    """Every file beside a folder and when it was written, and what lies at the top of the project."""
    beside = [path for path in out.parent.rglob("*") if path != out and not path.is_relative_to(out)]
    return {path: path.lstat().st_mtime_ns for path in beside}, set(ROOT.iterdir())


def full(_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.slow
def test_every_script(radiographs, split_pairs, tmp_path, call, connections, monkeypatch):
    def inside(line):  # what curve.py and crossval.py start, in this process, where it is watched as well
        done = call(str(Path(line[1]).relative_to(ROOT)), *line[2:])
        sys.stderr.write(done.err)
        return done.code

    monkeypatch.setattr(trainings, "call", inside)
    cohort, out = every_script.inputs(radiographs, tmp_path / "dicom"), tmp_path / "out"
    before = outside(out)
    for script, words in every_script.commands(radiographs, cohort, split_pairs / "train", out).items():
        if script != "data/make_phantom.py":  # it brings no file to the disk by itself
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", full)
                done = call(script, *words)
            assert done.code == 1 and "the disk is full; make room" in done.err, f"{script}: {done.err}"
            assert "Traceback" not in done.err and not list(out.rglob("*.part")), script
        done = call(script, *words)
        assert done.code == 0, f"{script}: {done.err}"
        assert not any(word in done.out + done.err for word in every_script.CANARY), script
    assert not connections
    assert outside(out) == before
    assert f"{every_script.HOSTILE}.image.npy" in {path.name for path in (out / "masks").rglob("*")}
    files = [file for file in out.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} >= {".npy", ".csv", ".json", ".png", ".html", ".pt"}
    for file in files:
        held = file.read_bytes()
        coded = (word.encode(code) for word in every_script.CANARY for code in ("utf-8", "latin-1", "utf-16-le"))
        assert not any(word in held for word in coded), file
        assert file.suffix != ".html" or every_script.MARKUP.encode() not in held, file
