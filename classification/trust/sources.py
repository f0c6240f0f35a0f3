"""Does it know the hospital? Whether source, view and resolution can be read from the network's features."""

import numpy as np
import pandas as pd
from scipy import stats

from classification.trust import answers, probe, views
from classification.trust.part import Figure, Part
from classification.trust.subject import Subject

TITLE = "Does it know the hospital?"
MEANS = "If features tell the source, and source tells the class, the network can score by recognising the hospital."


def measure(subject: Subject) -> Part:
    """Probes on the network's frozen features of the lungs (answers.py, probe.py) for source, view and resolution, the
    longer side of the radiograph to the nearest power of two: over all cases, and within the class that has most
    patients to compare. Labels permuted among patients are the floor.

    Accused where the source is read within one class, so that no disease tells it (the interval begins above chance,
    and permuted labels do not reach the value), and goes with the class (chi-squared over patients, p < 0.01): one
    without the other does no harm.
    """
    if subject.model is None:
        return Part("sources", TITLE, MEANS, [], "No network, no features to probe.", None, probe.NO_NETWORK)
    x = answers.of_cases(subject)[views.LUNGS].features
    longer = subject.facts[["width", "height"]].max(axis=1)
    resolution = [f"{2 ** round(np.log2(side))}" if side > 0 else "" for side in longer]
    targets = {"source": subject.facts.source, "view": subject.facts["view"], "resolution": resolution}
    figures, within, known = {}, None, False
    for target, values in targets.items():
        values = np.asarray(values, str)
        _probe(figures, target, x, values, subject)
        alone = [np.where(subject.label == c, values, "") for c in range(len(subject.names))]
        most = int(np.argmax([len(set(subject.patient[probe.coded(some, subject.patient)[0]])) for some in alone]))
        found = _probe(figures, f"{target} within {subject.names[most]}", x, alone[most], subject)
        if target == "source" and found:
            within, known = found, found.beats(figures[f"{found.figure.name}, labels permuted"])
    linked = _linked(subject)
    if linked:
        figures["source and class, Cramér's V"] = linked[0]
    return Part("sources", TITLE, MEANS, probe.named(figures), *_judge(within, known, linked))


def _probe(figures: dict, name: str, x: np.ndarray, values: np.ndarray, subject: Subject) -> probe.Probed | None:
    """Add what is read of some values, and its floor, to the figures; nothing where there is nothing to tell apart."""
    kept, y, names = probe.coded(values, subject.patient)
    if not names:
        return None
    about = x[kept], y, subject.patient[kept], subject.seed
    found = probe.read(*about, note=", ".join(names))
    figures[name], figures[f"{name}, labels permuted"] = found.figure, probe.floor(*about)
    return found._replace(figure=found.figure._replace(name=name))


def _linked(subject: Subject) -> tuple[Figure, float] | None:
    """How closely source goes with class, a patient counting once, and the p of chi-squared; None for one source."""
    table = pd.DataFrame({"source": subject.facts.source.to_numpy(), "label": subject.label})
    table["patient"] = subject.patient
    table = table[table.source != ""].drop_duplicates(["source", "label", "patient"])
    counts = pd.crosstab(table.source, table.label).to_numpy()
    if min(counts.shape) < 2:
        return None
    p = float(stats.chi2_contingency(counts).pvalue)
    value = float(stats.contingency.association(counts, method="cramer"))
    note = f"0: independent, 1: source is class; chi-squared p = {p:.2g}"
    return Figure("", value, None, None, len(subject.label), table.patient.nunique(), note), p


def _judge(
    within: probe.Probed | None, known: bool, linked: tuple[Figure, float] | None
) -> tuple[str, bool | None, str]:
    """The verdict, whether it accuses, and what is missing, by the probe for source within a class, and whether it
    beats its floor."""
    if not linked:
        return "All cases come from one source, or none is known.", None, "Name each case's source in file_metadata."
    goes = linked[1] < 0.01
    tied = f"source {'goes' if goes else 'is not shown to go'} with class (Cramér's V {linked[0].value:.2f})"
    if within is None:
        lacking = f"No class has two sources of {probe.LEAST} patients each; give radiographs of one from elsewhere."
        return f"Source and disease cannot be told apart in any class; {tied}.", None, lacking
    verdict = (
        f"The features {'tell' if known else 'do not tell'} the {within.figure.name} (balanced accuracy "
        f"{probe.told(within.figure)}, {within.chance:.2f} by chance), and {tied}"
    )
    accused = known and goes
    return verdict + (": the network can score by recognising the hospital." if accused else "."), accused, ""
