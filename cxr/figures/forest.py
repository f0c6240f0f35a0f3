"""Forest plots: values, or differences of two results, with their intervals, a line each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cxr.figures import plots


def named(a: str, b: str) -> str:
    """Two runs for a title, a line each, of long paths the end."""
    return "\n".join(
        f"{letter}: {run if len(run) <= 80 else '...' + run[-77:]}" for letter, run in (("A", a), ("B", b))
    )


def differences(panels: Sequence[tuple[str, pd.DataFrame]], path: str | Path, title: str) -> None:
    """Write a PNG with a panel for each (what the x axis says, table). A table has a row a line: label, difference, low
    and high, NaN where there is no interval. What excludes 0 is blue. Raises ValueError without a line."""
    panels = [(axis, table) for axis, table in panels if len(table)]
    if not panels:
        raise ValueError("There is nothing to draw; give the difference of one measure at least.")
    heights = [len(table) + 1.6 for _, table in panels]
    figure = plots.new_figure(8, 0.9 + 0.3 * sum(heights))
    figure.suptitle(title, x=0.01, ha="left", color=plots.INK, fontsize=11, parse_math=False)
    grid = figure.add_gridspec(len(panels), 1, height_ratios=heights)
    for place, (axis, table) in zip(grid, panels, strict=True):
        axes = plots.add_axes(figure, place, "")
        axes.grid(axis="y", visible=False)
        axes.axvline(0, color=plots.QUIET, linewidth=1)
        for line, row in enumerate(table.itertuples()):
            colour = plots.BLUE if row.low > 0 or row.high < 0 else plots.QUIET
            axes.plot([row.low, row.high], [line, line], color=colour, linewidth=1.8, solid_capstyle="butt")
            axes.plot(row.difference, line, "s", color=colour, markersize=5)
            told = f"{row.difference:+.3f}" + ("" if pd.isna(row.low) else f"  ({row.low:+.3f} to {row.high:+.3f})")
            where = {"xy": (1.01, line), "xycoords": ("axes fraction", "data"), "va": "center"}
            axes.annotate(told, **where, fontsize=8, color=plots.INK)
        axes.set_yticks(range(len(table)), table.label, parse_math=False)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_xlabel(axis, color=plots.INK, parse_math=False, fontsize=9)
    plots.save(figure, path)


def values(groups: Mapping[str, Sequence[tuple]], xlabel: str) -> Figure:
    """Lines of (name, value, low, high), from 0 to 1, below the name of their group. Raises ValueError where there is
    no line."""
    count = sum(map(len, groups.values()))
    if not count:
        raise ValueError("There is nothing to draw; give one value at least.")
    figure = plots.new_figure(8, 0.9 + 0.3 * (count + len(groups)))
    axes = plots.add_axes(figure, 111, "")
    axes.grid(axis="y", visible=False)
    ticks, place = {}, 0
    for group, lines in groups.items():
        axes.text(
            -0.01, place, group, ha="right", va="center", color=plots.INK, weight="bold", fontsize=9, parse_math=False
        )
        for name, value, low, high in lines:
            place += 1
            ticks[place] = name
            axes.hlines(place, low, high, color=plots.BLUE, linewidth=2)
            axes.plot([value], [place], "o", color=plots.BLUE, markersize=5, zorder=3)
        place += 1
    axes.set_yticks(list(ticks), list(ticks.values()), parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(place, -0.7)
    axes.set_xlabel(xlabel, color=plots.INK)
    return figure
