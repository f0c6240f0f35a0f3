"""The folder of a training: with 16-bit floats the scale of the gradients goes on where it was."""

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision

from cxr.run import engine, runfolder
from cxr.settings import config
from segmentation import header, validation

ROW = {"epoch": 1, "train_loss": 1.0, "val_loss": 1.0, "learning_rate": 0.1}
ROW |= {"val_score": 0.5, "val_jaccard_heart": 0.5, "val_jaccard_lungs": 0.5}


def half(**scaler):
    """A fabric with true 16-mixed on the CPU, where a person's would become bf16-mixed, and a small network in it."""
    how = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", **scaler))
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[how])
    model = torch.nn.Linear(2, 1)
    return fabric, *fabric.setup(model, torch.optim.Adam(model.parameters()))


def step(fabric, model, optimizer):
    """A step of the training, and the scale after it."""
    optimizer.zero_grad()
    fabric.backward(model(torch.ones(1, 2)).sum())
    optimizer.step()
    return fabric.strategy.precision.scaler.get_scale()


@pytest.fixture
def last(tmp_path):
    """What last.pt holds of a run whose scale has doubled from 16, and doubles again in its next step but one."""
    fabric, model, optimizer = half(init_scale=16.0, growth_interval=2)
    assert [step(fabric, model, optimizer) for _ in range(3)] == [16.0, 32.0, 32.0]
    writer = runfolder.begin(tmp_path, 0, {})
    state = {"epoch": 1, "best": 0.5, "best_epoch": 1, "model": model.state_dict()}
    last = state | runfolder.training_state(fabric, optimizer)
    runfolder.keep(tmp_path, writer, ROW, state, last, validation.curves)
    writer.close()
    assert "precision" not in engine.load(tmp_path / "best.pt")  # no training goes on from that
    return engine.load(tmp_path / "last.pt")


def test_the_scale_is_kept_and_goes_on(last):
    fabric, model, optimizer = half()  # a new one begins with 65536, and grows after 2000 steps
    runfolder.resume(fabric, last, optimizer)
    assert [step(fabric, model, optimizer) for _ in range(3)] == [64.0, 64.0, 128.0]


def test_a_training_that_goes_on_says_so(tmp_path):
    settings = config.load(header, [])[0]
    assert runfolder.notes(tmp_path, settings, None) == []
    (told,) = runfolder.notes(tmp_path, settings, {"epoch": 7})
    assert told == f"Goes on with {tmp_path} after epoch 7 of 100."
    there = config.replace(settings, file_weights="a.pt")
    assert "file_weights in header.py names what predicts" in runfolder.notes(tmp_path, there, None)[0]


@pytest.mark.parametrize("held", [{}, {"precision": {}}])
def test_a_file_without_a_scale_goes_on_all_the_same(last, held):
    """One of an earlier version, and one of a run that comes from another precision."""
    fabric, model, optimizer = half(init_scale=8.0)
    runfolder.resume(fabric, {name: last[name] for name in last if name != "precision"} | held, optimizer)
    assert step(fabric, model, optimizer) == 8.0


def test_a_setting_younger_than_a_run_counts_once_it_is_on():
    old = {"seed": 1}
    assert runfolder.differences(old, {"seed": 1, "freeze": 0.0, "extra": None}) == []
    assert runfolder.differences(old, {"seed": 2, "freeze": 0.5}) == ["seed: 1 -> 2", "freeze: None -> 0.5"]
