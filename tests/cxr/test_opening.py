"""How scripts end: consoles that lack letters, Ctrl-C, a full disk."""

import errno
import io
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from cxr.errors import BadData
from cxr.run import opening


def test_what_a_console_cannot_show_is_escaped(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    opening.script(lambda: print("Wrote ->\u2192 Wroc\u0142aw, M\udcfcller"))()
    console.flush()
    assert console.buffer.getvalue().strip() == b"Wrote ->\\u2192 Wroc\\u0142aw, M\\udcfcller"


def raising(error):
    def main():
        try:
            raise error
        except OSError as inner:  # torch wraps what the disk says
            raise RuntimeError("failed writing file") from inner

    return opening.script(main)


def test_a_full_disk_is_one_sentence():
    with pytest.raises(SystemExit) as end:
        raising(OSError(errno.ENOSPC, "No space left on device", "/data/out/a.npy"))()
    assert end.value.code == (
        "tests/cxr/test_opening.py: /data/out: the disk is full; make room, then run the same command again: "
        "what was written stays."
    )
    for told in ("1048576 requested and 784352 written", "PytorchStreamWriter failed writing file data/0"):
        with pytest.raises(SystemExit, match="the disk is full; make room, then run"):
            raising(OSError(told))()
    with pytest.raises(RuntimeError):  # any other fault stays one of the program
        raising(OSError(errno.ENOENT, "No such file"))()


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.EACCES, "no permission"), (errno.ENOTDIR, "a file lies where a folder"), (errno.ENAMETOOLONG, "name too")],
)
def test_a_place_that_cannot_be_written_is_one_sentence(number, told):
    with pytest.raises(SystemExit, match=f"test_opening.py: out/a.npy: .*{told}.* then run the same command again"):
        raising(OSError(number, os.strerror(number), "out/a.npy"))()


def test_ctrl_c_while_a_weak_reference_dies_is_not_lost(tmp_path):
    """Python prints and passes over what a callback of it raises."""
    (tmp_path / "run.py").write_text(
        "import signal, sys, time, weakref\nsys.path[0] = sys.argv[1]\nfrom cxr.run import opening\n\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell has its background jobs ignore it
        "class Thing:\n    pass\n\ndef dying(_):\n    raise KeyboardInterrupt\n\n"
        "@opening.script\ndef main():\n    thing = Thing()\n    seen = weakref.ref(thing, dying)\n    del thing\n"
        "    time.sleep(60)\n\nmain()\n"
    )
    done = subprocess.run([sys.executable, tmp_path / "run.py", ROOT], capture_output=True, text=True, timeout=50)
    assert done.returncode == 130 and "Traceback" not in done.stderr and "interrupted" in done.stderr


SCRIPTS = sorted(
    path
    for folder in ("segmentation", "classification", "data", "weights")
    for path in (ROOT / folder).glob("*.py")
    if "\n@opening.script" in path.read_text()
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_ctrl_c_while_a_script_imports_is_one_sentence(script, tmp_path):
    """sitecustomize stands for the person: it interrupts where the first import beyond Python's own would begin."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n\nclass Ctrl:\n    def find_spec(self, name, *_):\n"
        "        if name in ('numpy', 'torch', 'pandas', 'cv2', 'classification', 'segmentation', 'data', 'weights'):\n"
        "            raise KeyboardInterrupt\n\nsys.meta_path.insert(0, Ctrl())\n"
    )
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr and "interrupted before it began" in done.stderr


def test_ctrl_c_and_bad_data_are_one_sentence(capsys):
    with pytest.raises(SystemExit) as end:
        raising(KeyboardInterrupt())()
    assert end.value.code == 130
    assert capsys.readouterr().err.strip() == (
        "tests/cxr/test_opening.py: interrupted; the same command goes on from here."
    )
    with pytest.raises(SystemExit) as end:
        raising(BadData("masks.csv is empty."))()
    assert end.value.code == "tests/cxr/test_opening.py: masks.csv is empty."


def test_ctrl_c_that_a_library_makes_another_error_of_is_one_sentence(capsys):
    """As torch does where it was writing, and matplotlib's C++ where it was drawing, which hides where it came from."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    @opening.script
    def main():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            fault = ValueError("Invalid bounding box")
        raise fault

    with pytest.raises(SystemExit) as end:
        main()
    signal.signal(signal.SIGINT, before)
    assert end.value.code == 130 and "interrupted; the same command goes on" in capsys.readouterr().err


def test_home_is_understood_where_a_shell_leaves_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "argv", ["x.py", "-o", "~/out", "--output=~/out", "a~b", "dir_save=~/out", "~"])
    opening.script(lambda: None)()
    assert sys.argv[1:] == ["-o", "/home/me/out", "--output=/home/me/out", "a~b", "dir_save=~/out", "/home/me"]


@pytest.mark.parametrize("lines", [1, 100_000])  # within the buffer, and beyond it
def test_a_reader_that_has_seen_enough_ends_it_without_a_traceback(tmp_path, lines):
    code = f"from cxr.run import opening\n@opening.script\ndef main():\n    print('told\\n' * {lines})\nmain()\n"
    (tmp_path / "talks.py").write_text(code)
    script = subprocess.Popen(
        [sys.executable, "talks.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    script.stdout.close()  # as `| head -0`
    assert script.stderr.read() == b"" and script.wait() == 1
