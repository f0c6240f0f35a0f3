"""What the learning curves of both stages share: which draws are run, what is kept of them, and the table of all.

A draw is an order of the cases. Its first n are what a training of size n may know: two in ten choose the epoch, the
others teach. So a smaller n is contained in a larger one of the same draw, and n counts every labelled case.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

from cxr import writing
from cxr.errors import BadRun
from cxr.figures import curves
from cxr.run import caselist, trainings
from cxr.settings import config
from cxr.stats import powerlaw

LEAST = 4  # two to train, two to validate


def add_options(parser: argparse.ArgumentParser, sizes: Sequence[int], what: str) -> None:
    """The flags of a learning curve. what: of n."""
    parser.add_argument("--n", type=int, nargs="+", default=list(sizes), help=f"{what} (default: {sizes})")
    parser.add_argument("--draws", type=int, default=5, help="how often they are drawn (default %(default)s)")
    told = "default: <test_name>-curve in dir_checkpoint"
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=told)


def plan(options: argparse.Namespace, settings: config.Settings) -> list[tuple[int, int, Path]]:
    """(n, draw, folder of the run), a draw after the other. Raises BadRun for numbers that are too small, and for
    restart."""
    if settings.restart:
        raise BadRun("restart is for a single training: give another test_name, or delete the folders of these runs.")
    if min(options.n) < LEAST or options.draws < 1:
        raise BadRun(f"--n takes numbers from {LEAST} on (two to train, two to validate), --draws one from 1 on.")
    place = Path(settings.dir_checkpoint)
    sizes = sorted(set(options.n))
    return [
        (n, draw, place / f"{settings.test_name}-n{n}-draw{draw}")
        for draw in range(1, options.draws + 1)
        for n in sizes
    ]


def part(position: int) -> str:
    """What the case at a place in a draw does: two in ten validate, from the first on."""
    return "val" if position % 10 < 2 else "train"


def summarise(runs: pd.DataFrame, names: Sequence[str]) -> dict[str, dict]:
    """Of each figure its mean and 95 % interval over draws (Student's t; None for one draw) by n, and the law of its
    error 1 - figure."""
    figures = {}
    for name in names:
        points = []
        for n, rows in runs.groupby("n"):
            values = rows[name].astype(float).dropna()
            mean, error = values.mean(), values.sem()
            low, high = stats.t.interval(0.95, len(values) - 1, mean, error) if error > 0 else (None, None)
            points.append(
                {"n": int(n), "labelled": float(rows.labelled.mean()), "draws": len(values), "mean": float(mean)}
                | {"low": low and float(low), "high": high and float(high)}
            )
        known = runs[["labelled", name]].astype(float).dropna()
        figures[name] = {"points": points, "fit": powerlaw.fit(known.labelled, 1 - known[name])}
    return figures


def trace(
    runs: Sequence[tuple], make: Callable[..., dict], output: Path, names: Sequence[str], unit: str, about: dict
) -> None:
    """Make the rows of runs by make(n, draw, folder); write curve.csv, curve.json and curve.png of those that are
    finished, and say so. Raises BadRun where none is, or one failed."""
    rows, failed, busy = trainings.through(runs, lambda run: [run[2]], lambda run: make(*run))
    later = f" Other programs are at {', '.join(busy)}: run this again when they are done." if busy else ""
    later += f" {', '.join(failed)} failed, as told above: run this again to go on." if failed else ""
    if not rows:
        raise BadRun(f"no run is finished yet.{later}")
    runs = pd.DataFrame(rows).sort_values(["n", "draw"])
    figures = summarise(runs, [name for name in names if name in runs])
    writing.csv(output / "curve.csv", runs)
    writing.json(output / "curve.json", about | {"unit": unit, "unfinished": [*busy, *failed], "figures": figures})
    if known := int(runs[caselist.NAME].max()):
        print(f"Note: up to {known} test cases were trained on, by start_weights: results look better than they are.")
    curves.draw(runs, figures, output / "curve.png", unit)
    for name, told in figures.items():
        for point in told["points"]:
            spread = "" if point["low"] is None else f" ({point['low']:.3f} to {point['high']:.3f})"
            print(f"{name}, {point['labelled']:g} labelled {unit}: {point['mean']:.3f}{spread}, {point['draws']} draws")
        if law := told["fit"]:
            print(f"{name}: error = {law['formula']} with a = {law['a']:.3f}, b = {law['b']:.3g}, c = {law['c']:.2f}")
    told = f"Wrote {output}: curve.csv, curve.json, curve.png.{later}"
    if failed:
        raise BadRun(told)
    print(told)
