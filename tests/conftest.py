"""What the tests of stage 1 share: a small synthetic set, a network trained on it for seconds, ways to run scripts."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the networks are too small for more, and runs are compared bit for bit

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The smallest network at the smallest size it takes
TINY = ["net_label=fcdensenet56", "resize_height=32", "resize_width=32", "device=cpu"]
# What teaches it something in seconds, with every random draw there is: dropout, order, augmentation
EPOCHS = 8
TRAINING = [*TINY, "num_batch_train=3", "learning_rate=1e-3", f"epoch_max={EPOCHS}", "dropout=0.05", "average=0.3",
            "augment=True", "rotation=5", "scale=0.05", "shift=0.02", "opacity=0.1"]


def command(script, *words, processes=1):
    """The command line that starts a script, by torchrun where there are several processes."""
    launcher = [sys.executable]
    if processes > 1:
        launcher = [str(Path(sys.executable).with_name("torchrun")), "--standalone", f"--nproc-per-node={processes}"]
    return [*launcher, str(ROOT / script), *map(str, words)]


def run(script, *words, processes=1, timeout=300):
    """A script as a process of its own: its subprocess.CompletedProcess, with text."""
    line = command(script, *words, processes=processes)
    return subprocess.run(line, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=timeout)


def environment():
    """This process's environment without the path that pytest gave it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a script's main() in this process, which spares the seconds of imports: gives code, out and err."""

    def start(script, *words):
        monkeypatch.setattr(sys, "path", list(sys.path))  # the scripts set the first place of it
        module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            module.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        if isinstance(code, str):  # sys.exit(sentence) prints it and ends with 1
            code, err = 1, err + code
        return SimpleNamespace(code=code or 0, out=out, err=err)

    return start


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Folder of a synthetic set: 12 JSRT-like films (9 to train, 2 to validate, 1 to test), one film a class."""
    out = tmp_path_factory.mktemp("films") / "set"
    done = run("data/make_phantom.py", "-o", out, "--jsrt", 12, "--per-class", 1, "--size", 128, "--workers", 2)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def trained(films, tmp_path_factory):
    """A finished training on `films`: run (its folder), words (its settings) and done (its process)."""
    folder = tmp_path_factory.mktemp("checkpoint")
    words = [*TRAINING, f"dir_data_root={films}", f"dir_checkpoint={folder}"]
    done = run("segmentation/train.py", *words, "test_name=whole")
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(run=folder / "whole", words=words, done=done)
