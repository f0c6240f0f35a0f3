"""How much work a stage is: operations of its networks, bytes of its files."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from classification.model import backbone
from segmentation import fcdensenet


def segmentation(size: int) -> float:
    """Operations (multiplications and additions) of FC-DenseNet103 for one image, without its normalisations."""
    with torch.device("meta"):
        return _count(fcdensenet.build("fcdensenet103").eval(), torch.zeros(1, 1, size, size))


def classification(net_label: str, size: int) -> float:
    """Operations of a classifier for one patch, or a whole image, of size x size."""
    with torch.device("meta"):
        return _count(backbone.build(net_label, 4).eval(), torch.zeros(1, 3, size, size))


def floor(operations: float, size_bytes: float, rates: dict, half: bool = False) -> float:
    """Seconds that the machine needs at the least, by its measured rates (that of bfloat16 for `half`, where there is
    one): computing and moving one after the other."""
    rate = rates.get("gflops_bf16", rates["gflops"]) if half else rates["gflops"]
    return operations / (1e9 * rate) + size_bytes / (1e9 * rates["gbytes"])


def _count(model, x) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(x)
    return float(counter.get_total_flops())
