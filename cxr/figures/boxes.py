"""Box plots of classes side by side, as in Oh et al. 2020: a panel a measure, a box a class, a point a patient
or a case."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from cxr.figures import plots

_COLUMNS = 3


def draw(
    panels: Sequence[tuple[str, str, Mapping[str, np.ndarray]]], classes: Sequence[str], path: str | Path, title: str
) -> None:
    """Write a PNG with a panel for each (name, note, {class: (n,) values}) of `panels`; NaN is left out.

    A class has the colour of its place in `classes`, in every panel, and no box where it has no value. The box spans
    the quartiles with the median in it, whiskers reach 1.5 times its height, every value is a point. note stands below
    the panel's name. Raises ValueError without panels.
    """
    if not panels:
        raise ValueError("There is nothing to draw; give the values of one measure at least.")
    rows, columns = -(-len(panels) // _COLUMNS), min(len(panels), _COLUMNS)
    most = max(len(values) for _, _, values in panels)
    figure = plots.new_figure(columns * max(3.2, 0.6 + 0.95 * most), 0.5 + 3.4 * rows)
    figure.suptitle(title, x=0.01, ha="left", color=plots.INK, fontsize=12, parse_math=False)
    grid = figure.add_gridspec(rows, columns)
    for i, (name, note, values) in enumerate(panels):
        axes = plots.add_axes(figure, grid[divmod(i, columns)], "")
        axes.grid(axis="x", visible=False)
        shown = [name for name in classes if name in values]
        rng = np.random.default_rng(0)  # sideways scatter only, the same for every call
        counts = []
        for place, label in enumerate(shown, 1):
            numbers = np.asarray(values[label], float)
            numbers = numbers[~np.isnan(numbers)]
            counts.append(len(numbers))
            _box(axes, place, numbers, plots.COLOURS[classes.index(label) % len(plots.COLOURS)], rng)
        ticks = [f"{_short(label)}\nn = {count}" for label, count in zip(shown, counts, strict=True)]
        axes.set_xticks(range(1, len(shown) + 1), ticks, parse_math=False, fontsize=8)
        axes.set_xlim(0.4, len(shown) + 0.6)
        axes.set_title(f"{name}\n{note}" if note else name, loc="left", color=plots.INK, fontsize=9.5, parse_math=False)
    plots.save(figure, path)


def _box(axes: Axes, place: float, numbers: np.ndarray, colour: str, rng: np.random.Generator) -> None:
    axes.boxplot(
        [numbers],
        positions=[place],
        widths=0.55,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.25, "edgecolor": "none"},
        medianprops={"color": plots.INK, "linewidth": 1.6},
        capprops={"color": plots.QUIET},
        whiskerprops={"color": plots.QUIET},
    )
    aside = place + rng.uniform(-0.19, 0.19, len(numbers))
    axes.plot(aside, numbers, "o", markersize=2.6, color=colour, alpha=0.6, markeredgewidth=0, zorder=3)


def _short(label: str) -> str:
    """A class's name as far as it fits below a box, in one line."""
    label = " ".join(label.split())
    return label if len(label) <= 16 else label[:15] + "…"
