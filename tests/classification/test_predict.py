"""The vote: patches and windows of one image against their definitions, counted as the tables say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from classification import header
from classification.model import backbone
from classification.voting import predict
from cxr.settings import config


def settings_of(*words):
    return config.load(
        header, ["img_size=160", "patch_size=64", "repeat=7", "num_batch_test=3", "input_scaling=imagenet", *words]
    )[0]


@pytest.fixture(scope="module")
def network():
    """A ResNet-18 with random weights whose normalisation has seen some patches."""
    torch.manual_seed(0)
    model = backbone.build("resnet18", 3)
    with torch.no_grad():
        model(torch.randn(8, 3, 64, 64) * 2)
        model.fc.weight *= 20
    return model.eval()


@pytest.fixture(scope="module")
def radiograph():
    """A masked image (160, 160) uint8 and its lung, which touches the border."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:160, :160]
    lung = ((rows - 70) / 60) ** 2 + ((columns - 30) / 35) ** 2 < 1
    lung |= ((rows - 80) / 70) ** 2 + ((columns - 120) / 25) ** 2 < 1
    return (rng.integers(0, 256, lung.shape) * lung).astype(np.uint8), lung.astype(np.uint8)


def slow(network, image, centres, size):
    """The definition: pad with zeros, slice one patch, ask the network, one at a time."""
    padded, found = np.pad(image, size), []
    for row, column in centres:
        top, left = row + size - size // 2, column + size - size // 2
        patch = torch.tensor(padded[top : top + size, left : left + size], dtype=torch.float32)
        with torch.no_grad():
            found.append(network(backbone.scale(patch[None, None], "imagenet")).softmax(1)[0].numpy())
    return np.array(found)


def test_local_patches_are_those_of_the_definition(network, radiograph):
    image, lung = radiograph
    settings = settings_of()
    p, centres = predict.predict_image(network, image, lung, settings, "case", "cpu")
    assert p.shape == (7, 3) and p.dtype == np.float32 and centres.shape == (7, 2)
    assert lung[centres[:, 0], centres[:, 1]].all()
    np.testing.assert_allclose(p, slow(network, image, centres, 64), atol=1e-5)
    assert np.ptp(p, axis=0).max() > 0.01  # patches that all give the same would prove little


def test_batches_and_order_of_cases_change_nothing(network, radiograph):
    one, _ = predict.predict_image(network, *radiograph, settings_of(), "case", "cpu")
    predict.predict_image(network, *radiograph, settings_of(), "another", "cpu")
    for size in (1, 4, 100):
        other, _ = predict.predict_image(network, *radiograph, settings_of(f"num_batch_test={size}"), "case", "cpu")
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_places_depend_on_seed_and_case_only_and_fewer_are_the_first_of_more(radiograph):
    settings, lung = settings_of(), radiograph[1]
    places = predict.places(lung, settings, "case")
    np.testing.assert_array_equal(places, predict.places(lung, settings, "case", repeat=50)[:7])
    assert not np.array_equal(places, predict.places(lung, settings, "other"))
    assert not np.array_equal(places, predict.places(lung, settings_of("seed=1"), "case"))
    grid = predict.places(lung, settings_of("sampling=grid"), "case")
    np.testing.assert_array_equal(grid, predict.places(lung, settings_of("sampling=grid", "seed=1"), "other"))


def test_global_sees_the_whole_image_once(network, radiograph):
    image, lung = radiograph[0][:64, :64].copy(), radiograph[1][:64, :64].copy()  # as dataset.Images resizes it
    p, centres = predict.predict_image(network, image, lung, settings_of("approach=global"), "case", "cpu")
    with torch.no_grad():
        x = backbone.scale(torch.from_numpy(image)[None, None].float(), "imagenet")
        np.testing.assert_allclose(p, network(x).softmax(1).numpy(), atol=1e-6)
    assert centres.tolist() == [[32, 32]]


