"""The disposable decoding process: real deaths, real silence, and that nothing of it is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dicom_files as make
import numpy as np
import psutil
import pytest
from conftest import ROOT

from cxr.reading import decode, radiograph
from cxr.reading.radiograph import Unreadable

RAMP = make.ramp()


@pytest.fixture
def image(tmp_path):
    return make.compress(make.save(tmp_path / "radiograph.dcm", make.dataset(RAMP)), "JPEG 2000")


def test_one_worker_serves_many_files(image):
    radiograph.read(image)
    first = decode._worker.pid
    for _ in range(20):
        assert np.array_equal(radiograph.read(image).pixels, RAMP)
    assert decode._worker.pid == first


def test_the_worker_finds_what_lies_on_the_users_python_path(image, tmp_path, monkeypatch):
    """Modules of a cluster put libraries there. A broken one there shows that the worker looks."""
    decode.stop()
    (tmp_path / "pydicom").mkdir()
    (tmp_path / "pydicom" / "__init__.py").write_text("raise ImportError('the one of the user')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Unreadable, match="did not start"):
        radiograph.read(image)
    monkeypatch.undo()
    assert np.array_equal(radiograph.read(image).pixels, RAMP)


def test_the_worker_holds_no_torch(image):
    radiograph.read(image)
    libraries = {Path(entry.path).name for entry in psutil.Process(decode._worker.pid).memory_maps()}
    assert libraries and not any("torch" in name for name in libraries)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_its_death_names_the_file_and_the_next_file_is_read(image, number):
    radiograph.read(image)
    process = decode._worker
    os.kill(process.pid, signal.SIGSTOP)  # as if deep in a decoder
    threading.Timer(0.3, lambda: (os.kill(process.pid, number), os.kill(process.pid, signal.SIGCONT))).start()
    with pytest.raises(Unreadable, match=f"radiograph.dcm: its decoder died \\({number.name}\\)"):
        radiograph.read(image)
    assert process.poll() == -number and not psutil.pid_exists(process.pid)
    assert np.array_equal(radiograph.read(image).pixels, RAMP)


def test_its_silence_names_the_file_and_the_next_file_is_read(image, monkeypatch):
    radiograph.read(image)
    process = decode._worker
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(decode, "SILENCE_S", 0.5)
    began = time.monotonic()
    with pytest.raises(Unreadable, match=r"radiograph.dcm: its decoder did not answer within 0\.5 s"):
        radiograph.read(image)
    assert 0.4 < time.monotonic() - began < 5
    assert not psutil.pid_exists(process.pid)  # killed though it was stopped, and collected: no zombie
    monkeypatch.undo()
    assert np.array_equal(radiograph.read(image).pixels, RAMP)


def test_a_death_between_two_files_is_not_noticed(image):
    radiograph.read(image)
    os.kill(decode._worker.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert np.array_equal(radiograph.read(image).pixels, RAMP)


def test_threads_share_it(image):
    wrong = []

    def work():
        for _ in range(10):
            if not np.array_equal(radiograph.read(image).pixels, RAMP):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_forked_child_gets_its_own(image):
    radiograph.read(image)
    ours = decode._worker.pid
    child = os.fork()
    if child == 0:
        good = np.array_equal(radiograph.read(image).pixels, RAMP) and decode._worker.pid != ours
        decode.stop()
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(radiograph.read(image).pixels, RAMP) and decode._worker.pid == ours


@pytest.mark.parametrize("end", ["returns", "is killed"])
def test_it_ends_with_its_parent(image, end, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the user is not to be imported')")
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from cxr.reading import decode, radiograph\n"
        f"radiograph.read({image.name!r})\n"
        "print(decode._worker.pid, flush=True)\n" + ("" if end == "returns" else "sys.stdin.read()\n")
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "parent.py").write_text(script)
    parent = subprocess.Popen(
        [sys.executable, "-W", "error", "run/parent.py"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    worker = int(parent.stdout.readline())
    if end == "is killed":
        parent.kill()
    _, errors = parent.communicate(timeout=30)
    assert errors == ""
    for _ in range(100):
        if not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE:
            break  # a container without a reaping init keeps the orphan's entry, not the process
        time.sleep(0.1)
    else:
        pytest.fail("the worker outlived its parent")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is set on Linux only")
def test_its_memory_is_limited(image):
    """A deflated file of megabytes may inflate to any size: it fails in the worker, not in the machine."""
    radiograph.read(image)
    assert psutil.Process(decode._worker.pid).rlimit(psutil.RLIMIT_AS)[0] == decode.MEMORY_BYTES

    def inflate(path, pixel_limit):
        return bytearray(1 << 62)

    with pytest.raises(Unreadable, match="more memory"):
        decode.guarded(inflate, image, 1)
