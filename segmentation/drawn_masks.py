"""Masks that people drew: read, understood or refused by name, and turned upright with their radiograph."""

from pathlib import Path

import numpy as np
from PIL import Image

from cxr.errors import BadData
from cxr.labels import ORGANS
from cxr.reading import raster, turn

TURNED = 0  # of a TIFF that says how it is stored: Pillow has turned it, and turn.upright() leaves it as it is
SOFT = 0.1  # of a mask's drawn pixels may lie between 0 and its value: soft edges; more is several labels
_REMEDY = (
    "save labels as a grey or palette PNG with 0 background, 1 heart, 2 left and 3 right lung, or one organ, or both "
    "lungs, against 0"
)


def truth(
    masks: dict[str, Path], shape: tuple[int, int] | None = None, orientation: int = turn.UPRIGHT
) -> dict[str, np.ndarray]:
    """The organs of a case as boolean (H, W) arrays: those of heart, left and right that are known, and lungs where
    they are. Raises BadData, naming the file, also for organs that do not lie as they do in a chest.

    masks: the file of each organ (heart, left, right), or of lungs (both), or of labels (0..3). shape and orientation
    are those of its radiograph: where that was turned upright, masks drawn on the stored pixels are turned too.
    """
    stored = {name: _upright(*read(path), shape, orientation) for name, path in masks.items()}
    if "labels" in masks:
        return _in_place(_of_labels(stored["labels"], masks["labels"]), masks)
    if len({mask.shape for mask in stored.values()}) > 1:
        sizes = ", ".join(f"{masks[organ]} {mask.shape}" for organ, mask in stored.items())
        raise BadData(f"the masks of one case differ in size: {sizes}; draw them on one image.")
    organs = {organ: _against_zero(mask, masks[organ]) for organ, mask in stored.items()}
    return _in_place(organs, masks)


def read(path: Path) -> tuple[np.ndarray, int]:
    """A mask file: (H, W) whole numbers as stored, and EXIF's number of how, or TURNED. Raises BadData by its name."""
    try:
        with path.open("rb") as opened, Image.open(opened) as file:
            pages = getattr(file, "n_frames", 1)
            if pages > 1:
                raise BadData(f"{path} holds {pages} pictures; {_REMEDY}.")
            missing = raster.missing(path, file.format) if file.format == "PNG" else None
            if missing:
                raise ValueError(missing)
            orientation = raster.stored_orientation(file)
            if file.format == "TIFF" and orientation != turn.UPRIGHT:
                orientation = TURNED
            # A palette PNG holds labels as indices; a gif's palette is what makes 255 of its 1.
            plain = file.mode in ("1", "L", "P") and file.format != "GIF"
            deep = file.mode.startswith("I")  # 16 bits, of which convert() would make 255 or zero
            if plain or deep:
                # Pillow turns 1 and 8 bits whose zero is white, not deeper ones.
                white_is_zero = deep and file.format == "TIFF" and file.tag_v2.get(262) == 0
                stored = np.asarray(file)
                return stored.max() - stored if white_is_zero else stored, orientation
            return _one_channel(np.asarray(file.convert("RGBA")), path), orientation
    except FileNotFoundError:
        raise BadData(f"{path} does not exist.") from None
    except BadData:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:  # all of them Pillow's
        raise BadData(f"{path} cannot be read as a mask: {str(error).rstrip('.')}; save it as a grey PNG.") from error


def _one_channel(colours, path):
    red, green, blue, alpha = np.moveaxis(colours, 2, 0)
    if alpha.min() < 255:
        raise BadData(f"{path} is drawn in transparency (alpha), which is not read as a mask; {_REMEDY}.")
    if not (np.array_equal(red, green) and np.array_equal(green, blue)):
        raise BadData(f"{path} is a mask in colours, which do not tell the organs; {_REMEDY}.")
    return red


def _upright(mask, own, shape, orientation):
    """The mask turned as it says itself, else as its radiograph, unless it fits the upright radiograph alone."""
    if own != turn.UPRIGHT:
        return turn.upright(mask, own)
    if shape and orientation in turn.TRANSPOSED and _misfit(mask.shape, shape) < _misfit(mask.shape, shape[::-1]):
        return mask
    return turn.upright(mask, orientation)


def _misfit(a, b):
    """How far apart the aspects of two shapes are, 0 for one aspect."""
    return abs(np.log(a[0] * b[1] / (a[1] * b[0])))


def _of_labels(labels, path):
    values = np.unique(labels)
    if len(values) <= 2 or values[-1] > len(ORGANS):  # 0 against one value: both lungs
        return {"lungs": _against_zero(labels, path)}
    organs = {organ: labels == label for organ, label in ORGANS.items()}
    if not (organs["left"].any() and organs["right"].any()):
        raise BadData(f"{path} holds the labels {_listed(values)}, so a left or a right lung is missing; {_REMEDY}.")
    if not organs["heart"].any():  # not drawn, for every chest has one
        del organs["heart"]
    return organs


def _against_zero(mask, path):
    """A mask of 0 and 255, 0 and 1, or with soft edges, as boolean."""
    top = mask.max(initial=0)
    between = np.count_nonzero((mask > SOFT * top) & (mask < (1 - SOFT) * top))
    if between > SOFT * np.count_nonzero(mask):
        raise BadData(f"{path} holds the values {_listed(np.unique(mask))}, which are not understood; {_REMEDY}.")
    return mask > top // 2


def _listed(values):
    few = ", ".join(str(value) for value in values[:6])
    return few if len(values) <= 6 else f"{few} ... {values[-1]}"


def _in_place(organs, masks):
    """The organs, with the lungs where both are known, if they lie as in a chest: an inverted mask, and labels in
    another order, would pass for organs."""
    if "left" in organs and "right" in organs:
        organs["lungs"] = organs["left"] | organs["right"]
    for organ, mask in organs.items():
        frame = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        if frame.mean() > 0.5:
            raise BadData(f"{_file(masks, organ)} is inverted: it has {organ} all along the border; {_REMEDY}.")
    if "lungs" in organs and not organs["lungs"].any():
        raise BadData(f"{_file(masks, 'lungs')} holds no lung; {_REMEDY}.")
    shown = [organ for organ in ("right", "heart", "left") if organ in organs and organs[organ].any()]
    found = sorted(shown, key=lambda organ: np.nonzero(organs[organ])[1].mean())
    if found != shown:
        raise BadData(
            f"{_file(masks, found[0])} gives, from left to right of the image, {', '.join(found)}, where a radiograph "
            f"shows {', '.join(shown)}, as the patient's; {_REMEDY}."
        )
    return organs


def _file(masks, organ):
    return masks.get(organ) or masks.get("labels") or masks["left"]
