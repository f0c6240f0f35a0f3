"""Other programs than torch that compute a network in inference, where they are installed."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from cxr.errors import BadRun

BACKENDS = ("torch", "openvino")


class NoBackend(BadRun):
    """A backend that is unknown, missing or of no use here; the message says what to do."""


def openvino(model: nn.Module, example: Tensor, precision: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A network in evaluation mode, on the CPU, as a function of a batch (N, ...) of images like `example` (1, ...).

    float32 for precision=32-true, and for tf32, which is of GPUs; otherwise as OpenVINO chooses, bfloat16 where the
    processor has it. Each new N is compiled when it comes first. Raises NoBackend.
    """
    if device.type != "cpu":
        raise NoBackend(f"backend=openvino computes on the CPU, not on {device.type}: device=cpu, or backend=torch.")
    try:
        import openvino as ov
    except ImportError:
        raise NoBackend("backend=openvino needs a package: pip install openvino, or give backend=torch.") from None
    graph, compiled = ov.convert_model(model, example_input=example), {}
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    hints |= {"INFERENCE_PRECISION_HINT": "f32"} if precision in ("32-true", "tf32") else {}

    def forward(x: Tensor) -> Tensor:
        if len(x) not in compiled:
            graph.reshape({0: list(x.shape)})
            compiled[len(x)] = ov.Core().compile_model(graph, "CPU", hints)
        return torch.from_numpy(np.array(compiled[len(x)](x.numpy())[0]))

    return forward
