"""The error over the number of labelled cases, as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from cxr.figures import plots
from cxr.stats import powerlaw


def draw(runs: pd.DataFrame, figures: Mapping[str, dict], path: Path, unit: str) -> None:
    """Write a PNG: each figure's error (1 - figure) in every run, mean and interval over draws, the fitted law.

    runs: rows with `labelled` and a column a figure; figures: what curve.summarise() gives; unit: of labelled.
    """
    figure = plots.new_figure(7, 4.4)
    axes = plots.add_axes(figure, 111, "Error: 1 - figure")
    colours = (plots.BLUE, plots.VERMILLION, plots.GREEN, plots.PURPLE)
    for (name, told), colour in zip(figures.items(), colours, strict=False):
        points = pd.DataFrame(told["points"])
        axes.plot(runs.labelled, 1 - runs[name], "o", color=colour, alpha=0.3, markersize=3, markeredgewidth=0)
        reach = np.abs(points[["low", "high"]].to_numpy(float).T - points["mean"].to_numpy())
        label = name.replace("_", " ")
        if law := told["fit"]:
            n = np.geomspace(points.labelled.min(), points.labelled.max(), 100)
            axes.plot(n, powerlaw.law(n, law["a"], law["b"], law["c"]), "--", color=colour, linewidth=1.2)
            label += f": {law['a']:.3f} + {law['b']:.3g} n^-{law['c']:.2f}"
        axes.errorbar(points.labelled, 1 - points["mean"], reach[::-1], fmt="o", color=colour, capsize=3, label=label)
    axes.set_xscale("log")
    axes.set_xticks(sorted(runs.labelled.unique()), sorted(runs.labelled.unique()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"Labelled {unit}, those that validate included", color=plots.INK)
    axes.legend(frameon=False, labelcolor=plots.INK, fontsize=9)
    plots.save(figure, path)
