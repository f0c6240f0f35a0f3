"""Pictures: learning curves as files, and what all figures are made of.

Drawn on matplotlib figures of their own (Agg, never pyplot), so that they work in any process and thread. Colours are
Okabe and Ito's, which people with any colour vision tell apart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from cxr import writing

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)  # a class has one colour in all figures
INK, QUIET, GRID = "#262626", "#767676", "#E6E6E6"


def learning_curves(log: list[dict], path: str | Path, shown: Mapping[str, str], ylabel: str) -> None:
    """Write a PNG: loss and learning rate on the left, validation scores on the right, over epochs.

    log: rows of log.jsonl as dicts with epoch, train_loss, val_loss, learning_rate and the scores; whatever is missing
    or None is left out, other keys are no matter. shown: {key of a score: its label}, the first drawn thick; ylabel: of
    the scores. Raises ValueError for an empty log.
    """
    if not log:
        raise ValueError("The log holds no epoch yet; train one before drawing its curves.")
    table = pd.DataFrame(log)
    epoch = table["epoch"]
    scores = {label: _numbers(table, key) for key, label in shown.items()}
    scores = {label: values for label, values in scores.items() if values.notna().any()}

    figure = new_figure(10, 4.2)
    figure.get_layout_engine().set(wspace=0.06)
    grid = figure.add_gridspec(2, 2, height_ratios=(4, 1))
    loss, score = add_axes(figure, grid[0, 0], "Loss"), add_axes(figure, grid[:, 1], ylabel)
    rate = add_axes(figure, grid[1, 0], "Learning\nrate", sharex=loss)
    for axes, name, label, colour in (
        (loss, "train_loss", "training", SKY),
        (loss, "val_loss", "validation", BLUE),
        (rate, "learning_rate", None, QUIET),
    ):
        _curve(axes, epoch, _numbers(table, name), label, colour)
    for i, (label, values) in enumerate(scores.items()):
        _curve(score, epoch, values, label, COLOURS[i % len(COLOURS)], 1.0 if i else 1.8)
    if scores:  # a long run starts near zero, while its last thousandths are what one wants to see
        known = pd.concat(scores.values()).dropna()
        low, high = known.quantile(0.15 if len(table) > 12 else 0), known.max()
        room = max(0.05 * (high - low), 0.005)
        score.set_ylim(low - room, high + room)
    losses = np.concatenate([line.get_ydata() for line in loss.lines] or [[1]])
    if losses.min() > 0 and losses.max() > 4 * losses.min():
        loss.set_yscale("log")
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_minor_locator(NullLocator())
    rate.margins(y=0.15)
    rate.set_ylim(0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    rate.yaxis.get_offset_text().set_size(8)
    loss.tick_params(labelbottom=False)
    for axes in (rate, score):
        axes.set_xlabel("Epoch", color=INK)
        axes.set_xlim(epoch.min() - 0.5, epoch.max() + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for axes in (loss, score):
        if axes.lines:
            where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 5, "borderpad": 0.2}
            axes.legend(frameon=False, labelcolor=INK, fontsize=9, columnspacing=1.2, handlelength=1.4, **where)
    save(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which arranges what is put on it."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG."""
    with writing.replacing(path) as file:
        figure.savefig(file, format="png")


def add_axes(figure: Figure, place: Any, ylabel: str, sharex: Axes | None = None) -> Axes:
    """Axes at a place of the figure (as add_subplot takes it), with quiet spines and grid."""
    axes = figure.add_subplot(place, sharex=sharex)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=9)
    axes.set_ylabel(ylabel, color=INK, parse_math=False)
    return axes


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    missing = pd.Series(np.nan, index=table.index)
    return pd.to_numeric(table[name], errors="coerce").astype(float) if name in table else missing


def _curve(axes: Axes, epoch: pd.Series, values: pd.Series, label: str | None, colour: str, width: float = 1.6) -> None:
    known = values.notna()
    if known.any():
        label = label and label.replace("$", r"\$")  # else matplotlib takes it for a formula
        look = {"linewidth": width, "marker": "o" if known.sum() < 12 else None, "markersize": 3}
        axes.plot(epoch[known], values[known], color=colour, label=label, **look)
