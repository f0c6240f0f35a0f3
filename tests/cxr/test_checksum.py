"""Weights files with one byte flipped are refused; untouched ones, and those of before, load."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from classification.model import weightfile
from cxr.run import checksum, engine
from segmentation import fcdensenet, weights


def flips(path, count):
    """The file's bytes with one flipped, at random places, before each of them is read."""
    held = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(held), count):
        path.write_bytes(held[:place] + bytes([held[place] ^ 16]) + held[place + 1 :])
        yield place
    path.write_bytes(held)


def refused(read, path, count):
    """Of how many flips the file was refused, and of how many it held the same as without."""
    before, told, same = read(path), 0, 0
    for _ in flips(path, count):
        try:
            now = read(path)
            same += now.keys() == before.keys() and all(torch.equal(now[key], before[key]) for key in before)
        except ValueError as fault:
            assert str(path) in str(fault)
            told += 1
    return told, same


def test_a_flipped_byte_in_a_checkpoint_never_changes_a_weight(tmp_path):
    state = {f"layer{i}.weight": torch.randn(40, 50) for i in range(4)}
    engine.save({"model": state}, tmp_path / "best.pt")
    told, same = refused(lambda path: engine.load(path)["model"], tmp_path / "best.pt", 60)
    assert told + same == 60 and told > 50


def test_a_flipped_byte_in_safetensors_never_changes_a_weight(tmp_path):
    path = tmp_path / "w.safetensors"
    model = fcdensenet.build("fcdensenet56").state_dict()
    checksum.save(model, path, {"settings": json.dumps({"gamma": 0.5}), "format": "pt"})
    told, same = refused(lambda path: weights.read(path)[1], path, 2)
    assert told == 2 and not same
    resnet = {"layer3.1.conv2.weight": torch.randn(64, 64)}
    checksum.save(resnet, tmp_path / "r.safetensors", {"classes": '["a", "b"]'})
    assert refused(lambda path: weightfile.read(path)[1], tmp_path / "r.safetensors", 40)[0] == 40
    save_file(resnet, tmp_path / "old.safetensors")
    assert weightfile.read(tmp_path / "old.safetensors")[0] == "resnet18"
    with pytest.raises(ValueError, match="old.safetensors is damaged"):
        checksum.check(tmp_path / "old.safetensors", resnet, {checksum.KEY: "0"})


@pytest.mark.parametrize("name", ["best.pt", "w.safetensors"])
def test_a_file_cut_at_every_tenth_is_refused_by_name(tmp_path, name):
    path, state = tmp_path / name, {"layer3.1.conv2.weight": torch.randn(64, 64)}
    if name == "best.pt":
        engine.save({"model": state}, path)
    else:
        checksum.save(state, path, {"classes": '["a", "b"]'})
    held = path.read_bytes()
    for tenth in range(10):
        path.write_bytes(held[: len(held) * tenth // 10])
        for read in (engine.load,) if name == "best.pt" else (weightfile.read, weights.read):
            with pytest.raises(ValueError, match=name):
                read(path)


GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_weights_are_saved_as_they_lie_in_a_training(tmp_path, device):
    layer = torch.nn.Linear(3, 2).to(device)
    checksum.save(layer.state_dict(keep_vars=True), tmp_path / "w.safetensors", {})
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("weight"), layer.weight.detach().cpu())
        checksum.check(
            tmp_path / "w.safetensors", {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
        )
