"""Where and how an image is taken: hospitals, exposure and tone curve, quantum noise, collimation, markers, labels."""

from collections.abc import Mapping
from types import SimpleNamespace

import cv2
import numpy as np

from data.thorax.anatomy import pixel_size

# slope, bias: the tone curve about the lungs' median attenuation; dose: photons a canonical unit squared in free air;
# scatter: against the primary; formats: names of formats.WRITERS with their shares; views with theirs;
# border: colour outside the collimated field.
HOSPITALS = (
    SimpleNamespace(
        name="Phantom Northfield", scale=1.0, aspect=1.0, slope=1.15, bias=0.15, dose=4e4, scatter=0.6,
        formats={"png16": 0.5, "png8": 0.5}, views={"PA": 1.0}, marker="R", size=1.0, border=0.97, trim=0.03,
    ),
    SimpleNamespace(
        name="Phantom Harbour", scale=0.9, aspect=1.2, slope=1.6, bias=-0.5, dose=9e4, scatter=0.3,
        formats={"dicom": 0.8, "png16": 0.2}, views={"PA": 0.85, "AP": 0.15}, marker="L", size=1.2, border=0.0,
        trim=0.05,
    ),
    SimpleNamespace(
        name="Phantom St Roch", scale=0.8, aspect=1.22, slope=1.35, bias=-0.2, dose=3e4, scatter=0.5,
        formats={"dicom1": 0.8, "jpeg": 0.2}, views={"PA": 0.7, "AP": 0.3}, marker="DX", size=0.7, border=0.0,
        trim=0.02,
    ),
    SimpleNamespace(
        name="Phantom Eastgate", scale=0.85, aspect=0.82, slope=1.2, bias=0.1, dose=1.2e4, scatter=0.9,
        formats={"jpeg": 0.7, "png8": 0.3}, views={"AP": 0.4, "AP Supine": 0.6}, marker="AP", size=1.0, border=0.0,
        trim=0.04,
    ),
    SimpleNamespace(
        name="Phantom Meadow", scale=0.7, aspect=0.9, slope=1.75, bias=-0.35, dose=6e4, scatter=0.25,
        formats={"png8": 0.6, "dicom": 0.4}, views={"PA": 1.0}, marker="(R)", size=0.9, border=0.0, trim=0.0,
    ),
)  # fmt: skip
FILM = SimpleNamespace(
    name="JSRT", scale=1.0, aspect=1.0, slope=1.1, bias=0.2, dose=6e4, scatter=0.5, marker="", size=1.0, border=0.97,
    trim=0.0,
)  # fmt: skip


def choose(options: Mapping[str, float], rng: np.random.Generator) -> str:
    """One key of a dict of shares."""
    return str(rng.choice(list(options), p=list(options.values())))


def expose(
    signal: np.ndarray, lungs: np.ndarray, shape: tuple[int, int], hospital: SimpleNamespace, rng: np.random.Generator
) -> np.ndarray:
    """Radiograph (H, W) float32 in 0..1, bone bright, from detector signal (h, w) and the lungs' mask of that size.

    The signal is drawn smaller than a large image and enlarged; noise is then drawn for every pixel of the image, with
    the variance of photons counted (Poisson; 1/N in the logarithm).
    """
    attenuation = -np.log(signal)
    reference = float(np.median(attenuation[lungs])) if lungs.any() else float(np.median(attenuation))
    slope = hospital.slope * float(np.exp(rng.normal(0, 0.10)))
    bias = hospital.bias + rng.normal(0, 0.22)
    dose = hospital.dose * float(np.exp(rng.normal(0, 0.35))) * pixel_size(shape) ** 2
    if shape != signal.shape:
        attenuation = cv2.resize(attenuation, shape[::-1], interpolation=cv2.INTER_CUBIC)
    spread = np.exp(attenuation * 0.5) * np.float32(dose**-0.5)
    attenuation += np.minimum(spread, 0.25) * rng.standard_normal(shape, np.float32)
    return 1 / (1 + np.exp(np.float32(slope * reference - bias) - np.float32(slope) * attenuation))


