"""Cases one after the other with their images, read ahead, and shared by several processes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from classification.cases import dataset
from classification.cases.finder import Case
from cxr.settings import config


def read(cases: list[Case], settings: config.Settings, show: bool) -> Iterator[tuple]:
    """Each case with its masked image and lung, or the fault of its pair, while the next ones are read."""
    images = dataset.Images(cases, config.unless_typed(settings, {"cache_gb": 0.0}))  # nothing is read twice
    stream = images.stream(([i] for i in range(len(cases))), faults=True, ahead=max(2, settings.num_workers))
    for case, (item,) in tqdm(zip(cases, stream, strict=True), "cases", len(cases), disable=not show):
        yield case, item


def shared(fabric: Fabric, cases: Sequence[Case], settings: config.Settings, ask: Callable) -> np.ndarray:
    """(n, m) float32: ask(case, image, lung), (m,), of every case; the processes share them. Raises BadPair."""
    mine, found = range(fabric.global_rank, len(cases), fabric.world_size), None
    shown = read([cases[i] for i in mine], settings, fabric.is_global_zero)
    for i, (case, item) in zip(mine, shown, strict=True):
        if isinstance(item, Exception):
            raise item
        with fabric.autocast():
            row = torch.as_tensor(ask(case, *item), dtype=torch.float32)
        found = torch.zeros(len(cases), len(row)) if found is None else found
        found[i] = row
    width = torch.tensor(0 if found is None else found.shape[1], device=fabric.device)
    width = int(fabric.all_reduce(width, reduce_op="max"))  # a process may have had no case
    found = torch.zeros(len(cases), width) if found is None else found
    return fabric.all_reduce(found.to(fabric.device), reduce_op="sum").cpu().numpy()
