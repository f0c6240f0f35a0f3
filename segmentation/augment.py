"""Random changes of a training radiograph and its target, made together, left and right respected."""

import cv2
import numpy as np

from segmentation.masks import HEART, LEFT, RIGHT


def augment(image: np.ndarray, target: np.ndarray, settings, rng: np.random.Generator):
    """(H, W) float32 0..255 and (H, W) uint8 labels -> the same kinds, changed by what the settings allow."""
    image, target = _move(image, target, settings, rng)
    if rng.random() < settings.flip:
        image, target = image[:, ::-1], mirror_labels(target)
    if rng.random() < settings.opacity:
        image = _opacities(image, target, rng)
    image = _grey(image, settings, rng)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(target)


def mirror_labels(target: np.ndarray) -> np.ndarray:
    """The labels of the mirror image: what was the left lung is now on the right lung's side, and is called so."""
    swap = np.array([0, HEART, RIGHT, LEFT], np.uint8)
    return swap[target[..., ::-1]]


def _move(image, target, settings, rng):
    height, width = image.shape
    angle = rng.uniform(-settings.rotation, settings.rotation)
    size = np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale))
    squeeze = np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale / 2))  # films are squeezed when made square
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, size)
    matrix[0, :2] *= squeeze
    matrix[0, 2] = matrix[0, 2] * squeeze + (1 - squeeze) * (width - 1) / 2
    matrix[:, 2] += rng.uniform(-settings.shift, settings.shift, 2) * (width, height)
    # Outside is black, as beyond the collimator, or the edge drawn out, as in a closer view; films have both.
    border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REPLICATE
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    labels = cv2.warpAffine(target, matrix, (width, height), flags=cv2.INTER_NEAREST)
    return moved, labels


def _opacities(image, target, rng):
    """Bright soft clouds, mostly over the lungs: consolidation and ground glass in the eyes of a network."""
    height, width = image.shape
    lungs = np.argwhere(target >= LEFT)
    clouds = np.zeros_like(image)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(rng.integers(1, 6)):
        row, column = lungs[rng.integers(len(lungs))] if len(lungs) else rng.uniform(0, 1, 2) * (height, width)
        across, along = rng.uniform(0.04, 0.22, 2) * (width, height)
        cloud = np.exp(-(((rows - row) / along) ** 2) - ((columns - column) / across) ** 2)
        clouds = np.maximum(clouds, rng.uniform(0.2, 0.95) * cloud)
    texture = cv2.resize(rng.random((12, 12), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    clouds *= np.clip(0.6 + 0.6 * texture, 0, 1)
    return image + clouds * (rng.uniform(190, 250) - image) * (image < 250)


def _grey(image, settings, rng):
    image = 255 * np.clip(image / 255, 0, 1) ** np.exp(rng.uniform(-1, 1) * np.log1p(settings.contrast))
    image += rng.uniform(-1, 1) * settings.contrast / 5 * 255
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.3, 1.2))
    image += rng.uniform(0, settings.noise) * rng.standard_normal(image.shape, np.float32)
    return np.clip(image, 0, 255)
