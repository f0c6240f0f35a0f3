"""Figures of a classification: confusion matrix, ROC curves, reliability and abstention, in the style of plots.py.

plots.save() writes one as PNG, and vectors.svg() gives it to the page of a report.
"""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from cxr.figures.plots import BLUE, COLOURS, GRID, INK, QUIET, add_axes, new_figure
from cxr.stats import calibration

STYLES = ("-", "--", ":")  # a new one for every six classes
_SHADES = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", "#9DC6E0", BLUE, "#003A5C"])
_LONGEST = 22  # letters of a class name that fit


def confusion(counts: np.ndarray, names: list[str]) -> Figure:
    """A confusion matrix: counts (classes, classes), rows the truth, columns the prediction. A cell
    says how many cases, and its shade their share of the true class."""
    size = len(names)
    total = counts.sum(1, keepdims=True)
    share = counts / np.maximum(total, 1)
    figure = new_figure(2.6 + 0.95 * size, 1.7 + 0.8 * size)
    axes = add_axes(figure, 111, "True class")
    axes.grid(visible=False)
    axes.imshow(share, _SHADES, vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(size, size):
        ink = "white" if share[row, column] > 0.45 else QUIET if counts[row, column] == 0 else INK
        axes.text(column, row - 0.08, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=12)
        if counts[row, column]:
            axes.text(column, row + 0.24, f"{share[row, column]:.0%}", ha="center", va="center", color=ink, fontsize=8)
    ends = np.arange(size + 1) - 0.5
    axes.hlines(ends, -0.5, size - 0.5, color=GRID, linewidth=0.8)
    axes.vlines(ends, -0.5, size - 0.5, color=GRID, linewidth=0.8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    short = [_short(name) for name in names]
    slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, short)) > 13 else {}
    axes.set_xticks(range(size), short, parse_math=False, **slanted)
    counted = [f"{name}\nn = {n}" for name, n in zip(short, total[:, 0], strict=True)]
    axes.set_yticks(range(size), counted, parse_math=False)
    axes.set_xlabel("Predicted class", color=INK)
    right = f"{np.trace(counts)} of {counts.sum()} right"
    axes.set_title(f"Confusion matrix: {right}", loc="left", color=INK, fontsize=11)
    return figure


def roc(truth: np.ndarray, p: np.ndarray, names: list[str], per_class: dict | None = None) -> Figure:
    """The ROC curve of each class against the rest, where the cases allow one.

    truth (n,) int, p (n, classes) probabilities; per_class as scores.classification() gives it tells the areas.
    """
    figure = new_figure(5.4, 5.6)
    axes = add_axes(figure, 111, "Sensitivity")
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    drawn = 0
    for c, name in enumerate(names):
        positive = truth == c
        if positive.all() or not positive.any():
            continue
        wrong, right, _ = roc_curve(positive, p[:, c], drop_intermediate=False)
        label = _short(name)
        area = (per_class or {}).get(name, {}).get("auroc")
        if area and area["value"] is not None:
            label += f"  {area['value']:.3f}"
            label += "" if area["low"] is None else f" ({area['low']:.3f} to {area['high']:.3f})"
        style = {"color": COLOURS[c % len(COLOURS)], "linestyle": STYLES[c // len(COLOURS) % len(STYLES)]}
        axes.plot(wrong, right, label=label.replace("$", r"\$"), linewidth=1.8, clip_on=False, **style)
        drawn += 1
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("1 - specificity", color=INK)
    axes.set_title("Each class against the rest", loc="left", color=INK, fontsize=11)
    if drawn:
        told = "Area under the curve (95 % interval)" if per_class else None
        look = {"frameon": True, "edgecolor": "none", "framealpha": 0.85}
        legend = axes.legend(loc="lower right", fontsize=8.5, labelcolor=INK, title=told, title_fontsize=8.5, **look)
        legend.get_title().set_color(QUIET)
    else:
        axes.text(0.5, 0.55, "no curve: all cases are of one class", ha="center", color=QUIET)
    return figure


def reliability(
    truth: np.ndarray,
    p: np.ndarray,
    patients: np.ndarray,
    overall: dict | None = None,
    before: np.ndarray | None = None,
) -> Figure:
    """How often the most probable class is right against its probability, in bins of equally many cases with exact 95 %
    intervals, and below it how the probability is distributed (DeGroot and Fienberg 1983; Guo et al. 2017, figure 1).

    truth (n,) int, p (n, classes) probabilities, patients (n,); the calibration errors of `overall`, as
    scores.classification() gives it, stand in the title. before (n, classes): probabilities before calibration.
    """
    _, member = np.unique(np.asarray(patients, str), return_inverse=True)
    bins = calibration.curve(p.argmax(1) == truth, p.max(1), member)
    figure = new_figure(5.2, 6)
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    axes = add_axes(figure, grid[0], "Share right")
    below = add_axes(figure, grid[1], "Cases", sharex=axes)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), label="as it should be")
    axes.vlines(bins["probability"], bins["low"], bins["high"], color=BLUE, linewidth=1.4, label="95 % interval")
    axes.plot(bins["probability"], bins["share"], "o", color=BLUE, label="share of a bin", clip_on=False, zorder=4)
    below.hist(p.max(1), 20, range=(0, 1), color=BLUE, alpha=0.55, edgecolor="white")
    if before is not None:
        held = calibration.curve(before.argmax(1) == truth, before.max(1), member)
        look = {"color": QUIET, "markerfacecolor": "none", "linestyle": ":", "linewidth": 1, "clip_on": False}
        axes.plot(held["probability"], held["share"], marker="o", label="before calibration", **look)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.tick_params(labelbottom=False)
    below.set_ylim(0)
    below.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    below.set_xlabel("Probability of the most probable class", color=INK)
    told = f"Reliability of the probabilities, {len(truth)} cases"
    if overall and overall.get("ece_expected", {}).get("low") is not None:
        error, chance = overall["ece"], overall["ece_expected"]
        told += f"\nCalibration error {error['value']:.3f}; by chance {chance['low']:.3f} to {chance['high']:.3f}"
    axes.set_title(told, loc="left", color=INK, fontsize=11)
    axes.legend(loc="lower right", fontsize=8.5, labelcolor=INK, edgecolor="none", framealpha=0.85)
    return figure


def abstention(rows: list[dict]) -> Figure:
    """The accuracy of the cases that are kept where those with the highest entropy of the votes are passed over; rows
    as reliability.abstention() gives them."""
    figure = new_figure(5.2, 4.4)
    axes = add_axes(figure, 111, "Accuracy of the cases kept")
    kept = [row["kept"] for row in rows]
    low, value, high = (np.array([row["accuracy"][name] for row in rows], float) for name in ("low", "value", "high"))
    axes.fill_between(kept, low, high, color=BLUE, alpha=0.18, linewidth=0, label="95 % interval")
    axes.plot(kept, value, color=BLUE, linewidth=1.8, marker="o", markersize=4, label="accuracy", clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(np.nanmin([0.5, *low, *value]), 1)
    axes.set_xlabel("Share of the cases kept, lowest entropy of the votes first", color=INK)
    axes.set_title(f"Abstention, {rows[-1]['accuracy']['cases']} cases", loc="left", color=INK, fontsize=11)
    axes.legend(frameon=False, loc="lower left", fontsize=8.5, labelcolor=INK)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