@pytest.mark.parametrize("patch_size,side", [(96, 3), (160, 5), (32, 1), (50, 1), (128, 5)])
def test_dense_windows_are_those_of_the_definition(network, radiograph, patch_size, side):
    """160 pixels are 5 x 5 features; a window's mean counts zeros beyond them; its centre is a lung pixel."""
    image, lung = radiograph
    settings = settings_of("approach=dense", f"patch_size={patch_size}")
    p, centres = predict.predict_image(network, image, lung, settings, "case", "cpu")
    with torch.no_grad():
        maps = backbone.features(network, backbone.scale(torch.from_numpy(image)[None, None].float(), "imagenet"))[0]
        assert maps.shape[1:] == (5, 5)
        padded, expected, middles = np.pad(maps.numpy(), ((0, 0), (9, 9), (9, 9))), [], []
        for row in range(5):
            for column in range(5):
                if lung[32 * row + 16, 32 * column + 16]:
                    a, b = row + 9 - side // 2, column + 9 - side // 2
                    mean = padded[:, a : a + side, b : b + side].mean((1, 2))
                    expected.append(network.fc(torch.from_numpy(mean)).softmax(0).numpy())
                    middles.append([32 * row + 16, 32 * column + 16])
    assert 5 < len(middles) < 25 and centres.tolist() == middles
    np.testing.assert_allclose(p, expected, atol=1e-5)


def test_dense_one_window_over_all_is_the_network_itself(network):
    """7 x 7 features of a 224 x 224 image: the middle window is global pooling."""
    image = np.random.default_rng(1).integers(0, 256, (224, 224)).astype(np.uint8)
    lung = np.zeros_like(image)
    lung[100:124, 100:124] = 1
    settings = settings_of("approach=dense", "patch_size=224", "img_size=224")
    p, centres = predict.predict_image(network, image, lung, settings, "case", "cpu")
    with torch.no_grad():
        x = backbone.scale(torch.from_numpy(image)[None, None].float(), "imagenet")
        np.testing.assert_allclose(p, network(x).softmax(1).numpy(), atol=1e-5)
    assert centres.tolist() == [[112, 112]]


@pytest.mark.parametrize("label", ["densenet121", "efficientnet_lite0"])
def test_dense_windows_lie_where_the_patches_of_their_features_lie(label):
    """Wherever in a patch a network's features look: the window over all is the patch about the image's centre."""
    torch.manual_seed(0)
    model = backbone.build(label, 3).eval()
    x = torch.randn(1, 3, 224, 224)
    lung = torch.zeros(1, 224, 224)
    lung[:, 110:114, 110:114] = 1
    with torch.no_grad():
        logits, _, centres = predict.windows(model, x, lung, 224)
        torch.testing.assert_close(logits, model(x), atol=1e-5, rtol=1e-4)
    assert centres.tolist() == [[112, 112]]


def test_dense_training_has_the_dropout_of_the_network():
    torch.manual_seed(0)
    model, x, lung = backbone.build("efficientnet_lite0", 3), torch.randn(1, 3, 96, 96), torch.ones(1, 96, 96)
    with torch.no_grad():
        one, other = (predict.windows(model, x, lung, 32)[0] for _ in range(2))
        assert len(one) == 9 and not torch.equal(one, other)
        model.dropout.p = 0.0
        one, other = (predict.windows(model, x, lung, 32)[0] for _ in range(2))
        assert torch.equal(one, other)  # nothing else was random
        model.dropout.p = 0.9
        model.eval()
        assert torch.equal(predict.windows(model, x, lung, 32)[0], predict.windows(model, x, lung, 32)[0])


def test_dense_has_a_window_for_the_thinnest_lung_and_keeps_images_apart(network, radiograph):
    image, lung = radiograph
    thin = np.zeros_like(lung)
    thin[64:90, 33:36] = 1  # between the middles of all positions, most of it in that of row 2, column 1
    both = torch.from_numpy(np.stack([image, image[::-1].copy()]))
    with torch.no_grad():
        logits, owner, centres = predict.windows(
            network, backbone.scale(both[:, None].float(), "imagenet"), torch.from_numpy(np.stack([thin, lung])), 96
        )
    assert owner.tolist() == [0] + [1] * (len(owner) - 1) and len(owner) > 5
    assert centres[0].tolist() == [80, 48]
    settings = settings_of("approach=dense", "patch_size=96")
    for i, one in enumerate((thin, lung)):
        alone, _ = predict.predict_image(network, both[i].numpy(), one, settings, "case", "cpu")
        np.testing.assert_allclose(logits[owner == i].softmax(1).numpy(), alone, atol=1e-5)


