"""FC-DenseNet against the architecture written out a second time, and the weights files that load into it."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from cxr.errors import BadRun
from cxr.run import caselist
from cxr.settings import config
from segmentation import fcdensenet, header, train, weights

BLOCKS = {"fcdensenet103": (4, 5, 7, 10, 12, 15), "fcdensenet67": (5,) * 6, "fcdensenet56": (4,) * 6}
SETTINGS = config.load(header, [])[0]


def randomised(name, seed=0, channels=1):
    """A network of which no parameter and no statistic is what it was built with."""
    torch.manual_seed(seed)
    model = fcdensenet.build(name, channels).eval()
    for key, value in model.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and "norm" in key:
            value.normal_(0.5, 0.5)
    return model


def convolve(state, name, x, padding=0):
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)


def norm_relu(state, name, x):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.relu(F.batch_norm(x, *parts, training=False, eps=1e-5))


def dense_block(state, name, x, layers):
    """(input and new features, new features) of one dense block."""
    new = []
    for i in range(layers):
        seen = torch.cat([x, *new], 1)
        y = norm_relu(state, f"{name}.layers.{i}.norm", seen)
        new.append(convolve(state, f"{name}.layers.{i}.conv", y, padding=1))
    return torch.cat([x, *new], 1), torch.cat(new, 1)


def restated(state, x, blocks):
    """Jegou et al. 2017 as plain functions of a state dict with the official code's names: log-probabilities."""
    *down, bottom = blocks
    x = convolve(state, "firstconv", x, padding=1)
    skips = []
    for i, layers in enumerate(down):
        x, _ = dense_block(state, f"denseBlocksDown.{i}", x, layers)
        skips.append(x)
        x = norm_relu(state, f"transDownBlocks.{i}.norm", x)
        x = F.max_pool2d(convolve(state, f"transDownBlocks.{i}.conv", x), 2)
    _, new = dense_block(state, "bottleneck.bottleneck", x, bottom)
    for i, layers in enumerate(reversed(down)):
        skip = skips[-1 - i]
        name = f"transUpBlocks.{i}.convTrans"
        up = F.conv_transpose2d(new, state[f"{name}.weight"], state[f"{name}.bias"], stride=2)
        top, left = (up.shape[2] - skip.shape[2]) // 2, (up.shape[3] - skip.shape[3]) // 2
        up = up[:, :, top : top + skip.shape[2], left : left + skip.shape[3]]
        everything, new = dense_block(state, f"denseBlocksUp.{i}", torch.cat([up, skip], 1), layers)
    return F.log_softmax(convolve(state, "finalConv", everything), 1)


@pytest.mark.parametrize(
    "name,parameters,tensors",
    [("fcdensenet103", 9_319_428, 398), ("fcdensenet67", 3_460_356, 254), ("fcdensenet56", 1_374_580, 210)],
)
def test_parameter_counts(name, parameters, tensors):
    model = fcdensenet.build(name)
    found = list(model.parameters())
    assert (sum(p.numel() for p in found), len(found)) == (parameters, tensors)


@pytest.mark.parametrize("height,width", [(32, 32), (33, 47), (63, 65), (96, 40)])
@torch.inference_mode()
def test_output_is_as_large_as_the_input(height, width):
    out = fcdensenet.build("fcdensenet56", classes=3).eval()(torch.rand(2, 1, height, width) * 255)
    assert out.shape == (2, 3, height, width)
    torch.testing.assert_close(out.exp().sum(1), torch.ones(2, height, width))


@pytest.mark.parametrize(
    "name,size", [("fcdensenet103", (64, 64)), ("fcdensenet67", (32, 64)), ("fcdensenet56", (45, 51))]
)
@torch.inference_mode()
def test_equals_the_architecture_restated(name, size):
    model = randomised(name)
    x = torch.rand(2, 1, *size) * 255
    wanted = restated(model.state_dict(), x, BLOCKS[name])
    assert wanted.std() > 0.1  # a network that says the same everywhere would prove nothing
    torch.testing.assert_close(model(x), wanted, atol=1e-4, rtol=0)


def test_unknown_network_is_named():
    with pytest.raises(ValueError, match="no network 'unet'; choose one of fcdensenet103"):
        fcdensenet.build("unet")


def test_dropout_drops_whole_channels():
    layer = fcdensenet.DenseLayer(3, 64, 0.5)
    torch.manual_seed(0)
    flat = layer(torch.rand(2, 3, 8, 8)).flatten(2)
    dead = (flat == 0).all(2)
    assert 0.3 < dead.float().mean() < 0.7 and not (flat[~dead] == 0).any()


@pytest.mark.parametrize("prefix", ["", "module."])  # DataParallel writes the second
def test_checkpoint_of_the_official_code(tmp_path, prefix):
    model = randomised("fcdensenet56")
    state = {prefix + key: value for key, value in model.state_dict().items()}
    history = {"loss": np.arange(6.0), "iou": [np.float64(0.9), np.float32(0.1)], "best": np.int64(3)}
    torch.save({"model_state_dict": state, "epoch": 7, **history}, tmp_path / "official.pth")
    loaded, _, notes = weights.open_network(tmp_path / "official.pth", SETTINGS)
    x = torch.rand(1, 1, 64, 64) * 255
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), model(x), atol=1e-4, rtol=0)
        wanted = restated(model.state_dict(), x, BLOCKS["fcdensenet56"])
        torch.testing.assert_close(loaded(x), wanted, atol=1e-4, rtol=0)
    assert notes == [] and not loaded.training


def test_size_is_told_from_the_weights(tmp_path):
    for name in BLOCKS:
        torch.save(fcdensenet.build(name).half().state_dict(), tmp_path / "bare.pt")
        found, state, _ = weights.read(tmp_path / "bare.pt")
        assert found == name and state["firstconv.weight"].dtype == torch.float32


