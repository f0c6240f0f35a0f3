"""Probabilistic Grad-CAM against its definition written out patch by patch, and closed forms against gradients."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from classification.model import backbone
from classification.patches import patch
from classification.saliency import grad_cam
from classification.voting import predict

CLASSES = 3
CPU = torch.device("cpu")


def network(name, seed=0, classes=CLASSES):
    torch.manual_seed(seed)
    model = backbone.build(name, classes)
    for module in model.modules():  # away from the values at which a network starts, where layers do nothing
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.7, 1.3)
    return model.eval()


def inputs(count, size, seed=1):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def settings(**other):
    values = {"approach": "local", "patch_size": 64, "img_size": 128, "repeat": 7, "num_batch_test": 3, "seed": 5}
    values |= {"sampling": "random", "input_scaling": "imagenet"}
    return SimpleNamespace(**values | other)


@pytest.fixture(scope="module")
def resnet():
    return network("resnet18")


@pytest.fixture(scope="module")
def case():
    """A masked image (128, 128) uint8 and its lung: two ellipses, one of which the border cuts."""
    rows, columns = np.mgrid[:128, :128]
    lung = ((rows - 60) / 50) ** 2 + ((columns - 10) / 30) ** 2 < 1
    lung |= ((rows - 64) / 45) ** 2 + ((columns - 88) / 22) ** 2 < 1
    image = np.random.default_rng(3).integers(0, 256, (128, 128)) * lung
    return image.astype(np.uint8), lung.astype(np.uint8)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_lite0"])
@pytest.mark.parametrize("method", grad_cam.METHODS)
def test_closed_form_is_what_the_gradient_says(name, method):
    model, x = network(name), inputs(2, 64)
    logits, closed = grad_cam.class_maps(model, x, [0, 2], method)
    same, hooked = grad_cam.gradient_maps(model, x, [0, 2], method)
    assert closed.shape == (2, 2, 2, 2) and closed.max() > 0
    scale = hooked.abs().max()
    torch.testing.assert_close(closed / scale, hooked / scale, rtol=0, atol=1e-6)
    torch.testing.assert_close(logits, same, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits, model(x), rtol=1e-5, atol=1e-5)


def test_gradient_is_that_of_the_whole_network():
    """The hook's weights for VGG against a plain backward pass from logits to a copy of its features."""
    model, x = network("vgg11_bn"), inputs(2, 64)
    features = model.features(x).detach().requires_grad_()
    logits = model.classifier(model.avgpool(features).flatten(1))
    (slope,) = torch.autograd.grad(logits[:, 1].sum(), features)
    found = {method: grad_cam.gradient_maps(model, x, [1], method)[1][:, 0] for method in grad_cam.METHODS}
    for method, weight in (("gradcam", slope.mean((2, 3), keepdim=True)), ("hirescam", slope)):
        wanted = F.relu((weight * features).sum(1)).detach()
        torch.testing.assert_close(found[method], wanted, rtol=1e-4, atol=1e-6 * float(wanted.max()))
    assert not torch.allclose(found["gradcam"], found["hirescam"], rtol=0.1)


@pytest.mark.parametrize(("name", "differs"), [("resnet18", False), ("squeezenet1_1", True)])
def test_hirescam_differs_where_the_head_is_deeper(name, differs):
    model, x = network(name), inputs(2, 96)
    plain, high = (grad_cam.gradient_maps(model, x, [0, 1], method)[1] for method in grad_cam.METHODS)
    assert plain.max() > 0
    assert differs == (not torch.allclose(plain, high, rtol=1e-4, atol=1e-6 * float(plain.max())))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_batch_and_one_by_one_agree(name):
    model, x = network(name), inputs(3, 64)
    whole = grad_cam.class_maps(model, x, [0, 1])
    single = [grad_cam.class_maps(model, one, [0, 1]) for one in x.split(1)]
    for together, apart in zip(whole, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-6)


def test_gradients_leave_nothing_behind():
    model = network("squeezenet1_1")
    with torch.no_grad():
        grad_cam.gradient_maps(model, inputs(1, 64), [0])
        assert not torch.is_grad_enabled()
    assert not backbone.last_layer(model)._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("number", "size"), [(7, 224), (2, 50), (1, 33)])
