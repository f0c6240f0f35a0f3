"""What happens to a label map after the network: clean it, measure it, and say what looks wrong with it.

Label maps are (H, W) uint8: 0 background, 1 heart, 2 left lung, 3 right lung. Left and right are the patient's, so
the left lung lies on the right of the image.
"""

import math

import cv2
import numpy as np

from cxr.labels import HEART, LEFT, NAMES, RIGHT


def clean(labels):
    """One piece an organ, without holes: (H, W) label map in, (H, W) uint8 out. Raises ValueError beyond 0..3.

    The largest 8-connected component of each organ is kept. What the fragments become is told by what they touch:
    - a fragment of lung that touches a kept lung becomes that lung (the one it touches most), because left and right
      are mixed up more often than lung and background: the union of the lungs is trusted before their sides;
    - a fragment otherwise becomes the organ that holds more of its border than anything else, or background.
    Then background enclosed by one organ alone is filled with it. Another organ inside it stays as it is, and so does
    a gap between two organs.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or (labels.size and (labels.min() < 0 or labels.max() > RIGHT)):
        raise ValueError("A label map is (H, W) with values 0 to 3; take the argmax of the network's output first.")
    labels = np.array(labels, np.uint8, order="C")  # a copy, to be worked on in place
    box = _box(labels > 0)
    if box:
        inside = np.ascontiguousarray(labels[box])
        _place_fragments(inside)
        _fill_holes(inside)
        labels[box] = inside
    return labels


def measures(labels, spacing_mm=None):
    """Areas in pixels, greatest transverse diameters and cardiothoracic ratio of a label map, as a dict of floats.

    `area_left`, `area_right`, `area_heart`; `heart_width` from the heart's first to its last column; `thorax_width`
    likewise from the outer edge of one lung to that of the other; `ctr` = heart_width / thorax_width. The same with
    `_mm2` and `_mm` where spacing_mm, one number or (row, column), is known. NaN where undefined: a width of an organ
    that is missing, a thorax with one lung, millimetres without spacing. The keys are always the same.
    """
    areas = _areas(labels)
    heart = _width(labels == HEART)
    thorax = _width(labels >= LEFT) if areas[LEFT] and areas[RIGHT] else math.nan
    row, column = (math.nan, math.nan) if spacing_mm is None else np.broadcast_to(spacing_mm, 2).astype(float)
    result = {"area_left": float(areas[LEFT]), "area_right": float(areas[RIGHT]), "area_heart": float(areas[HEART])}
    result |= {"heart_width": heart, "thorax_width": thorax, "ctr": heart / thorax}
    for name in ("area_left", "area_right", "area_heart"):
        result[f"{name}_mm2"] = float(result[name] * row * column)
    for name in ("heart_width", "thorax_width"):
        result[f"{name}_mm"] = float(result[name] * column)
    return result


def quality(before, labels, margin=None):
    """Reasons to distrust a mask, as a list of short texts; an empty list means that nothing looks wrong.

    before (H, W): the label map as the network gave it; labels (H, W): the same after clean(); margin: mean over the
    organs of the first class's probability minus the second's, or None. The limits lie well outside what the true masks
    of JSRT (247, SCR) and Montgomery (138, 58 with tuberculosis) show, given beside each as the 0.1 and 99.9
    percentile; a child's, a portable or an opaque radiograph is meant to pass where its mask is right.
    """
    lungs_share = 0.06, 0.60  # of the image; true 0.10 to 0.46, the low end being squeezed copies with wide borders
    left_to_right = 0.40, 1.60  # areas; true 0.54 to 1.15, the heart takes its room from the left lung
    heart_to_lungs = 0.10, 0.80  # areas; true 0.19 to 0.53, large hearts and opaque lungs go beyond
    fragments = 0.10  # of an organ's area, outside its largest piece before cleaning; true 0
    on_border = 0.08  # of the image's border pixels that are lung; true at most 0.03
    centre_row, centre_column = (0.12, 0.75), (0.30, 0.70)  # of both lungs; true 0.23 to 0.60 and 0.41 to 0.56
    apart = 0.15  # centre of the left lung right of the right lung's, share of the image's width; true 0.24 to 0.53
    least_margin = 0.84  # mean over the organs; above 0.9 in most, below this in the worst of 24 opaque radiographs

    height, width = labels.shape
    areas = _areas(labels)
    lungs = areas[LEFT] + areas[RIGHT]
    if not lungs:
        return ["no lung found"]
    reasons = [f"{NAMES[organ]} missing" for organ, area in areas.items() if not area]
    _limit(reasons, "lungs over image area", lungs / labels.size, lungs_share)
    if areas[HEART]:
        _limit(reasons, "heart over lung area", areas[HEART] / lungs, heart_to_lungs)
    for organ, name in NAMES.items():
        pieces = _pieces(before == organ)[2]
        if len(pieces):
            outside = 1 - pieces.max() / pieces.sum()
            _limit(reasons, f"fragmented {name}, share outside its largest piece", outside, (0, fragments))

    lung = labels >= LEFT
    _limit(reasons, "lungs cut by the border, share of it", _frame(lung).mean(), (0, on_border))
    if areas[LEFT] and areas[RIGHT]:
        _limit(reasons, "left over right lung area", areas[LEFT] / areas[RIGHT], left_to_right)
        _limit(reasons, "centre of the lungs, row", _centre(lung, 0) / height, centre_row)
        _limit(reasons, "centre of the lungs, column", _centre(lung, 1) / width, centre_column)
        distance = (_centre(labels == LEFT, 1) - _centre(labels == RIGHT, 1)) / width
        if distance < 0:
            reasons.append("left and right lung swapped")
        else:
            _limit(reasons, "distance between the lungs' centres", distance, (apart, 1))
    if margin is not None:
        _limit(reasons, "mean probability margin", margin, (least_margin, math.inf))
    return reasons


def _areas(labels):
    return {organ: int(np.count_nonzero(labels == organ)) for organ in NAMES}


def _limit(reasons, name, value, limits):
    low, high = limits
    if not low <= value <= high:  # written so that NaN is a reason too
        limit = f"below {low:g}" if value < low else f"above {high:g}" if value > high else "undefined"
        reasons.append(f"{name} {value:.2f} is {limit}")


def _place_fragments(labels):
    """Largest component of each organ kept, every other one given to what it touches; in place."""
    fragments = np.zeros(labels.shape, np.int32)  # 0, or the fragment's number
    organ_of = [0]
    for organ in NAMES:
        box, parts, areas = _pieces(labels == organ)
        if len(areas) > 1:
            number = np.zeros(len(areas) + 1, np.int32)
            others = np.delete(np.arange(len(areas)), areas.argmax())
            number[others + 1] = np.arange(len(others)) + len(organ_of)
            organ_of += [organ] * len(others)
            fragments[box] += number[parts]
    if len(organ_of) == 1:
        return
    touches = _touches(fragments, np.where(fragments > 0, 0, labels), len(organ_of))
    becomes = touches.argmax(1)
    lung = (np.array(organ_of) >= LEFT) & (touches[:, LEFT:].sum(1) > 0) & (becomes != HEART)
    becomes[lung] = LEFT + touches[lung, LEFT:].argmax(1)
    becomes[0] = 0
    np.copyto(labels, becomes.astype(np.uint8)[fragments], where=fragments > 0)


def _fill_holes(labels):
    """Background that one organ alone encloses is filled with it; in place."""
    # Background is 4-connected where organs are 8-connected: a diagonal line of organ pixels holds water.
    count, parts = cv2.connectedComponents((labels == 0).view(np.uint8), connectivity=4)
    inner = np.ones(count, bool)
    inner[_frame(parts)] = False  # what reaches the bounding box of all organs is outside them
    inner[0] = False  # number 0 is what is not background
    if not inner.any():
        return
    touches = _touches(parts, labels, count)
    hole = inner & (np.count_nonzero(touches, axis=1) == 1)
    np.copyto(labels, touches.argmax(1).astype(np.uint8)[parts], where=hole[parts])


def _touches(parts, labels, count):
    """(count, 4) int: how many 4-neighbours outside of it a part (number > 0) has of every label."""
    total = np.zeros(count * 4, np.int64)
    columns = parts.shape[1]
    parts, labels = parts.ravel(), labels.ravel()
    for step, wraps in ((1, True), (columns, False)):
        at = np.flatnonzero(parts[step:] != parts[:-step])
        if wraps:
            at = at[(at + 1) % columns > 0]  # the last pixel of a row is no neighbour of the next row's first
        for here, there in ((at, at + step), (at + step, at)):
            total += np.bincount(parts[here].astype(np.int64) * 4 + labels[there], minlength=count * 4)
    total = total.reshape(count, 4)
    total[0] = 0
    return total


def _pieces(mask):
    """(box, parts, areas): bounding box, 8-connected components 1..n in it, and their areas (n,) in pixels."""
    box = _box(mask)
    if not box:
        return None, None, np.empty(0, np.int64)
    mask = np.ascontiguousarray(mask[box]).view(np.uint8)
    count, parts = cv2.connectedComponents(mask, connectivity=8)
    # The usual single piece is only counted: OpenCV's and numpy's ways to the areas of many cost thrice the labelling.
    areas = np.bincount(parts.ravel())[1:] if count > 2 else np.array([np.count_nonzero(mask)])
    return box, parts, areas


def _frame(array):
    """The values of a 2-D array along its four sides."""
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def _box(mask):
    """Slices of the bounding box of a boolean mask, or None for an empty one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else None


def _width(mask):
    box = _box(mask)
    return float(box[1].stop - box[1].start) if box else math.nan


def _centre(mask, axis):
    """Mean row (axis 0) or column (axis 1) of a boolean mask that is not empty."""
    profile = mask.sum(1 - axis)
    return float(profile @ np.arange(len(profile)) / profile.sum())
