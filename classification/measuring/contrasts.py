"""The classes compared in every biomarker: comparisons.csv, box plots, and what to know when reading them."""

import numpy as np
import pandas as pd

from classification.measuring import measures
from cxr import writing
from cxr.figures import boxes
from cxr.stats import comparison


def remarks(table, wanted, unflagged):
    """Sentences a person must know to read the comparisons of the rows `wanted` of biomarkers.csv, `table`."""
    notes = []
    flagged = int((table.status == "flagged").sum())
    if flagged:
        notes.append(
            f"{flagged} cases have a flagged mask and are "
            + ("left out of the comparisons" if unflagged else "compared all the same; --unflagged leaves them out")
        )
    measured = table[table.status != "failed"]
    for name, what in (("left_right_ratio", "left and right"), ("ctr", "a cardiothoracic ratio")):
        missing = int(measured[name].isna().sum())
        if missing:
            notes.append(f"{missing} cases have no label map, or too little on it, for {what}")
    if not wanted.label.any():
        notes.append("the cases have no class, so that nothing is compared; put them in a folder a class")
        return notes
    sources = wanted[(wanted.label != "") & (wanted.source != "")].groupby("label").source.agg(set)
    alone = [
        f"{a} and {b}"
        for i, a in enumerate(sources.index)
        for b in sources.index[i + 1 :]
        if not sources[a] & sources[b]
    ]
    if alone:
        notes.append(f"no source holds both {', nor '.join(alone)}: these differ in hospital as well as in disease")
    return notes


def compare(table, names, output, within=False, seed=0):
    """Test the classes in every biomarker, over all sources and, if wanted, within each, and draw them.

    table: rows of biomarkers.csv with a label; names: the classes in order. Writes comparisons.csv and box plots to the
    folder output, prints medians, returns the names of the files.
    """
    markers = [name for name in measures.MARKERS if table[name].notna().any()]
    overall, inside = comparison.compare(table, markers, names, seed=seed), {}
    if within:
        rows = comparison.within_sources(table, markers, names, seed=seed)
        inside = dict(tuple(rows.groupby("source")))
        if not inside:
            print(f"No source has {comparison.LEAST} patients of each of two classes, so none is compared within.")
    tests = pd.concat([part for part in (overall, *inside.values()) if len(part)] or [overall])
    writing.csv(output / "comparisons.csv", tests)

    for file in output.glob("biomarkers*.png"):  # of an earlier run, which may have had other sources
        file.unlink()
    files = ["comparisons.csv", "biomarkers.png"]
    _show(table, overall, markers, names, output / files[1], "All sources")
    for number, (source, rows) in enumerate(inside.items(), 1):
        # A source may be called anything: its name stands in the picture, in the file's only what no system minds.
        files.append(f"biomarkers.{number}.{_safe(source)}.png")
        _show(table[table.source == source], rows, markers, names, output / files[-1], f"Within {source}")
    return files


def _show(table, tests, markers, names, path, title):
    overall = tests[tests.test == comparison.KRUSKAL].set_index("marker").p_holm
    panels, rows = [], {}
    for marker in markers:
        values = comparison.per_patient(table, marker)
        if not values:
            continue
        p = overall.get(marker, np.nan)
        note = "" if np.isnan(p) else "Kruskal-Wallis p " + ("< 0.001" if p < 0.001 else f"= {p:.3f}")
        panels.append((measures.MARKERS[marker], note, values))
        rows[marker] = {name: np.median(values[name]) for name in names if name in values}
    boxes.draw(panels, names, path, f"{title}: a point is a patient")
    medians = pd.DataFrame.from_dict(rows, orient="index").assign(p=overall)
    print(f"\n{title}, medians over patients; p by Kruskal-Wallis, Holm-corrected over the biomarkers")
    print(medians.to_string(float_format="{:.4g}".format, na_rep=""))


def _safe(name):
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)[:60]
