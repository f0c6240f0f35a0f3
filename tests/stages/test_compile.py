"""compile=BACKEND: the same numbers under the same names, in both stages; backend eager, which needs no compiler."""

import json

import numpy as np
import pytest
import torch
from conftest import CLASSIFYING, TINY, TRAINING
from killed_runs import load, same

from classification import header as second
from classification.map_scores import criteria
from classification.model import backbone
from classification.voting import predict
from cxr.run import backends, runfolder
from cxr.settings import config
from segmentation import fast_forward, fcdensenet
from segmentation import header as first

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def traced():
    """How many functions torch.compile has traced in the test."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    return lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]


def first_stage(*words):
    return config.load(first, [*TINY, *words])[0]


def second_stage(*words):
    return config.load(second, [*CLASSIFYING, "input_scaling=imagenet", *words])[0]


def test_the_forward_pass_of_stage_1(traced):
    torch.manual_seed(0)
    model = fcdensenet.FCDenseNet((1, 1), 1, 4, first=4).eval()
    names, x = list(model.state_dict()), torch.rand(2, 1, 32, 32) * 255
    with torch.inference_mode():
        plain = fast_forward.prepare(model, first_stage(), CPU)(x)
        assert traced() == 0
        assert torch.equal(fast_forward.prepare(model, first_stage("compile=eager"), CPU)(x), plain) and traced() == 1
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("approach", ["local", "dense"])
def test_the_vote_of_stage_2(traced, approach):
    torch.manual_seed(0)
    model, settings = backbone.build("resnet18", 3).eval(), second_stage(f"approach={approach}")
    names = list(model.state_dict())
    rng = np.random.default_rng(0)
    case = rng.integers(0, 256, (96, 96)).astype(np.uint8), np.ones((96, 96), np.uint8), settings, "case", CPU
    plain, _ = predict.predict_image(predict.ready(model, CPU), *case)
    assert traced() == 0
    found, _ = predict.predict_image(predict.ready(model, CPU, "eager"), *case)
    assert np.array_equal(found, plain) and np.ptp(plain) > 0 and traced() > 0
    assert list(model.state_dict()) == names
    assert criteria.randomised(model, 1)["all"]._compiled_call_impl is None  # a copy is as it was built


@pytest.mark.parametrize(
    "script,stage,words",
    [
        pytest.param(
            "segmentation/train.py", "radiographs", [*TRAINING, "num_train=3", "epoch_max=1"], marks=pytest.mark.slow
        ),
        ("classification/train.py", "split_pairs", [*CLASSIFYING, "num_train=6", "num_patches=1", "epoch_max=1"]),
        (
            "classification/train.py",
            "split_pairs",
            [*CLASSIFYING, "num_train=6", "num_patches=1", "epoch_max=1", "approach=dense", "num_batch_train=3"],
        ),
    ],
)
def test_a_training_is_the_same_and_may_go_on_without(script, stage, words, request, tmp_path, call, traced):
    data = "dir_data_root" if stage == "radiographs" else "dir_split"
    words = [*words, f"{data}={request.getfixturevalue(stage)}", f"dir_checkpoint={tmp_path}"]
    for name, more in (("plain", []), ("compiled", ["compile=eager"])):
        done = call(script, *words, f"test_name={name}", *more)
        assert done.code == 0, done.err
        assert (traced() > 0) == (name == "compiled")
    one, other = (load(tmp_path / name / "last.pt") for name in ("plain", "compiled"))
    assert same(one["model"], other["model"])
    rows = [json.loads((tmp_path / name / "log.jsonl").read_text()) | {"seconds": 0} for name in ("plain", "compiled")]
    assert rows[0] == rows[1]
    assert runfolder.differences(other["settings"], one["settings"]) == ["test_name: 'compiled' -> 'plain'"]


def test_a_backend_that_there_is_not_is_told(call, tmp_path, radiographs, split_pairs):
    for script, data in (
        ("segmentation/train.py", f"dir_data_root={radiographs}"),
        ("classification/train.py", f"dir_split={split_pairs}"),
    ):
        stage = (*TINY, "num_batch_train=3") if script.startswith("seg") else CLASSIFYING
        done = call(script, *stage, data, f"dir_checkpoint={tmp_path}", "test_name=a", "compile=gcc")
        assert done.code == 1 and "compile='gcc' is no backend of torch.compile here" in done.err
        assert "inductor" in done.err and "eager" not in done.err and not (tmp_path / "a").exists()
    with pytest.raises(ValueError, match="compile='gcc' is no backend"):
        fast_forward.prepare(fcdensenet.build("fcdensenet56"), first_stage("compile=gcc"), CPU)
    with pytest.raises(backends.NoBackend, match="give one of the two"):
        fast_forward.prepare(fcdensenet.build("fcdensenet56"), first_stage("compile=eager", "backend=openvino"), CPU)
