"""Small pairs in seconds."""

import numpy as np

from cxr import pairs


def write(folder, case, shape=(40, 48), seed=0, **options):
    """A pair of noise with two lungs in it."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    mask[8:30, 5:20] = mask[10:32, 28:44] = 1
    pairs.save(folder, case, rng.uniform(0, 255, shape).astype(np.float32), mask, **options)
