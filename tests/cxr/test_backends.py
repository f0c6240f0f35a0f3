"""Other programs than torch: what they refuse, and that they agree with torch where they are installed."""

import sys

import pytest
import torch
from conftest import TINY

from cxr.run import backends
from cxr.settings import config
from segmentation import fast_forward, fcdensenet, header

CPU = torch.device("cpu")


def settings_of(*words):
    return config.load(header, [*TINY, *words])[0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return fcdensenet.FCDenseNet((1, 1), 1, 4, first=4).eval()


def test_an_unknown_backend_is_named(network):
    with pytest.raises(backends.NoBackend, match="backend='onnx' is unknown; it is torch or openvino"):
        fast_forward.prepare(network, settings_of("backend=onnx"), CPU)


def test_openvino_that_is_not_installed_says_how_to(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # its import fails
    with pytest.raises(backends.NoBackend, match="pip install openvino, or give backend=torch"):
        fast_forward.prepare(network, settings_of("backend=openvino"), CPU)


def test_openvino_is_for_the_cpu(network):
    with pytest.raises(backends.NoBackend, match="computes on the CPU, not on cuda: device=cpu, or backend=torch"):
        backends.openvino(network, torch.zeros(1, 1, 32, 32), "32-true", torch.device("cuda"))


@pytest.mark.parametrize("precision", ["32-true", "tf32"])
def test_openvino_agrees_with_torch_for_every_number_of_images(network, precision):
    pytest.importorskip("openvino")
    forward = fast_forward.prepare(network, settings_of("backend=openvino", f"precision={precision}"), CPU)
    with torch.inference_mode():
        for count in (2, 1, 3, 2):
            x = torch.rand(count, 1, 32, 32) * 255
            torch.testing.assert_close(forward(x), network(x), atol=1e-3, rtol=0)
