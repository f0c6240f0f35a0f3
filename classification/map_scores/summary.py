"""scorecard.json and scorecard.png: what the rows of scorecard.csv say about each class and about all."""

from pathlib import Path

import numpy as np
import pandas as pd

from classification.map_scores.nullmaps import NULLS
from cxr import writing
from cxr.figures import plots
from cxr.run import caselist
from cxr.stats import bootstrap, paired

FOCAL = 0.25  # of the lung: a class whose median lesion is smaller is focal
# Score, what it is called in the figure, and the sign that makes more of it better
COMPARED = (
    ("pointing", "Points into the lesion", 1),
    ("mass_lesion", "Share in the lesion", 1),
    ("mass_lung", "Share in the lungs", 1),
    ("insertion", "Insertion", 1),
    ("deletion", "Deletion (less)", -1),
)
LAYERS = {"none": "none", "last": "last\nlayer", "quarter": "last\nquarter", "half": "last\nhalf"}
LAYERS |= {"three_quarters": "three\nquarters", "all": "all\nlayers"}
COLOURS = dict(zip(NULLS, (plots.BLUE, plots.GREEN, plots.ORANGE, plots.VERMILLION), strict=True))


def write(rows: pd.DataFrame, names: list[str], counts: dict, output: Path, seed: int, seen=()) -> list[str]:
    """Write scorecard.json and, where anything was scored, scorecard.png, and print the main lines; returns the names
    of the files. rows: those of scorecard.csv; seen: (folder, case) of those that the weights were trained on."""
    found = summarise(rows, names, seed, seen) | {"counts": counts, "resamples": bootstrap.RESAMPLES, "seed": seed}
    writing.json(output / "scorecard.json", found)
    (output / "scorecard.png").unlink(missing_ok=True)
    if not found["groups"]:
        return ["scorecard.json"]
    draw(found["groups"], output / "scorecard.png")
    for group, about in found["groups"].items():
        print(f"{group}: {about['cases']} cases, {about['patients']} patients")
        for score, title, _ in COMPARED:
            if score in about["compared"]:
                mean, gaps = about["compared"][score].values()
                print(f"  {title:<24}{mean:6.3f}", *(f"  {null} {_signed(gap)}" for null, gap in gaps.items()))
    return ["scorecard.json", "scorecard.png"]


def summarise(rows: pd.DataFrame, names: list[str], seed: int, seen=()) -> dict:
    """{"focal": names of classes, "groups": {group: ...}}; the groups are all cases, those of focal and of diffuse
    classes, of each class, and, if some are `seen`, those not trained on, of which there are any. A group holds

        cases, patients   how many were scored
        compared          {score: {mean, better_than: {null: {value, low, high, cases}}}}: the mean difference to each
                          null map, signed so that above 0 is better, with its interval
        agreement         {K: {saliency, coverage, noise: {value, low, high, cases}}}, rank correlations
        layers            {layers drawn anew, or to_<null map>: {value, low, high, cases}}, rank correlations
    """
    rows = rows.assign(known=rows.label.where(rows.label != "", rows.predicted))
    lesion = rows["lesion_fraction"] if "lesion_fraction" in rows else pd.Series(np.nan, rows.index)
    typical = lesion[lesion > 0].groupby(rows.known).median()  # of the wrongly classified, too: a fact of the data
    focal = [name for name in names if name in typical and typical[name] < FOCAL]
    diffuse = [name for name in names if name in typical and name not in focal]
    rows = rows[rows.status == "ok"]
    groups = {"all": rows, "focal": rows[rows.known.isin(focal)], "diffuse": rows[rows.known.isin(diffuse)]}
    groups |= {f"class {name}": rows[rows.known == name] for name in names}
    if seen:
        groups[caselist.REST] = rows[[key not in seen for key in zip(rows.folder, rows.case, strict=True)]]
    return {
        "focal": focal,
        "median_lesion_fraction": {name: round(float(typical[name]), 4) for name in typical.index},
        "groups": {name: _group(some, seed) for name, some in groups.items() if len(some)},
    }


def interval(values, patients, seed: int, shares: bool = False) -> dict:
    """The mean of values (n,), NaN left out, and its 95 % interval by a bootstrap that draws patients, with all their
    cases, or, of the difference of two `shares`, that of paired.py: {value, low, high, cases}; None without a value,
    and no bounds for a single patient."""
    values, known = np.asarray(values, float), np.isfinite(np.asarray(values, float))
    if not known.any():
        return {"value": None, "low": None, "high": None, "cases": 0}
    values, patients = values[known], np.asarray(patients, object)[known]
    found = paired.share_interval(values, patients) if shares else bootstrap.mean_interval(values, patients, seed=seed)
    low, high = (None if np.isnan(bound) else bound for bound in found)
    return {"value": float(values.mean()), "low": low, "high": high, "cases": len(values)}


def _group(rows: pd.DataFrame, seed: int) -> dict:
    patients = rows.patient
    compared, agreement, layers = {}, {}, {}
    for score, _, sign in COMPARED:
        own = f"{score}_saliency"
        if own in rows and rows[own].notna().any():
            gaps = {
                null: interval(sign * (rows[own] - rows[f"{score}_{null}"]), patients, seed, shares=score == "pointing")
                for null in NULLS
                if f"{score}_{null}" in rows
            }
            compared[score] = {"mean": float(rows[own].mean()), "better_than": gaps}
    for column in rows:
        if column.startswith("agreement_") and rows[column].notna().any():
            _, kind, count = column.split("_")
            agreement.setdefault(count, {})[kind] = interval(rows[column], patients, seed)
        elif column.startswith("similarity_") and rows[column].notna().any():
            layers[column.removeprefix("similarity_")] = interval(rows[column], patients, seed)
    agreement = dict(sorted(agreement.items(), key=lambda pair: int(pair[0])))
    about = {"cases": len(rows), "patients": int(patients.nunique())}
    return about | {"compared": compared, "agreement": agreement, "layers": layers}