def test_majority_its_ties_and_the_mean():
    p = np.array([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.0, 0.9, 0.1]], np.float32)
    found = predict.tally(p, "majority")
    assert found["predicted"] == 0 and found["votes"].tolist() == [2, 1, 0]
    np.testing.assert_allclose(found["p"], [1 / 3, 1.7 / 3, 0.1], rtol=1e-6)
    assert predict.tally(p, "mean")["predicted"] == 1
    tie = np.array([[0.6, 0.4], [0.1, 0.9]])
    assert predict.tally(tie)["votes"].tolist() == [1, 1] and predict.tally(tie)["predicted"] == 1  # the larger mean
    assert predict.tally(np.array([[0.7, 0.3], [0.3, 0.7]]))["predicted"] == 0  # then the class order
    assert predict.tally(np.array([[0.1, 0.45, 0.45]]))["votes"].tolist() == [0, 1, 0]


def test_entropy_and_standard_error():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    found = predict.tally(p)
    assert found["entropy"] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert found["standard_error"] == pytest.approx(np.std([0.9, 0.8, 0.4, 0.7], ddof=1) / 2)
    assert predict.tally(p[:2])["entropy"] == 0 and math.copysign(1, predict.tally(p[:2])["entropy"]) == 1
    assert math.isnan(predict.tally(p[:1])["standard_error"])


@pytest.mark.parametrize(
    ("words", "chance"),
    [([], True), (["sampling=grid"], False), (["approach=dense"], False), (["approach=global"], False)],
)
def test_a_standard_error_needs_a_draw(words, chance):
    """Nothing is drawn for a grid or dense windows: their spread over the lung is no error by chance."""
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    settings = settings_of(*words)
    assert predict.drawn(settings) is chance
    found, plain = predict.tally(p, settings.vote, predict.drawn(settings)), predict.tally(p, settings.vote)
    assert math.isfinite(found["standard_error"]) is chance and plain["standard_error"] > 0
    assert all(np.array_equal(found[name], plain[name]) for name in ("p", "votes", "predicted", "entropy"))


@given(st.integers(1, 30), st.integers(2, 6), st.integers(0, 1000), st.sampled_from(predict.VOTES))
def test_a_tally_adds_up(count, classes, seed, vote):
    p = np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), count).astype(np.float32)
    found = predict.tally(p, vote)
    assert found["votes"].sum() == count and found["p"].sum() == pytest.approx(1, abs=1e-5)
    winner = found["predicted"]
    if vote == "majority":
        assert found["votes"][winner] == found["votes"].max()
        assert all(found["p"][winner] >= found["p"][c] for c in np.flatnonzero(found["votes"] == found["votes"].max()))
    else:
        assert found["p"][winner] == found["p"].max()
    assert 0 <= found["entropy"] <= math.log(classes) + 1e-9
    shuffled = predict.tally(p[::-1], vote)
    assert shuffled["predicted"] == winner or found["p"].max() - np.sort(found["p"])[-2] < 1e-9


def test_settings_that_cannot_be_followed_are_refused(network):
    predict.check(settings_of("approach=dense"), network)
    predict.check(settings_of("approach=global", "img_size=1"), network)  # which it does not read
    for words, told in (
        (["vote=all"], "majority or mean"),
        (["approach=x"], "local or global or dense"),
        (["sampling=x"], "random or grid"),
        (["repeat=0"], "repeat=0 is too small"),
        (["patch_size=31"], "patch_size=31 is too small .* give 32 or more"),
        (["img_size=16"], "img_size=16 is too small .* give 32 or more"),
        (["approach=dense", "img_size=16"], "img_size=16 is too small"),
        (["approach=global", "patch_size=8"], "patch_size=8 is too small"),
    ):
        with pytest.raises(ValueError, match=told):
            predict.check(settings_of(*words), network)
    with pytest.raises(ValueError, match="one linear layer, which vgg11_bn does not"):
        predict.check(settings_of("approach=dense", "net_label=vgg11_bn"), backbone.build("squeezenet1_1", 3))
