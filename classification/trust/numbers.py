"""Numbers of a radiograph that hold no lung, numbers of its sharpness, and its metadata as numbers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from classification.cases.finder import Case
from classification.trust.subject import Subject
from cxr import pairs
from cxr.reading import radiograph

OUTSIDE = ("width", "height", "aspect", "bytes_a_pixel", "border_mean", "border_sd", "border_black", "border_white")
SHARPNESS = ("sharpness_0", "sharpness_1", "sharpness_2", "sharpness_4")  # by sigma of the blur before, pixels
METADATA = ("view", "sex", "age")
STRIP = 0.05  # of the shorter side: how wide the border strip is
BLACK, WHITE = 0.04, 0.96  # of the range of greys
KNOWN = 0.8  # of the cases of every class must have a column of metadata, or its gaps would tell the class


def measure(subject: Subject) -> pd.DataFrame:
    """OUTSIDE and SHARPNESS of every case, NaN where they cannot be had."""
    with ThreadPoolExecutor(max(subject.settings.num_workers, 1)) as pool:
        around = list(pool.map(outside, subject.facts.file))
        middle = list(pool.map(sharpness, subject.cases))
    columns = [*OUTSIDE, *SHARPNESS]
    return pd.DataFrame([one + other for one, other in zip(around, middle, strict=True)], columns=columns, dtype=float)


def outside(file: str) -> tuple[float, ...]:
    """OUTSIDE of the radiograph in a file: its size in pixels and bytes, and of the strip along its border the mean,
    the standard deviation and the shares of black and white, greys from 0 to 1. NaN for a file that cannot be read."""
    try:
        pixels = radiograph.read(file).pixels if file else None
    except radiograph.Unreadable:
        pixels = None
    if pixels is None:
        return (np.nan,) * len(OUTSIDE)
    height, width = pixels.shape
    deep = max(1, round(STRIP * min(height, width)))
    strip = np.ones(pixels.shape, bool)
    strip[deep:-deep, deep:-deep] = False
    grey = pixels[strip] / np.iinfo(pixels.dtype).max
    bytes_a_pixel = Path(file).stat().st_size / pixels.size
    shares = (grey <= BLACK).mean(), (grey >= WHITE).mean()
    return width, height, width / height, bytes_a_pixel, grey.mean(), grey.std(), *shares


def sharpness(case: Case) -> tuple[float, ...]:
    """SHARPNESS of a case: the logarithm of the variance of the Laplacian at four scales, in the middle half of its
    equalised image, brought to 512 x 512 pixels as where a network sees 1024 x 1024. NaN for a broken pair."""
    try:
        image, _ = pairs.load(case.place, case.case, allow_empty=True)
    except pairs.BadPair:
        return (np.nan,) * len(SHARPNESS)
    height, width = image.shape
    middle = np.float32(image[height // 4 : height - height // 4, width // 4 : width - width // 4])
    middle = cv2.resize(middle, (512, 512), interpolation=cv2.INTER_AREA)
    blurred = [cv2.GaussianBlur(middle, (0, 0), sigma) if sigma else middle for sigma in (0, 1, 2, 4)]
    return tuple(float(np.log1p(cv2.Laplacian(one, cv2.CV_32F).var())) for one in blurred)


def metadata(subject: Subject) -> tuple[pd.DataFrame, list[str]]:
    """Those of METADATA as numbers that are known for enough cases of every class, and the names of the others."""
    about, used = subject.facts, []
    for name in METADATA:
        known = (about[name].notna() & (about[name] != "")).to_numpy()
        shares = [known[subject.label == c].mean() for c in np.unique(subject.label)]
        if min(shares) >= KNOWN:
            used.append(name)
    told = [pd.get_dummies(about[name], prefix=name, dtype=float) for name in used if name != "age"]
    told += [about[["age"]].fillna(about.age.median())] if "age" in used else []
    return pd.concat(told, axis=1) if told else pd.DataFrame(), [name for name in METADATA if name not in used]
