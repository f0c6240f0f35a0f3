"""The beam: centimetres of every tissue along each ray, Beer-Lambert's law, scatter; log attenuation a pixel."""

from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np

from data.thorax.anatomy import MIDLINE, look_up, pixel_size
from data.thorax.bones import draw_girdle, draw_ribs, draw_spine
from data.thorax.lungs import draw_airway, draw_hila, draw_vessels, wavy

# Linear attenuation, 1/cm, near 70 keV (after NIST's tables for ICRU-44 tissues); lung holds a quarter of its air's
# room as tissue and blood.
SOFT, BONE = 0.17, 0.40  # bone: what it adds to the soft tissue that it replaces
LUNG_TISSUE = 0.24


def chord(distance: np.ndarray, reach: float) -> np.ndarray:
    """Rounded edge: 0 at distance 0, 1 from `reach` on, along a quarter circle."""
    t = np.clip(distance * (1 / reach), 0, 1)
    return np.sqrt(t * (2 - t))


def draw_trunk(body: SimpleNamespace, place_of: SimpleNamespace, rng: np.random.Generator) -> np.ndarray:
    """Depth of the body along the beam, cm, (H, W) float32: torso, neck, shoulders, arms, breasts; 0 in free air."""
    patient = body.patient
    wide = patient.width * (1 + 0.045 * patient.habitus)
    y = np.array([-400, 10, 60, 105, 150, 230, 330, 430, 560, 720, 900, 1500], float)
    arms = body.pose.portable
    half = np.array([120, 135, 250, 470, 640, 680, 560, 492, 474, 470, 474, 490], float) * wide
    if arms:
        half = np.array([125, 150, 300, 470, 560, 590, 600, 505, 484, 478, 480, 495], float) * wide
    deep = np.array([14, 14, 14, 14, 15, 17, 20, 21, 22, 22.5, 23, 23], float) * (1 + 0.13 * patient.habitus)
    grid = np.arange(-400, 1500, 0.25)
    smooth = cv2.GaussianBlur(np.interp(grid, y, half).astype(np.float32)[None], (0, 0), 60)[0]
    thick = np.interp(grid, y, deep).astype(np.float32)
    edge = np.clip(place_of.out / look_up(smooth, place_of.y), 0, 1)
    depth = look_up(thick, place_of.y) * np.sqrt(1 - np.square(np.square(edge)))
    if arms:
        arm = np.abs(place_of.out - 565 * wide) / 62
        depth = np.maximum(depth, 8 * np.sqrt(np.clip(1 - arm**2, 0, 1)) * chord(place_of.y - 120, 110))
    for side in (-1, 1):
        x = place_of.x - np.float32(MIDLINE + side * 232 * wide)
        if patient.breast:
            r = (x / 175) ** 2 + ((place_of.y - 610) / np.where(place_of.y > 610, 135, 250)) ** 2
            depth = depth + patient.breast * np.clip(1 - r, 0, 1) ** 0.6 * (depth > 0)
        fold = ((x - side * 75) / 170) ** 2 + ((place_of.y - 280) / 190) ** 2
        depth = depth + 1.6 * np.clip(1 - fold, 0, 1) * (depth > 0)  # pectoral muscles
    return depth * (1 + 0.012 * wavy(depth.shape, rng, 6))


def draw_air(body: SimpleNamespace, place_of: SimpleNamespace) -> np.ndarray:
    """Depth of aerated lung along the beam, cm, (H, W) float32, behind and before heart and domes as well."""
    across = np.clip(place_of.out / np.maximum(place_of.lateral, 1), 0, 1)
    high = np.clip((place_of.y - np.float32(body.top - 4)) / 420, 0, 1)
    room = np.interp(place_of.y, [78, 200, 330, 450], [9.0, 10.8, 13.2, 15.5]).astype(np.float32)
    depth = room * np.sqrt(1 - across**2.3) * np.sqrt(high * (2 - high)) ** 0.9
    hidden = chord(place_of.medial - place_of.out, 26)
    for side in ("left", "right"):  # the heart's foot: no air between it and the diaphragm
        foot = np.clip((place_of.y - np.float32(body.heart_foot[side])) / 45, 0, 1)
        foot = foot * chord(place_of.floor - place_of.out, 26) * (place_of.left == (side == "left"))
        hidden = np.maximum(hidden, foot)
    depth = depth * (1 - 0.93 * hidden)
    inside = np.clip(1 - place_of.heart**2, 0, 1)
    depth = depth * (1 - 0.74 * inside**0.36)
    below = np.clip(place_of.y - place_of.dome, 0, None)
    recess = 0.24 * np.exp(-below / 60)  # lung behind the dome
    return depth * np.where(below > 0, recess + (1 - recess) * (1 - chord(below, 16)), 1)


