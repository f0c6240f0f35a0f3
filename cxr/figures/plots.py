"""Pictures: learning curves and box plots as files.

Drawn on matplotlib figures of their own (Agg, never pyplot), so that they work in any process and thread. Colours are
Okabe and Ito's, which people with any colour vision tell apart.
"""

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from cxr import writing

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
CURVES = {"heart": VERMILLION, "left": SKY, "right": ORANGE, "lungs mean": BLUE, "lungs union": GREEN}
INK, QUIET, GRID = "#262626", "#767676", "#E6E6E6"


def learning_curves(log, path):
    """Write a PNG: loss and learning rate on the left, validation scores on the right, over epochs.

    log: rows of log.jsonl as dicts with epoch, train_loss, val_loss, learning_rate and val_jaccard_*; whatever is
    missing or None is left out, other keys are no matter. Raises ValueError for an empty log.
    """
    if not log:
        raise ValueError("The log holds no epoch yet; train one before drawing its curves.")
    table = pd.DataFrame(log)
    epoch = table["epoch"]
    scores = {name: _numbers(table, name) for name in table.columns if name.startswith("val_jaccard")}
    scores = {name: values for name, values in scores.items() if values.notna().any()}

    figure = new_figure(10, 4.2)
    figure.get_layout_engine().set(wspace=0.06)
    grid = figure.add_gridspec(2, 2, height_ratios=(4, 1))
    loss, score = add_axes(figure, grid[0, 0], "Loss"), add_axes(figure, grid[:, 1], "Validation Jaccard")
    rate = add_axes(figure, grid[1, 0], "Learning\nrate", sharex=loss)
    for axes, name, label, colour in (
        (loss, "train_loss", "training", SKY),
        (loss, "val_loss", "validation", BLUE),
        (rate, "learning_rate", None, QUIET),
    ):
        _curve(axes, epoch, _numbers(table, name), label, colour)
    for name, values in scores.items():
        name = name.removeprefix("val_jaccard").strip("_").replace("_", " ") or "mean"
        _curve(score, epoch, values, name, CURVES.get(name, PURPLE))
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
            axes.legend(
                frameon=False,
                loc="lower left",
                bbox_to_anchor=(0, 1),
                ncols=5,
                labelcolor=INK,
                fontsize=9,
                borderpad=0.2,
                columnspacing=1.2,
                handlelength=1.4,
            )
    save(figure, path)


def box_plot(table, columns, path, title, ylabel):
    """Write a PNG with a box and its single points for each of the named columns of a table; NaN is left out.

    The box spans the quartiles with the median in it, whiskers reach 1.5 times its height, every case is a point.
    Raises KeyError for a column that is missing.
    """
    values = [table[name].astype(float).dropna().to_numpy() for name in columns]
    names = [str(name) for name in columns]
    prefix = names[0].split("_")[0] + "_" if names else ""
    if len(names) > 1 and all(name.startswith(prefix) for name in names):  # jaccard_left, ...: ylabel says jaccard
        names = [name.removeprefix(prefix) for name in names]
    places = np.arange(1, len(columns) + 1)
    figure = new_figure(max(3.6, 1.6 + 1.1 * len(columns)), 4.4)
    axes = add_axes(figure, 111, ylabel)
    axes.grid(axis="x", visible=False)
    rng = np.random.default_rng(0)  # sideways scatter only, the same for every call
    spare = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION]
    for i, (place, numbers) in enumerate(zip(places, values, strict=True)):
        colour = CURVES.get(names[i].replace("_", " "), spare[i % len(spare)])
        axes.boxplot(
            [numbers],
            positions=[place],
            widths=0.5,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.25, "edgecolor": "none"},
            medianprops={"color": INK, "linewidth": 1.6},
            capprops={"color": QUIET},
            whiskerprops={"color": QUIET},
        )
        axes.plot(
            place + rng.uniform(-0.17, 0.17, len(numbers)),
            numbers,
            "o",
            markersize=3.2,
            color=colour,
            alpha=0.65,
            markeredgewidth=0,
            zorder=3,
        )
    ticks = [name.replace("_", "\n") + f"\nn = {len(v)}" for name, v in zip(names, values, strict=True)]
    axes.set_xticks(places, ticks, parse_math=False)
    axes.set_xlim(0.4, len(columns) + 0.6)
    axes.set_title(title, loc="left", color=INK, fontsize=11, parse_math=False)
    save(figure, path)


def new_figure(width, height):
    """An empty figure of so many inches, which arranges what is put on it."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure, path):
    """Write a figure as PNG."""
    with writing.replacing(path) as file:
        figure.savefig(file, format="png")


def add_axes(figure, place, ylabel, sharex=None):
    """Axes at a place of the figure (as add_subplot takes it), with quiet spines and grid."""
    axes = figure.add_subplot(place, sharex=sharex)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=9)
    axes.set_ylabel(ylabel, color=INK, parse_math=False)
    return axes


def _numbers(table, name):
    missing = pd.Series(np.nan, index=table.index)
    return pd.to_numeric(table[name], errors="coerce").astype(float) if name in table else missing


def _curve(axes, epoch, values, label, colour):
    known = values.notna()
    if known.any():
        axes.plot(
            epoch[known],
            values[known],
            color=colour,
            label=label,
            linewidth=1.6,
            marker="o" if known.sum() < 12 else None,
            markersize=3,
        )
