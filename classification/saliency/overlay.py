"""Maps over radiographs, as pictures: class, probability, colour bar and the outline of the lungs."""

import cv2
import matplotlib
import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

SIDE = 640  # longer side of a radiograph in the picture, in pixels
COLOURS = (matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.float32)
DENSEST = 0.8  # opacity of the greatest value; it falls with the value, so that the image shows where there is nothing
GROUND, TEXT, QUIET = (20, 20, 22), (238, 238, 238), (165, 165, 170)
MARGIN, HEADER, BAR = 14, 60, 16


def draw(image, mask, maps, titles, details) -> np.ndarray:
    """A panel for each map over the radiograph, all on the scale of the colour bar at their right.

    image (H, W) grey 0..255; mask (H, W) of the lungs, whose outline is white; maps (T, H, W) from 0; titles and
    details: two lines of text a panel. Returns (h, w, 3) uint8 RGB.
    """
    height, width = (max(1, round(side * SIDE / max(image.shape))) for side in image.shape)
    radiograph = np.clip(_resize(image, height, width), 0, 255)
    lungs = _resize(mask > 0, height, width) >= 0.5
    outlines = cv2.findContours(lungs.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    peak = float(np.max(maps))
    large, small = (ImageFont.truetype(findfont("DejaVu Sans"), size) for size in (17, 13))
    wide = max(width, 240)  # a narrow radiograph leaves room for its title
    sheet = Image.new("RGB", (len(maps) * (wide + MARGIN) + MARGIN + BAR + 76, HEADER + height + MARGIN), GROUND)
    text = ImageDraw.Draw(sheet)
    for i, (values, title, detail) in enumerate(zip(maps, titles, details, strict=True)):
        share = _resize(values, height, width) / (peak or 1)
        panel = np.rint(blend(radiograph, share)).astype(np.uint8)
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            for outline in outlines:
                cv2.polylines(panel, [outline], True, colour, thick, cv2.LINE_AA)
        left = MARGIN + i * (wide + MARGIN)
        sheet.paste(Image.fromarray(panel), (left + (wide - width) // 2, HEADER))
        text.text((left, 10), _fit(text, title, large, wide), TEXT, large)
        text.text((left, 34), _fit(text, detail, small, wide), QUIET, small)
    _bar(sheet, text, small, peak, height)
    return np.asarray(sheet)


def _resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    way = cv2.INTER_AREA if height < len(array) else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(array, np.float32), (width, height), interpolation=way)


def blend(radiograph: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Grey (h, w) 0..255 under the colours of shares (h, w) 0..1 of the scale: (h, w, 3) float32, 0..255."""
    share = np.clip(share, 0, 1)
    opacity = (DENSEST * np.sqrt(share))[..., None]
    return radiograph[..., None] * (1 - opacity) + COLOURS[np.rint(share * 255).astype(int)] * opacity


def _bar(sheet: Image.Image, text: ImageDraw.ImageDraw, font, peak: float, height: int) -> None:
    """The colours as they look over a middle grey, with the values of a quarter, a half ... of the scale."""
    left = sheet.width - BAR - 70
    steps = np.linspace(1, 0, height, dtype=np.float32)[:, None].repeat(BAR, 1)
    sheet.paste(Image.fromarray(np.rint(blend(np.full_like(steps, 96), steps)).astype(np.uint8)), (left, HEADER))
    text.text((left - 1, 34), "p × CAM", QUIET, font)
    text.rectangle((left - 1, HEADER - 1, left + BAR, HEADER + height), outline=QUIET)
    for share in (0, 0.25, 0.5, 0.75, 1) if peak > 0 else (0,):
        y = HEADER + (1 - share) * (height - 1)
        text.line((left + BAR, y, left + BAR + 4, y), QUIET)
        place = left + BAR + 8, min(max(y, HEADER + 6), HEADER + height - 6)
        text.text(place, f"{share * peak:.2g}", TEXT, font, anchor="lm")


def _fit(text: ImageDraw.ImageDraw, words: str, font, width: int) -> str:
    """The words on one line, cut at their end if they are longer than `width` pixels."""
    words = "".join(c if c.isprintable() else "?" for c in words)
    while text.textlength(words, font) > width:
        words = words.removesuffix("…")[:-1] + "…"
    return words