def draw_mediastinum(body: SimpleNamespace, place_of: SimpleNamespace) -> np.ndarray:
    """Extra blood along the beam, cm, (H, W) float32: aorta's arch and descending course, the heart's own depth."""
    inside = np.clip(1 - place_of.heart**2, 0, 1)
    heart = 3.2 * np.sqrt(inside)
    knob = np.hypot(
        (place_of.x - np.float32(MIDLINE + 48 + 0.5 * body.patient.knob)) / (34 + 0.4 * body.patient.knob),
        (place_of.y - np.float32(body.knob_at)) / 36,
    )
    aorta = np.clip(1 - ((place_of.x - np.float32(MIDLINE + 52)) / 30) ** 2, 0, 1)
    aorta = aorta * np.clip((place_of.y - np.float32(body.knob_at)) / 40, 0, 1)
    return heart + 1.6 * np.sqrt(np.clip(1 - knob**2, 0, 1)) + 1.1 * np.sqrt(aorta)


def draw_gas(body: SimpleNamespace, place_of: SimpleNamespace, rng: np.random.Generator) -> np.ndarray:
    """Gas in the stomach's fundus and the colon's flexure, cm, (H, W) float32."""
    gas = np.zeros_like(place_of.out)
    level = body.tops["left"] + 30
    if body.patient.bubble:
        x, y = MIDLINE + rng.uniform(130, 210), level + rng.uniform(20, 45)
        wide, high = rng.uniform(48, 80), rng.uniform(22, 40)
        r = np.hypot((place_of.x - np.float32(x)) / wide, (place_of.y - np.float32(y)) / high)
        gas += 4.5 * np.sqrt(np.clip(1 - r + 0.08 * wavy(r.shape, rng, 14), 0, 1))
    for _ in range(int(rng.integers(0, 4))):
        x, y = MIDLINE + rng.uniform(190, 330), level + rng.uniform(70, 170)
        r = np.hypot((place_of.x - np.float32(x)) / rng.uniform(22, 45), (place_of.y - np.float32(y)) / 24)
        gas += 2.5 * np.sqrt(np.clip(1 - r**2, 0, 1))
    return gas


def attenuate(
    body: SimpleNamespace, place_of: SimpleNamespace, filled: np.ndarray, keys: Callable[..., np.random.Generator]
) -> np.ndarray:
    """Log attenuation -ln(I / I0) of the primary beam, (H, W) float32, by Beer-Lambert over the summed path lengths.

    filled: share of the lung's air that disease fills, (H, W). keys(name) gives the generator of each structure, so
    that the same patient keeps the same ribs and vessels in every radiograph.
    """
    shape = place_of.out.shape
    unit = pixel_size(shape)
    trunk = draw_trunk(body, place_of, keys("trunk"))
    air = np.minimum(draw_air(body, place_of), 0.85 * trunk)
    open_air = air / np.maximum(air + 2.0, 1e-3)  # vessels and hila show only where there is air about them
    vessels = draw_vessels(body, shape, unit, keys("vessels")) + draw_hila(body, place_of)
    solid = air * (LUNG_TISSUE + (1 - LUNG_TISSUE) * filled)
    soft = trunk - air + solid + np.minimum(vessels, 0.6 * air) * open_air * (1 - 0.8 * filled)
    soft += draw_mediastinum(body, place_of)
    hidden = np.clip((place_of.medial - place_of.out) / 20, 0, 1)
    gas = draw_airway(body, shape, unit) * hidden + draw_gas(body, place_of, keys("gas")) * (place_of.y > place_of.dome)
    bone = draw_ribs(body, shape, unit, keys("ribs")) + draw_girdle(body, shape, unit)
    bone = (bone + draw_spine(body, place_of)) * (trunk > 0.5)
    total = SOFT * np.maximum(soft - gas, 0) + BONE * body.patient.bone * bone
    return cv2.GaussianBlur(total.astype(np.float32), (0, 0), max(1.1 / unit, 0.35))  # penumbra of the focal spot


def scatter(attenuation: np.ndarray, share: float) -> np.ndarray:
    """Signal (H, W) float32 of primary beam plus scatter; scatter is the primary spread wide and `share` as strong."""
    primary = np.exp(-attenuation)
    height, width = primary.shape
    small = cv2.resize(primary, (max(width // 8, 8), max(height // 8, 8)), interpolation=cv2.INTER_AREA)
    spread = cv2.GaussianBlur(small, (0, 0), 0.055 * min(small.shape))
    return primary + share * cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
