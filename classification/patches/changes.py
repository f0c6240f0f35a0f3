"""Random changes of what a patch shows, before it is masked: as other machines and copies would have made it."""

import numpy as np

from cxr.shifts import copies, exposure

# Each with the range that its strength is drawn from. They come after equalisation here, which stretches the grey
# levels of the lung about threefold: noise and JPEG are stronger than a radiograph ever sees.
_COPIES = (
    (copies.resample, 250, 900),
    (copies.jpeg, 3, 60),
    (copies.unsharp, 0.3, 5),
    (copies.enhance_edges, 0.3, 5),
    (copies.blur, 0.0005, 0.004),
    (copies.noise, 0.01, 0.25),
)
_EXPOSURES = ((exposure.local_contrast, 1, 8), (exposure.narrow_window, 0.01, 0.2), (exposure.burn_out, 0.02, 0.3))


def change(image: np.ndarray, settings, rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8, a part or all of an image that is not yet masked -> the same, changed as the settings allow."""
    if not settings.copies and not settings.contrast:
        return image
    grey = image.astype(np.float32) / 255
    whole = settings.patch_size if settings.approach == "global" else settings.img_size
    if rng.random() < settings.copies:
        for i in rng.choice(len(_COPIES), 2 if rng.random() < 0.3 else 1, replace=False):
            function, low, high = _COPIES[i]
            grey = function(grey, rng.uniform(low, high), rng, whole)
        if settings.resolution:  # to which a copy is brought after it was made
            grey = copies.resample(grey, settings.resolution, rng, whole)
    if rng.random() < settings.copies / 3:
        function, low, high = _EXPOSURES[rng.integers(len(_EXPOSURES))]
        grey = function(grey, rng.uniform(low, high))
    grey = np.clip(grey, 0, 1) ** np.exp(rng.uniform(-1, 1) * np.log1p(settings.contrast))
    grey = np.clip(grey + rng.uniform(-1, 1) * settings.contrast / 5, 0, 1)
    return (grey * 255).round().astype(np.uint8)
