"""precision=bf16-mixed, which every CPU can compute: trainings go on bit for bit, and networks answer."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CLASSIFYING, TINY
from killed_runs import assert_same_run

BRAIN = "precision=bf16-mixed"


def kept(folder):
    """The weights of a run, and the losses of its epochs."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return torch.load(folder / "last.pt", weights_only=True)["model"], [row["train_loss"] for row in rows]


@pytest.mark.parametrize(
    "script,stage,words",
    [
        ("segmentation/train.py", "radiographs", [*TINY, "num_train=3", "num_batch_train=3"]),
        ("classification/train.py", "split_pairs", [*CLASSIFYING, "num_train=6", "num_patches=1"]),
    ],
)
def test_trainings_go_on_bit_for_bit(script, stage, words, request, tmp_path, call):
    data = "dir_data_root" if stage == "radiographs" else "dir_split"
    words = [*words, f"{data}={request.getfixturevalue(stage)}", f"dir_checkpoint={tmp_path}"]
    for name, epochs in (("whole", 2), ("parts", 1), ("parts", 2)):
        done = call(script, *words, f"test_name={name}", f"epoch_max={epochs}", BRAIN)
        assert done.code == 0, done.err
    assert "epoch 1:" not in done.out
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    weights, losses = kept(tmp_path / "whole")
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights.values())  # bfloat16 while computing
    assert call(script, *words, "test_name=plain", "epoch_max=1").code == 0
    plain = kept(tmp_path / "plain")[1][0]
    assert losses[0] != plain and losses[0] == pytest.approx(plain, rel=0.02)
    done = call(script, *words, "test_name=parts", "epoch_max=2")
    assert done.code == 1 and "precision: 'bf16-mixed' -> '32-true'" in done.err


def test_stage_1_segments(trained, radiographs, tmp_path, call):
    found = {}
    for name, more in (("plain", []), ("brain", [BRAIN])):
        words = [*TINY, *more, f"file_weights={trained.run / 'best.pt'}"]
        done = call("segmentation/inference.py", "-i", radiographs / "JSRT", "-o", tmp_path / name, *words)
        assert done.code == 0, done.err
        found[name] = {path.name: np.load(path) for path in (tmp_path / name / "JSRT").glob("*.labels.npy")}
    assert len(found["plain"]) == 12
    same = [np.mean(found["brain"][name] == labels) for name, labels in found["plain"].items()]
    assert np.mean(same) > 0.99  # a network taught for seconds is unsure of many pixels


@pytest.mark.parametrize("approach", ["local", "dense"])
def test_stage_2_predicts(classified, tmp_path, call, approach):
    rows = {}
    for name, more in (("plain", []), ("brain", [BRAIN])):
        words = [*classified.words, f"file_weights={classified.run / 'best.pt'}", f"approach={approach}", *more]
        done = call("classification/inference.py", *words, "-o", tmp_path / name)
        assert done.code == 0, done.err
        rows[name] = pd.read_csv(tmp_path / name / "predictions.csv")[["p_normal", "p_bacterial", "p_viral"]].to_numpy()
    assert rows["brain"].shape == (12, 3) and not np.array_equal(rows["brain"], rows["plain"])
    np.testing.assert_allclose(rows["brain"], rows["plain"], atol=0.05)
