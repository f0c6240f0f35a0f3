"""Are classes told apart within one source, where they differ in disease and not in hospital?

AUROC of every two classes that one source holds, from p of one over p of both, beside that of the same two classes in
all sources together: a classifier that recognises the hospital falls behind where there is only one.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from classification.trust.part import Figure, Part
from classification.trust.subject import Subject, origin
from cxr.stats import scores

TITLE = "Are classes told apart within one hospital?"
MEANS = (
    "If two classes are told apart in all sources together, and less well within one source, the source made the "
    "difference and not the disease."
)
LEAST = 10  # patients of either class
ALL = "all sources"
REMEDY = (
    f"To test it takes a source with two classes of {LEAST} patients each, named in the column source of file_metadata."
)


def measure(subject: Subject) -> Part:
    """The part "within". Accused where, for some pair of classes, the interval within a source lies below that of all
    sources together."""
    if subject.predictions is None:
        return Part("within", TITLE, MEANS, [], "There are no predictions.", None, "Give predictions.csv with -p.")
    source = subject.facts.source.to_numpy()
    figures, rows, lower = [], [], []
    for a, b in combinations(range(len(subject.names)), 2):
        places = [name for name in sorted(set(source) - {""}) if enough(subject, source == name, a, b)]
        if not places:
            continue
        whole = auroc(subject, np.ones(len(source), bool), a, b)
        for name in [*places, ALL]:
            one = whole if name == ALL else auroc(subject, source == name, a, b)
            pair = f"{subject.names[a]} against {subject.names[b]}"
            figures.append(one._replace(name=f"AUROC: {pair}, {name}"))
            rows.append([subject.names[a], subject.names[b], name, *one[1:6]])
            if name != ALL and one.cases < whole.cases and one.high < whole.low:
                lower.append(f"{pair} in {name}")
    columns = ["class_a", "class_b", "source", "auroc", "low", "high", "cases", "patients"]
    about = origin(subject)
    if not figures:
        return Part("within", TITLE, MEANS, [], "No source holds two classes with enough patients.", None, REMEDY)
    single = [one for one in figures if not one.name.endswith(f", {ALL}")]
    told = f"Within a source, AUROC is {min(one.value for one in single):.2f}"
    told += f" to {max(one.value for one in single):.2f}" if len(single) > 1 else ""
    less = f"; below that of all sources for {', '.join(lower)}"
    told += less if lower else ", not clearly below that of all sources"
    chance = [one.name.removeprefix("AUROC: ") for one in single if one.low <= 0.5]
    told += f"; no better than chance for {', '.join(chance)}" if chance else ""
    missing, table = _untested(subject, source), pd.DataFrame(rows, columns=columns)
    return Part("within", TITLE, MEANS, figures, f"{told}. {about}", bool(lower), missing, table)


def enough(subject: Subject, among: np.ndarray, a: int, b: int) -> bool:
    """Whether some cases hold enough patients of two classes."""
    return all(len(set(subject.patient[among & (subject.label == c)])) >= LEAST for c in (a, b))


def auroc(subject: Subject, among: np.ndarray, a: int, b: int) -> Figure:
    """AUROC of class b against class a among some cases, with its bootstrap interval over patients."""
    rows = np.flatnonzero(among & np.isin(subject.label, (a, b)))
    p = subject.predictions[[f"p_{subject.names[c]}" for c in (a, b)]].to_numpy(float)[rows] + 1e-9
    p, truth, patient = p / p.sum(1, keepdims=True), (subject.label[rows] == b).astype(int), subject.patient[rows]
    found = scores.classification(truth, p.argmax(1), p, ["a", "b"], patient)["per_class"]["b"]["auroc"]
    return Figure("", found["value"], found["low"], found["high"], len(rows), len(set(patient)))


def _untested(subject: Subject, source: np.ndarray) -> str:
    alone = [
        name
        for c, name in enumerate(subject.names)
        if not any(
            enough(subject, source == s, c, d) for s in set(source) - {""} for d in range(len(subject.names)) if d != c
        )
    ]
    return f"Within no source: {', '.join(alone)}. {REMEDY}" if alone else ""
