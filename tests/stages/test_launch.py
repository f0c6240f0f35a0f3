"""The five ways a person starts a script, each as a real process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cxr.run import engine
from cxr.settings import config
from segmentation import header

SCRIPT = config.ROOT / "segmentation" / "train.py"
TORCHRUN = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2"]
WAYS = {
    "from the root": (config.ROOT, [sys.executable, "segmentation/train.py"]),
    "from its folder": (SCRIPT.parent, [sys.executable, "train.py"]),
    "from anywhere": (None, [sys.executable, str(SCRIPT)]),
    "as a module": (config.ROOT, [sys.executable, "-m", "segmentation.train"]),
    "by torchrun": (config.ROOT, [*TORCHRUN, "segmentation/train.py"]),
}


@pytest.fixture(params=WAYS)
def launch(request, tmp_path):
    """Run train.py with arguments in one of the ways, without the path that pytest gave this process."""
    folder, command = WAYS[request.param]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments], cwd=folder or tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )

    run.by_torchrun = command[0] == TORCHRUN[0]
    return run


def test_help_lists_the_settings(launch):
    done = launch("--help")
    assert done.returncode == 0, done.stderr
    for _, name, default, _ in config.read(header):
        assert f"{name}={default!r}" in done.stdout


def test_unknown_setting_offers_the_nearest(launch):
    done = launch("epoc_max=2")
    assert done.returncode == (1 if launch.by_torchrun else 2), done.stderr  # torchrun answers every failure with 1
    sentence = ": segmentation/header.py has no setting 'epoc_max'; the nearest is 'epoch_max', --help lists all"
    assert sentence in done.stderr
    assert launch.by_torchrun or len(done.stderr.splitlines()) == 1


def test_unknown_precision_names_the_known(launch):
    done = launch("precision=fp16")
    assert done.returncode == 1
    assert "precision='fp16' is unknown; it is 32-true, tf32, bf16-mixed or 16-mixed." in done.stderr


@pytest.mark.parametrize("precision", ["tf32", "32-true", "tf32", "bf16-mixed"])
def test_tensor_cores_shorten_float32_only_where_asked(precision, recwarn):
    fabric = engine.launch("cpu", precision)
    wanted = precision == "tf32"
    assert torch.backends.cudnn.allow_tf32 is wanted and torch.backends.cuda.matmul.allow_tf32 is wanted
    # as the functions that compute ask, by the newer names
    assert (torch.backends.cudnn.conv.fp32_precision == "tf32") is wanted
    assert (torch.backends.cuda.matmul.fp32_precision == "tf32") is wanted
    assert torch.get_float32_matmul_precision() == ("high" if wanted else "highest")  # as Fabric asks on a GPU
    with fabric.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
    assert not [w for w in recwarn if "TF32" in str(w.message) or "fp32_precision" in str(w.message)]


STEPS = """
import sys
sys.path.insert(0, {root!r})
from cxr.run import opening
import torch
from cxr.run import engine

def steps(net, first, last):
    model, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.1))
    for step in range(first, last):
        rows = torch.randn(8, 300, generator=torch.Generator().manual_seed(100 * step + fabric.global_rank))
        optimizer.zero_grad()
        fabric.backward(model(rows).square().mean())
        optimizer.step()
    return net

def whole():
    torch.manual_seed(0)
    layers = [kind for _ in range(6) for kind in (torch.nn.Linear(300, 300), torch.nn.Tanh())]
    return torch.nn.Sequential(*layers)

fabric = engine.launch("cpu")
one, other = steps(whole(), 0, 6), steps(steps(whole(), 0, 3), 3, 6)
assert all(map(torch.equal, one.parameters(), other.parameters())), "another rounding"
"""


def test_three_processes_go_on_bit_for_bit(tmp_path):
    """Two would always do: the sum of two numbers has one order."""
    (tmp_path / "steps.py").write_text(STEPS.format(root=str(config.ROOT)))
    command = [*TORCHRUN[:-1], "3", str(tmp_path / "steps.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "unused" not in done.stderr, done.stderr
