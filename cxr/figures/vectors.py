"""A figure as SVG to stand within a page, in the colours of the page's theme."""

import io
import re

import matplotlib
from markupsafe import escape
from matplotlib.figure import Figure

from cxr.figures import plots

# What CSS knows the colours of plots.py as, so that a page's light and dark themes draw their own
_COLOURS = {
    plots.INK: "var(--ink)",
    plots.QUIET: "var(--quiet)",
    plots.GRID: "var(--line)",
    plots.BLUE: "var(--c0)",
    plots.ORANGE: "var(--c1)",
    plots.GREEN: "var(--c2)",
    plots.VERMILLION: "var(--c3)",
    plots.PURPLE: "var(--c4)",
    plots.SKY: "var(--c5)",
    "#ffffff": "var(--card)",
}


def svg(figure: Figure, label: str) -> str:
    """A figure as an svg element without its titles, which the page writes itself; label: what a screen reader says."""
    for axes in figure.axes:
        axes.set_title("", loc="left")
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Letters are paths, so that no font of the reader's moves them; the salt makes the same figure the same text.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": label}):
        figure.savefig(written, format="svg", metadata=nothing, facecolor="none")
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", written.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg ") :]
    for colour, name in _COLOURS.items():
        text = re.sub(colour, name, text, flags=re.IGNORECASE)
    view = re.search(r'viewBox="[^"]*"', text)[0]
    head = (
        f'<svg class="plot" xmlns:xlink="http://www.w3.org/1999/xlink" {view} role="img" aria-label="{escape(label)}">'
    )
    return re.sub(r"\n\s*", "\n", head + text[text.index(">") + 1 :]).strip()