def add_marker(radiograph: np.ndarray, hospital: SimpleNamespace, portable: bool, rng: np.random.Generator) -> None:
    """Stamp the hospital's lead letters beside the body, in place: "R" at the patient's right, which is image left."""
    text = {"AP": "AP SUPINE" if portable else "AP"}.get(hospital.marker, hospital.marker).strip("()")
    if not text:
        return
    height, width = radiograph.shape
    scale = hospital.size * min(radiograph.shape) / 900
    stroke = max(1, round(2.2 * scale))
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    on_right = text.startswith(("L", "AP"))
    x = int(width * (0.93 if on_right else 0.07) + rng.normal(0, 0.008 * width) - (wide if on_right else 0))
    y = int(height * 0.075 + rng.normal(0, 0.006 * height)) + high
    stamp = np.zeros(radiograph.shape, np.uint8)
    cv2.putText(stamp, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, stroke, cv2.LINE_AA)
    if hospital.marker.startswith("("):
        cv2.circle(stamp, (x + wide // 2, y - high // 2), int(0.85 * max(wide, high)), 255, stroke, cv2.LINE_AA)
    lead = stamp.astype(np.float32) * (0.95 / 255)
    radiograph += lead * (1 - radiograph)


def collimate(radiograph: np.ndarray, hospital: SimpleNamespace, rng: np.random.Generator) -> None:
    """Blank the border outside the collimated field, in place; each side by its own draw, at most 7 % of it."""
    height, width = radiograph.shape
    top, bottom, left, right = np.clip(rng.exponential(1.0, 4) * hospital.trim * 0.5, 0, 0.07)
    edges = (slice(0, int(top * height)), slice(height - int(bottom * height), None))
    sides = (slice(0, int(left * width)), slice(width - int(right * width), None))
    for rows in edges:
        radiograph[rows] = hospital.border
    for columns in sides:
        radiograph[:, columns] = hospital.border


def blank_labels(radiograph: np.ndarray, rng: np.random.Generator) -> None:
    """Cover where a name tag was, as on the JSRT images: black blocks in the upper corners, a white edge, in place."""
    height, width = radiograph.shape
    if rng.random() < 0.6:
        for start in (0.0, 0.86):
            wide = rng.uniform(0.06, 0.14)
            left = int(width * (start + rng.uniform(0, 0.05)))
            radiograph[: int(height * rng.uniform(0.02, 0.07)), left : left + int(wide * width)] = 0
    if rng.random() < 0.4:
        radiograph[height - int(height * rng.uniform(0.004, 0.014)) :] = 0.99
    if rng.random() < 0.3:
        radiograph[:, : int(width * rng.uniform(0.004, 0.016))] = 0.99


def draw_wires(radiograph: np.ndarray, rng: np.random.Generator) -> None:
    """Monitor leads and electrodes across a bedside radiograph, in place."""
    height, width = radiograph.shape
    canvas = np.zeros(radiograph.shape, np.uint8)
    thick = max(1, round(min(radiograph.shape) / 380))
    for _ in range(int(rng.integers(1, 4))):
        start = np.array([rng.uniform(0.15, 0.85), rng.uniform(0.25, 0.7)])
        end = np.array([rng.uniform(0, 1), rng.choice([-0.05, 1.05])])
        t = np.linspace(0, 1, 40)[:, None]
        middle = (start + end) / 2 + rng.normal(0, 0.12, 2)
        curve = ((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end) * (width, height)
        cv2.polylines(canvas, [np.round(curve * 16).astype(np.int32)], False, 130, thick, cv2.LINE_AA, 4)
        centre = tuple(int(v) for v in start * (width, height))
        cv2.circle(canvas, centre, int(min(radiograph.shape) * 0.013), 170, max(1, thick), cv2.LINE_AA)
        cv2.circle(canvas, centre, int(min(radiograph.shape) * 0.005), 220, -1, cv2.LINE_AA)
    radiograph += canvas.astype(np.float32) * (0.75 / 255) * (1 - radiograph)