def test_safetensors_and_the_settings_in_it(tmp_path):
    model = randomised("fcdensenet56").half()
    save_file(model.state_dict(), tmp_path / "w.safetensors", {"settings": '{"gamma": 1.0, "resize_height": 256}'})
    loaded, used, notes = weights.open_network(tmp_path / "w.safetensors", SETTINGS)
    assert used.gamma == 1.0 and notes == ["gamma=1.0 as in the training of these weights, not 0.5"]
    typed = config.load(header, ["gamma=0.5"])[0]  # the header's own value, but asked for
    _, used, notes = weights.open_network(tmp_path / "w.safetensors", typed)
    assert used.gamma == 0.5 and notes == ["gamma=0.5 as typed, though these weights were trained with 1.0"]
    for mine, theirs in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), atol=0, rtol=0)


class Malicious:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('harm').touch()",)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch, writer):
    monkeypatch.chdir(tmp_path)
    with open("evil.pt", "wb") as file:
        (torch.save if writer == "torch" else pickle.dump)({"model_state_dict": Malicious()}, file)
    with pytest.raises(ValueError, match="evil.pt cannot be read as a checkpoint: .* might run code"):
        weights.read(tmp_path / "evil.pt")
    assert not (tmp_path / "harm").exists()


def broken(tmp_path, kind):
    path = tmp_path / f"w.{'safetensors' if 'safetensors' in kind else 'pt'}"
    state = fcdensenet.build("fcdensenet56").state_dict()
    if "safetensors" in kind:
        save_file(state, path)
    else:
        torch.save({"model": state}, path)
    if kind.startswith("truncated"):
        path.write_bytes(path.read_bytes()[:-200_000])
    elif kind == "text":
        path.write_text("<html>404: not found</html>")
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "other network":
        torch.save({"model": {"conv1.weight": torch.zeros(3)}}, path)
    elif kind == "other size":
        torch.save({"model": {key: value for key, value in state.items() if "bottleneck" not in key}}, path)
    elif kind == "missing layer":
        state.pop("finalConv.bias")
        torch.save({"model": state}, path)
    elif kind == "absent":
        path.unlink()
    return path


@pytest.mark.parametrize(
    "kind",
    ["truncated", "truncated safetensors", "text", "tensor", "other network", "other size", "missing layer", "absent"],
)
def test_what_is_no_weights_file_gives_a_sentence(tmp_path, kind):
    path = broken(tmp_path, kind)
    with pytest.raises(ValueError) as fault:
        weights.open_network(path, SETTINGS)
    assert str(path) in str(fault.value) and "\n" not in str(fault.value)


STATE = fcdensenet.build("fcdensenet56").state_dict()
LINKNET = {"firstconv.weight": torch.zeros(64, 3, 7, 7), "encoder1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}


@pytest.mark.parametrize(
    "held",
    [
        LINKNET,
        {"model": "unet", "state_dict": STATE},
        {"model": torch.zeros(3)},
        {3: torch.zeros(3)},
        STATE | {"epoch": 3},
        STATE | {"finalConv.weight": torch.tensor(0.0)},
        {key: value for key, value in STATE.items() if key != "finalConv.weight"},
        STATE | {"firstconv.weight": torch.zeros(48, 3, 3, 3)},
        {key: torch.zeros(value.shape[:1]) for key, value in STATE.items()},
        *({"model": STATE, "settings": told} for told in ([3], {"gamma": "bright"}, {"decision": [None]}, {3: 3})),
        {"model": STATE, "start": "jsrt.pt"},
        *({"model": STATE, "trained_on": listed} for listed in (3, [3], [["case", "folder"]], [[1, 2, 3, 4]])),
        {"model": STATE, "start": {"file": "a.pt", "sha256": "0", "trained_on": torch.zeros(3)}},
    ],
)
def test_checkpoints_of_other_programs_give_a_sentence(tmp_path, held):
    path = tmp_path / "theirs.pt"
    torch.save(held, path)
    with pytest.raises(ValueError, match="theirs.pt ") as fault:
        weights.open_network(path, SETTINGS)
        caselist.seen(path, [])
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("told", ["null", "[]", "3", '{"gamma": []}', "[" * 10_000])
def test_settings_of_another_form_in_safetensors(tmp_path, told):
    save_file(STATE, tmp_path / "theirs.safetensors", {"settings": told})
    if told == "null":
        assert weights.open_network(tmp_path / "theirs.safetensors", SETTINGS)[1] == SETTINGS
    else:
        with pytest.raises(ValueError, match="theirs.safetensors "):
            weights.open_network(tmp_path / "theirs.safetensors", SETTINGS)


def test_a_training_starts_from_no_network_of_other_classes(tmp_path):
    torch.save(fcdensenet.build("fcdensenet56", classes=7).state_dict(), tmp_path / "seven.pt")
    settings = config.load(header, ["net_label=fcdensenet56", f"start_weights={tmp_path / 'seven.pt'}"])[0]
    with pytest.raises(BadRun, match="seven.pt does not fit fcdensenet56: size mismatch"):
        train.new_network(settings, fresh=True)


def test_mirror_averages_with_the_lungs_exchanged():
    model = randomised("fcdensenet56")
    x = torch.rand(1, 1, 32, 48) * 255
    one, other = weights.probabilities(model, x), weights.probabilities(model, x.flip(-1)).flip(-1)
    both = weights.probabilities(model, x, mirror=True)
    torch.testing.assert_close(both[:, 2], (one[:, 2] + other[:, 3]) / 2)
    torch.testing.assert_close(both[:, 1], (one[:, 1] + other[:, 1]) / 2)