def test_spread_is_bilinear_interpolation(number, size):
    """For features that look at the middles of equal parts, as those of VGG: what F.interpolate does."""
    maps = torch.rand(4, 2, number, number, generator=torch.Generator().manual_seed(0))
    stride = size / number
    places = torch.tensor([[size // 2, size // 2]]).expand(4, 2)
    found = grad_cam.spread(maps, places, size, size, (stride, (stride - 1) / 2))
    wanted = F.interpolate(maps, (size, size), mode="bilinear", align_corners=False).sum(0)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_feature_is_drawn_where_it_looks(resnet):
    """ResNet's feature (i, j) is about the pixel (32 i, 32 j): a blank patch but for one dot answers there."""
    maps = torch.zeros(1, 1, 7, 7)
    maps[0, 0, 2, 5] = 1
    found = grad_cam.spread(maps, torch.tensor([[112, 112]]), 224, 224, backbone.lattice(resnet))[0]
    assert divmod(int(found.argmax()), 224) == (64, 160)
    assert found[64, 160] == 1 and found[80, 160] == 0.5 and found[96, 160] == 0


def written_out(model, image, lung, used, name, targets):
    """The formula, patch by patch and in float64: sums over patches of p CAM, each placed by slices."""
    side, size = len(image), used.patch_size
    total, counts = np.zeros((len(targets), side, side)), np.zeros((side, side))
    for row, column in predict.places(lung, used, name):
        piece = patch.cut(torch.from_numpy(image)[None], [0], [[row, column]], size)
        logits, maps = grad_cam.class_maps(model, backbone.scale(piece, used.input_scaling), targets)
        p = logits.softmax(1)[0, targets].numpy()
        alone = grad_cam.spread(maps, torch.tensor([[size // 2, size // 2]]), size, size, backbone.lattice(model))
        top, left = row - size // 2, column - size // 2
        rows, columns = (slice(max(start, 0), min(start + size, side)) for start in (top, left))
        inside = alone[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left].numpy()
        total[:, rows, columns] += p[:, None, None] * inside
        counts[rows, columns] += 1
    return total / np.maximum(counts, 1), counts


def test_maps_are_the_formula(resnet, case):
    used = settings()
    maps, counts, p = grad_cam.explain(resnet, *case, used, "a case", CPU, [0, 2])
    wanted, covered = written_out(resnet, *case, used, "a case", [0, 2])
    np.testing.assert_array_equal(counts, covered)
    assert counts.min() == 0 and counts.max() > 2  # pixels without a patch, and with several
    np.testing.assert_allclose(maps, wanted, rtol=1e-4, atol=1e-6 * wanted.max())
    assert (maps[:, counts == 0] == 0).all() and maps.max() > 0
    voted, _ = predict.predict_image(resnet, *case, used, "a case", CPU)
    np.testing.assert_allclose(p, voted, rtol=1e-4, atol=1e-6)


def test_patches_are_those_of_the_seed_and_the_case(resnet, case):
    first, other, seed = (
        grad_cam.explain(resnet, *case, settings(**changed), name, CPU, [0])[1]
        for name, changed in (("a", {}), ("b", {}), ("a", {"seed": 6}))
    )
    assert (first != other).any() and (first != seed).any()
    again = grad_cam.explain(resnet, *case, settings(num_batch_test=7), "a", CPU, [0])[1]
    np.testing.assert_array_equal(first, again)


def test_a_pixel_that_one_patch_covers_shows_that_patch(resnet, case):
    maps, counts, p = grad_cam.explain(resnet, *case, settings(repeat=1), "one", CPU, [1])
    wanted, _ = written_out(resnet, *case, settings(repeat=1), "one", [1])
    assert set(np.unique(counts)) == {0, 1} and np.isfinite(maps).all()
    np.testing.assert_allclose(maps, wanted, rtol=1e-4, atol=1e-7)


def test_without_evidence_the_map_is_zero(case):
    """A class that no feature speaks for, and one whose probability vanishes: zeros, and the others' maps stay."""
    model = network("resnet18")
    with torch.no_grad():
        model.fc.weight[1] = -model.fc.weight[1].abs()
        model.fc.weight[2] = 0
        model.fc.bias[:] = torch.tensor([50.0, 0, -200])
    maps, counts, p = grad_cam.explain(model, *case, settings(), "none", CPU, [0, 1, 2])
    assert np.isfinite(maps).all() and (maps[1:] == 0).all() and maps[0].max() > 0
    with torch.no_grad():
        model.fc.weight[:] = 0
    maps, _, _ = grad_cam.explain(model, *case, settings(approach="dense"), "none", CPU, [0, 1, 2])
    assert (maps == 0).all()


def test_global_explains_the_whole_image(resnet, case):
    used = settings(approach="global", patch_size=128)
    maps, counts, p = grad_cam.explain(resnet, *case, used, "x", CPU, [0, 1])
    assert (counts == 1).all() and len(p) == 1
    x = backbone.scale(torch.from_numpy(case[0])[None, None].float(), "imagenet")
    logits, small = grad_cam.class_maps(resnet, x, [0, 1])
    expected = logits.softmax(1)[0, :2, None] * small[0, :, 3, 2, None]
    np.testing.assert_allclose(maps[:, 96, 64], expected[:, 0].numpy(), rtol=1e-4, atol=1e-6)


def test_dense_is_exact(resnet, case):
    """Against the formula for every window, each holding its own 3 x 3 features, on the features' grid."""
    used = settings(approach="dense", patch_size=96, img_size=128)
    maps, counts, p = grad_cam.explain(resnet, *case, used, "x", CPU, [0, 2])
    image, lung = case
    x = backbone.scale(torch.from_numpy(image)[None, None].float(), "imagenet")
    with torch.no_grad():
        features = backbone.features(resnet, x)[0].double().numpy()
        logits, _, centres = predict.windows(resnet, x, torch.from_numpy(lung)[None], 96)
    np.testing.assert_allclose(p, logits.softmax(1).numpy(), rtol=1e-5)
    total, held = np.zeros((2, 4, 4)), np.zeros((4, 4))
    for (row, column), chance in zip((centres // 32).tolist(), p.astype(float), strict=True):
        for r in range(max(row - 1, 0), min(row + 2, 4)):
            for c in range(max(column - 1, 0), min(column + 2, 4)):
                held[r, c] += 1
                for i, target in enumerate((0, 2)):
                    weight = resnet.fc.weight[target].detach().double().numpy() / 9
                    total[i, r, c] += chance[target] * max(weight @ features[:, r, c], 0)
    assert 1 < held.max() < 9 or held.min() == 0
    wanted = total / np.maximum(held, 1)
    np.testing.assert_allclose(maps[:, ::32, ::32], wanted, rtol=1e-4, atol=1e-6 * wanted.max())
    np.testing.assert_allclose(counts[::32, ::32], held, rtol=1e-5)


def test_grid_of_the_image():
    maps = np.zeros((2, 8, 8), np.float32)
    maps[1, 2:4, 4:6] = 3
    large = grad_cam.to_grid(maps, (32, 24))
    assert large.shape == (2, 32, 24) and large.dtype == np.float32
    assert (large[0] == 0).all() and large[1].argmax() // 24 in range(8, 16) and large.max() <= 3
    small = grad_cam.to_grid(maps, (4, 4))  # averaged, not picked
    np.testing.assert_allclose(small[1, 1, 2], 3 * 0.75**2, rtol=0.1)
    np.testing.assert_allclose(grad_cam.to_grid(np.full((1, 8, 8), 2.5, np.float32), (5, 21)), 2.5, rtol=1e-5)


def test_unknown_method(resnet, case):
    with pytest.raises(ValueError, match="gradcam or hirescam"):
        grad_cam.explain(resnet, *case, settings(), "x", CPU, [0], "cam")


def test_a_hundred_patches_are_placed_in_no_time():
    maps = torch.rand(100, 1, 7, 7)
    places = torch.randint(0, 1024, (100, 2))
    best = min(_seconds(maps, places) for _ in range(3))
    assert best < 1


def _seconds(maps, places):
    start = time.thread_time()
    grad_cam.average(grad_cam.spread(maps, places, 224, 1024, (32, 0.0)), grad_cam.cover(places, 224, 1024))
    return time.thread_time() - start


def test_counts_are_whole_under_autocast():
    """bfloat16 knows no 257: the sums over patches keep to float32 whatever the network computes with."""
    places = torch.full((257, 2), 64)
    with torch.autocast("cpu", torch.bfloat16):
        counts = grad_cam.cover(places, 32, 128)
        total = grad_cam.spread(torch.ones(257, 1, 2, 2), places, 32, 128, (32, 0.0))
    assert counts.max() == 257 and total.max() == 257
