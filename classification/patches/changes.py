"""Random changes of what a patch shows, before it is masked: as other machines and copies would have made it."""

import numpy as np

from cxr.shifts import copies, exposure

# Each with the range that its strength is drawn from, and the power of the patch's share of the image by which that
# range grows: sides shrink with the patch, blurs are measured by its side. JPEG is coarser than anyone stores, since
# equalisation has stretched the grey levels by the time it is applied here.
_COPIES = (
    (copies.resample, 250, 900, 1),
    (copies.jpeg, 5, 60, 0),
    (copies.unsharp, 0.3, 4, 0),
    (copies.enhance_edges, 0.3, 4, 0),
    (copies.blur, 0.0005, 0.004, -1),
    (copies.noise, 0.005, 0.07, 0),
    (exposure.local_contrast, 1, 6, 0),
)


def change(image: np.ndarray, settings, rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8, a part or all of an image that is not yet masked -> the same, changed as the settings allow."""
    if not settings.copies and not settings.contrast:
        return image
    grey = image.astype(np.float32) / 255
    if rng.random() < settings.copies:
        share = len(image) / settings.img_size
        for i in rng.choice(len(_COPIES), 2 if rng.random() < 0.3 else 1, replace=False):
            function, low, high, power = _COPIES[i]
            grey = function(grey, rng.uniform(low, high) * share**power, rng)
    grey = np.clip(grey, 0, 1) ** np.exp(rng.uniform(-1, 1) * np.log1p(settings.contrast))
    grey = np.clip(grey + rng.uniform(-1, 1) * settings.contrast / 5, 0, 1)
    return (grey * 255).round().astype(np.uint8)
