"""The pictures of one case in the report: its radiograph, the outlines of its organs as vectors, its maps in colour."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from classification.cases.finder import Case
from classification.saliency import overlay
from cxr import pairs
from cxr.labels import ORGANS

THUMB_SIDE, MAP_SIDE = 64, 160  # greatest sides in pixels
# Greatest side of an image and quality of WebP, some 30 kB for most; the next where one is so noisy that it is larger
RADIOGRAPHS = (1024, 80), (768, 70), (512, 60), (384, 40)
LARGEST = 72_000  # bytes: 500 such radiographs make 48 MB of text
COARSE = 0.6  # pixels of the radiograph by which an outline may be simplified
SMOOTH = 0.75  # pixels of the radiograph, standard deviation: within an outline's width
FINE = 10  # parts of a pixel of the radiograph that the coordinates of outlines count
# Steps of the maps' values, which keep files small, their colours, and how much these cover of the image: nothing where
# the map is zero
LEVELS = 64
PALETTE = np.rint(overlay.COLOURS[np.linspace(0, 255, LEVELS).astype(int)]).astype(np.uint8)
OPACITY = np.rint(255 * np.sqrt(np.linspace(0, 1, LEVELS))).astype(np.uint8)


def draw(case: Case | None, maps: Sequence[tuple[str, Path]], store: Callable[[str, bytes], str]) -> dict:
    """What the report shows of a case, with the addresses that `store` gives for a name's ending and its bytes.

    radiograph, thumb, width, height   of the radiograph; missing where it has no pair
    outlines                     [organ, path of an SVG in tenths of the radiograph's pixels]
    maps                         [{name, peak, address}] of the classes, coloured from zero to the greatest
                                 value of all maps of the case; peak is the class's own greatest value
    told                         sentences on what cannot be shown
    """
    if case is None:
        return {"told": ["The pair of this case was not found, so its radiograph cannot be shown."], "maps": []}
    try:
        image, mask = pairs.load(case.place, case.case, allow_empty=True)
        labels = pairs.load_labels(case.place, case.case)
        if labels is not None and labels.shape != image.shape:
            raise pairs.BadPair(
                f"{case.case}: the label map {labels.shape} and the image {image.shape} differ in "
                "shape; write the pair again."
            )
    except pairs.BadPair as fault:
        return {"told": [str(fault)], "maps": []}
    held, (height, width) = radiograph(image)
    found = {"width": width, "height": height, "told": [], "maps": []}
    found["radiograph"] = store("radiograph.webp", held)
    found["thumb"] = store("thumb.webp", _webp(_smaller(image, THUMB_SIDE), 60))
    found["outlines"] = outlines(mask if labels is None else labels, (height, width), labels is not None)
    values = {}
    for name, file in maps:
        try:
            values[name] = read_map(file, image.shape)
        except ValueError as fault:
            found["told"].append(str(fault))
    peak = max((float(one.max()) for one in values.values()), default=0)
    for number, (name, one) in enumerate(values.items()):
        address = store(f"map{number}.png", coloured(one, peak))
        found["maps"].append({"name": name, "peak": float(f"{one.max():.4g}"), "address": address})
    return found


def radiograph(image: np.ndarray) -> tuple[bytes, tuple[int, int]]:
    """A radiograph (H, W) grey 0..255 as WebP of LARGEST bytes at most, and its height and width there."""
    for side, quality in RADIOGRAPHS:
        small = _smaller(image, side)
        held = _webp(small, quality)
        if len(held) <= LARGEST:
            break
    return held, small.shape


def outlines(labels: np.ndarray, size: tuple[int, int], named: bool) -> list[list[str]]:
    """The outlines of the organs of a label map, or, not `named`, of a mask: [organ, SVG path], size (height, width)
    being that of the radiograph they are drawn on. Paths are closed, in tenths of a pixel."""
    found = []
    for name, organ in ORGANS.items() if named else [("lungs", None)]:
        chosen = labels == organ if named else labels > 0
        if not chosen.any():
            continue
        # A soft edge, cut at its middle between pixels, so that the outline is no staircase; the frame closes it.
        reduced = labels.shape[0] > size[0]
        way = cv2.INTER_AREA if reduced else cv2.INTER_LINEAR
        soft = cv2.resize(chosen.astype(np.float32), size[::-1], interpolation=way)
        soft = np.pad(cv2.GaussianBlur(soft, (0, 0), SMOOTH), 1)
        path = ""
        for line in find_contours(soft, 0.5):
            # Less the frame; a pixel's middle lies half a pixel from its corner, where an SVG's coordinates begin.
            line = approximate_polygon(line, COARSE)[:-1, ::-1] - 0.5
            if len(line) > 2:
                first, *steps = np.diff(np.rint(line * FINE).astype(int), axis=0, prepend=0).tolist()
                path += "M{} {}l".format(*first) + " ".join(f"{x} {y}" for x, y in steps) + "z"
        if path:
            found.append([name, path])
    return found


def read_map(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """A map (H, W) float32 as visualize_cnn.py wrote it. Raises ValueError if it cannot be read or is of another
    shape than the radiograph."""
    try:
        values = pairs.array(file)
    except (*pairs.BROKEN, OSError) as error:
        raise ValueError(
            f"The map {file.name} cannot be read ({error}); make it again with classification/visualize_cnn.py."
        ) from error
    if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError(
            f"The map {file.name} is no map of this radiograph; make it again with "
            "classification/visualize_cnn.py --overwrite."
        )
    return values.astype(np.float32)


def coloured(values: np.ndarray, peak: float) -> bytes:
    """A map (H, W) as a small PNG in the colours of its values from 0 to peak, the clearer the smaller they are."""
    small = _smaller(values, MAP_SIDE)
    share = np.clip(small / peak, 0, 1) if peak > 0 else np.zeros_like(small)
    picture = Image.fromarray(np.rint((LEVELS - 1) * share).astype(np.uint8)).convert("P")
    picture.putpalette(PALETTE.tobytes())
    written = io.BytesIO()
    picture.save(written, "PNG", optimize=True, transparency=OPACITY.tobytes())
    return written.getvalue()


def embed(ending: str, held: bytes) -> str:
    """The bytes of a picture as an address that holds them."""
    return f"data:image/{ending.rsplit('.')[-1]};base64,{base64.b64encode(held).decode()}"


def gradient() -> str:
    """The colours of the maps as stops of a CSS gradient."""
    return ", ".join("rgb({} {} {})".format(*PALETTE[i]) for i in range(0, LEVELS, 7))


def _smaller(values: np.ndarray, side: int) -> np.ndarray:
    """(H, W) with no side above `side` pixels, averaged over areas."""
    scale = min(1, side / max(values.shape))
    height, width = (max(1, round(n * scale)) for n in values.shape)
    return cv2.resize(np.ascontiguousarray(values, np.float32), (width, height), interpolation=cv2.INTER_AREA)


def _webp(radiograph: np.ndarray, quality: int) -> bytes:
    grey = np.clip(np.rint(radiograph), 0, 255).astype(np.uint8)
    return cv2.imencode(".webp", grey, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
