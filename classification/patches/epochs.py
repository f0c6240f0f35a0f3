"""The patches of an epoch: which case each comes from, where it is cut and how it is turned."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from classification.cases import packed
from classification.model import backbone
from classification.patches import changes, patch
from cxr.run import engine


class Batch(NamedTuple):
    """What a step trains on, still on the CPU: P images, one patch of each, or the whole of it.

    For approach=local an image is only what its patch can show, so that a step moves 1 MB instead of 16.
    """

    images: torch.Tensor  # (P, side, side) uint8, masked
    lungs: torch.Tensor | None  # (P, side, side) uint8; None but for approach=dense, which alone looks at them
    labels: torch.Tensor  # (P,) int64
    centres: torch.Tensor  # (P, 2) int64, rows and columns of `images`
    rotation: torch.Tensor  # (P,) float32, degrees
    flip: torch.Tensor  # (P,) bool


def draws(labels: Sequence[int], settings, epoch: int, processes: int = 1) -> list[tuple[int, int]]:
    """The patches of an epoch in their order: (index of the case, how many patches of it came before in the epoch).

    labels: the class of each training case. There are settings.num_patches times as many patches as cases. Balanced,
    each is drawn with replacement, of every class that occurs with the same probability; else every case comes
    num_patches times. They depend on the seed and the epoch only. For several processes the first ones are repeated
    until all have as many: process r takes every processes-th from the r-th on.
    """
    labels = np.asarray(labels)
    rng = engine.generator(settings.seed, "order", epoch)
    count = settings.num_patches * len(labels)
    if settings.balanced:
        weights = 1.0 / np.bincount(labels)[labels]
        chosen = rng.choice(len(labels), count, p=weights / weights.sum())
    else:
        chosen = rng.permutation(np.tile(np.arange(len(labels)), settings.num_patches))
    chosen = np.resize(chosen, -(-count // processes) * processes)
    seen = np.zeros(len(labels), int)
    pairs = []
    for index in chosen.tolist():
        pairs.append((index, int(seen[index])))
        seen[index] += 1
    return pairs


def steps(draws: list, size: int) -> list[list]:
    """Cut into the fewest steps of at most `size`, as even as can be: a last step of one patch would be all noise."""
    count = -(-len(draws) // size)
    ends = [len(draws) * i // count for i in range(count + 1)]
    return [draws[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]


def choose(cases: list, count: int, seed: int) -> list:
    """`count` of the cases (all, for 0), as many of each class as there are; fewer are always among more.

    cases: in any order, with .case and .label; they are returned in theirs.
    """
    if not 0 < count < len(cases):
        return list(cases)
    by_lot = sorted(range(len(cases)), key=lambda i: engine.generator(seed, "choose", cases[i].case).random())
    rank, seen = {}, {}
    for i in by_lot:
        rank[i] = seen[cases[i].label] = seen.get(cases[i].label, -1) + 1
    chosen = sorted(rank, key=lambda i: (rank[i], cases[i].label))[:count]
    return [cases[i] for i in sorted(chosen)]


def place(lung: packed.Packed, settings, epoch: int, case: str, occurrence: int):
    """One patch of an epoch: its centre (row, column), its rotation in degrees, and whether it is mirrored.

    The centre is uniform over the lung for approach=local, else the image's middle. All depends on the seed, the epoch,
    the case's name and which patch of it in the epoch this is, and on nothing else.
    """
    rng = engine.generator(settings.seed, "patch", epoch, case, occurrence)
    local = settings.approach == "local"
    centre = packed.centre(lung, rng) if local else (len(lung.bits) // 2, lung.width // 2)
    return centre, settings.rotation * rng.uniform(-1, 1), rng.random() < settings.flip


def batches(
    images, cases: list, settings, epoch: int, rank: int = 0, processes: int = 1, pin: bool = False
) -> Iterator[Batch]:
    """The steps of an epoch, each made ready by threads while those before are trained on.

    images: dataset.Images whose first entries are `cases`; pin: into pinned memory, from which a GPU copies while it
    computes. place() tells which patches. Raises pairs.BadPair.
    """
    mine = draws([case.label for case in cases], settings, epoch, processes)[rank::processes]
    # Reaches for the greatest rotation: the sum of sine and cosine grows up to 45 degrees.
    reach = patch.wide_enough(settings.patch_size, torch.tensor([min(abs(settings.rotation), 45.0)])) + 1

    def prepare(step):
        items = images.packed_batch([index for index, _ in step])
        drawn = [
            place(lung, settings, epoch, cases[index].case, occurrence)
            for (index, occurrence), (_, lung) in zip(step, items, strict=True)
        ]
        centres, turns, mirrored = zip(*drawn, strict=True)
        if settings.approach == "local":
            seen = [patch.window(image, *at, reach) for (image, _), at in zip(items, centres, strict=True)]
            lungs = [packed.window(lung, *at, reach) for (_, lung), at in zip(items, centres, strict=True)]
            centres = [(reach, reach)] * len(step)
        else:
            seen, lungs = [image for image, _ in items], [packed.unpack(lung) for _, lung in items]
        rngs = [engine.generator(settings.seed, "copy", epoch, cases[index].case, number) for index, number in step]
        seen = [changes.change(image, settings, rng) * lung for image, lung, rng in zip(seen, lungs, rngs, strict=True)]
        lungs = np.stack(lungs) if settings.approach == "dense" else None
        batch = Batch(
            torch.from_numpy(np.stack(seen)),
            None if lungs is None else torch.from_numpy(lungs),
            torch.tensor([cases[index].label for index, _ in step]),
            torch.tensor(centres),
            torch.tensor(turns, dtype=torch.float32),
            torch.tensor(mirrored),
        )
        return Batch(*(part if part is None else part.pin_memory() for part in batch)) if pin else batch

    return _ahead(prepare, steps(mine, settings.num_batch_train), settings.num_workers)


def count_steps(cases: list, settings, processes: int = 1) -> int:
    """How many steps an epoch has."""
    each = -(-settings.num_patches * len(cases) // processes)
    return -(-each // settings.num_batch_train)


def check(cases: list, settings, model, processes: int = 1) -> None:
    """Raise ValueError if a step may be a single patch of which `model` makes a single feature: batch normalisation
    divides by the spread of what it sees, and one number has none."""
    name = "img_size" if settings.approach == "dense" else "patch_size"
    side = getattr(settings, name)
    each = -(-settings.num_patches * len(cases) // processes)
    single = min(map(len, steps(range(each), settings.num_batch_train))) == 1
    if single and side < 64 and backbone.head(model) is not None:
        raise ValueError(
            f"num_batch_train={settings.num_batch_train} leaves a step with a single patch, and "
            f"{name}={side} a single feature of it, which batch normalisation cannot train on; give "
            f"another num_batch_train, as 8, or {name}=64 or more."
        )


def _ahead(function, items: Iterable, workers: int) -> Iterator:
    """function(item) of each item, in order, while threads make the next ones."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > max(workers, 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
