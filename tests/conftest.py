"""What the tests share: small synthetic sets, networks trained on them for seconds, ways to run scripts."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the networks are too small for more, and runs are compared bit for bit

import numpy as np
import pytest

from cxr import pairs

pytest.register_assert_rewrite("killed_runs", "trainings")

ROOT = Path(__file__).resolve().parents[1]
# The smallest network at the smallest size it takes
TINY = ["net_label=fcdensenet56", "resize_height=32", "resize_width=32", "device=cpu"]
# What teaches it something in seconds, with every random draw there is: dropout, order, augmentation
EPOCHS = 8
TRAINING = [
    *TINY,
    "num_batch_train=3",
    "learning_rate=1e-3",
    f"epoch_max={EPOCHS}",
    *"dropout=0.05 average=0.3 augment=True rotation=5 scale=0.05 shift=0.02 opacity=0.1".split(),
]

# The same for stage 2: a network that learns in seconds by patches a quarter of the image, with every random draw
CLASSIFYING = [
    "classes=['normal','bacterial=bacteria','viral=virus+COVID-19']",
    "net_label=resnet18",
    "pretrained=none",
    "device=cpu",
    "img_size=96",
    "patch_size=48",
    "num_batch_train=8",
    "num_batch_test=8",
    "repeat=9",
    "repeat_val=5",
    "num_patches=2",
    "learning_rate=3e-4",
    "weight_decay=1e-4",
    "lambda_l1=1e-7",
    "refuse=0",  # the drawn pairs are two ellipses, no radiographs
]
CLASSIFYING_EPOCHS = 4


def command(script, *words, processes=1):
    """The command line that starts a script, by torchrun where there are several processes."""
    launcher = [sys.executable]
    if processes > 1:
        launcher = [str(Path(sys.executable).with_name("torchrun")), "--standalone", f"--nproc-per-node={processes}"]
    return [*launcher, str(ROOT / script), *map(str, words)]


def run(script, *words, processes=1, timeout=900):
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
def radiographs(tmp_path_factory):
    """Folder of a synthetic set: 12 JSRT-like images (9 to train, 2 to validate, 1 to test), one image a class."""
    out = tmp_path_factory.mktemp("radiographs") / "set"
    done = run("data/make_phantom.py", "-o", out, "--jsrt", 12, "--per-class", 1, "--size", 128, "--workers", 2)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def trained(radiographs, tmp_path_factory):
    """A finished training on `radiographs`: run (its folder), words (its settings) and done (its process)."""
    folder = tmp_path_factory.mktemp("checkpoint")
    words = [*TRAINING, f"dir_data_root={radiographs}", f"dir_checkpoint={folder}"]
    done = run("segmentation/train.py", *words, "test_name=whole")
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(run=folder / "whole", words=words, done=done)


def draw_pair(folder, case, kind, seed):
    """A pair of 100 x 120 pixels whose lungs are dark (normal), bright (bacteria), or striped (virus and COVID-19)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:100, :120]
    lungs = [((rows - 50) / 36) ** 2 + ((columns - middle) / 20) ** 2 < 1 for middle in (32, 88)]
    grey = {"normal": 60.0, "bacteria": 190.0}.get(kind, 125 + 65 * np.sin((rows + 3 * seed) / 2.0))
    image = np.clip(grey + rng.normal(0, 15, rows.shape), 0, 255).astype(np.float32)
    pairs.save(folder, case, image, lungs[0] | lungs[1], 3 * lungs[0] + 2 * lungs[1])


@pytest.fixture(scope="session")
def split_pairs(tmp_path_factory):
    """A split of drawn pairs, {train,val,test}/<folder>/: 6, 2 and 3 of each of normal, bacteria, virus, COVID-19."""
    root = tmp_path_factory.mktemp("pairs") / "split"
    for f, folder in enumerate(("normal", "bacteria", "virus", "COVID-19")):
        for p, (part, count) in enumerate((("train", 6), ("val", 2), ("test", 3))):
            for i in range(count):
                draw_pair(root / part / folder, f"{folder}-{part}-{i}", folder, 100 * f + 10 * p + i)
    return root


def checkpoint(model, settings, classes, folders, input_scaling="imagenet", **more):
    """A classifier's checkpoint as train.py writes it."""
    told = {"settings": settings, "classes": classes, "folders": folders, "input_scaling": input_scaling}
    return {"model": model.state_dict(), **told, "epoch": 1, "score": 0.5} | more


@pytest.fixture(scope="session")
def classified(split_pairs, tmp_path_factory):
    """A finished training on `split_pairs`: split, run (its folder), words (its settings), done (its process)."""
    folder = tmp_path_factory.mktemp("classifiers")
    words = [*CLASSIFYING, f"dir_split={split_pairs}", f"dir_checkpoint={folder}", f"epoch_max={CLASSIFYING_EPOCHS}"]
    done = run("classification/train.py", *words, "test_name=whole")
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(split=split_pairs, run=folder / "whole", words=words, done=done)
