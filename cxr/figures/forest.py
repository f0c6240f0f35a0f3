"""A forest plot: values with their intervals, a line each, in groups."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cxr.figures.plots import BLUE, INK, add_axes, new_figure


def forest(groups: Mapping[str, Sequence[tuple]], xlabel: str) -> Figure:
    """Lines of (name, value, low, high), from 0 to 1, below the name of their group. Raises ValueError where there is
    no line."""
    count = sum(map(len, groups.values()))
    if not count:
        raise ValueError("There is nothing to draw; give one value at least.")
    figure = new_figure(8, 0.9 + 0.3 * (count + len(groups)))
    axes = add_axes(figure, 111, "")
    axes.grid(axis="y", visible=False)
    ticks, place = {}, 0
    for group, lines in groups.items():
        axes.text(-0.01, place, group, ha="right", va="center", color=INK, weight="bold", fontsize=9, parse_math=False)
        for name, value, low, high in lines:
            place += 1
            ticks[place] = name
            axes.hlines(place, low, high, color=BLUE, linewidth=2)
            axes.plot([value], [place], "o", color=BLUE, markersize=5, zorder=3)
        place += 1
    axes.set_yticks(list(ticks), list(ticks.values()), parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(place, -0.7)
    axes.set_xlabel(xlabel, color=INK)
    return figure