def _signed(gap: dict) -> str:
    bounds = "" if gap["low"] is None else f" [{gap['low']:+.3f}, {gap['high']:+.3f}]"
    return "-" if gap["value"] is None else f"{gap['value']:+.3f}{bounds}"


def draw(groups: dict, path: Path) -> None:
    """Write the figure: differences to the null maps, agreement over K, similarity over layers drawn anew."""
    figure = plots.new_figure(13, 4.6)
    grid = figure.add_gridspec(1, 3, width_ratios=(1.5, 1, 1))
    better = plots.add_axes(figure, grid[0], "")
    _draw_differences(better, groups)
    alike = plots.add_axes(figure, grid[1], "Rank correlation")
    counts = groups["all"]["agreement"]
    for kind, colour in (("saliency", plots.INK), ("coverage", COLOURS["coverage"]), ("noise", COLOURS["noise"])):
        _draw_line(alike, [int(k) for k in counts], [about.get(kind) for about in counts.values()], kind, colour)
    alike.set_title("Maps of two seeds", loc="left", color=plots.INK, fontsize=11)
    alike.set_xlabel("Patches", color=plots.INK)
    lost = plots.add_axes(figure, grid[2], "Rank correlation")
    layers = groups["all"]["layers"]
    layers = layers and layers | {"none": {"value": 1.0, "low": None}}
    known = [(i, layers.get(name)) for i, name in enumerate(LAYERS)]
    _draw_line(lost, [i for i, _ in known], [about for _, about in known], "to the trained map", plots.INK)
    for name in NULLS:
        about = layers.get(f"to_{name}")
        if about and about["value"] is not None:
            lost.axhline(about["value"], color=COLOURS[name], linewidth=1.2, linestyle="--", label=f"to {name}")
    lost.set_xticks(range(len(LAYERS)), LAYERS.values(), fontsize=8)
    lost.set_title("Map after layers are drawn anew", loc="left", color=plots.INK, fontsize=11)
    for axes in (alike, lost):
        axes.set_ylim(-0.55, 1.05)
        axes.axhline(0, color=plots.QUIET, linewidth=0.8)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8, labelcolor=plots.INK, loc="best")
        else:
            axes.text(0.5, 0.5, "not scored", transform=axes.transAxes, ha="center", color=plots.QUIET)
    plots.save(figure, path)


def _draw_differences(axes, groups: dict) -> None:
    """A line a score, the null maps within it: filled for focal classes, or all where lesions are not known; hollow
    for diffuse ones."""
    shown = [(group, mark) for group, mark in (("focal", True), ("diffuse", False)) if group in groups]
    shown = shown or [("all", True)]
    scores = [(score, title) for score, title, _ in COMPARED if any(score in groups[g]["compared"] for g, _ in shown)]
    for line, (score, _) in enumerate(scores):
        for n, null in enumerate(NULLS):
            for side, (group, filled) in enumerate(shown):
                gap = groups[group]["compared"].get(score, {}).get("better_than", {}).get(null)
                if not gap or gap["value"] is None:
                    continue
                y = line + (n - 1.5) * 0.19 + (side - 0.5 * (len(shown) - 1)) * 0.07
                if gap["low"] is not None:
                    axes.plot([gap["low"], gap["high"]], [y, y], color=COLOURS[null], linewidth=1.4)
                face = COLOURS[null] if filled else "white"
                axes.plot(gap["value"], y, "o", markersize=5, color=COLOURS[null], markerfacecolor=face)
    for null in NULLS:
        axes.plot([], [], "o-", color=COLOURS[null], markersize=5, label=null)
    axes.axvline(0, color=plots.QUIET, linewidth=0.9)
    axes.set_yticks(range(len(scores)), [title for _, title in scores])
    axes.set_ylim(max(len(scores), 1) - 0.4, -0.6)
    marks = " and ".join(f"{group} classes ({'filled' if filled else 'hollow'})" for group, filled in shown)
    axes.set_xlabel("Mean difference to the null map, above 0 is better", color=plots.INK)
    title = f"Saliency against maps that know nothing:\n{marks if shown[0][0] != 'all' else 'all cases'}"
    axes.set_title(title, loc="left", color=plots.INK, fontsize=11)
    axes.legend(frameon=False, fontsize=8, labelcolor=plots.INK, loc="best", ncols=2)


def _draw_line(axes, places: list, abouts: list, label: str, colour: str) -> None:
    known = [(x, about) for x, about in zip(places, abouts, strict=True) if about and about["value"] is not None]
    if not known:
        return
    line = zip(*[(x, about["value"]) for x, about in known], strict=True)
    axes.plot(*line, "o-", color=colour, markersize=4, label=label)
    if bounds := [(x, about["low"], about["high"]) for x, about in known if about["low"] is not None]:
        axes.fill_between(*zip(*bounds, strict=True), color=colour, alpha=0.15, linewidth=0)
