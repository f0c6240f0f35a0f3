"""Does it travel? Each source that shares a class with another is left out, and the class looked for there."""

import numpy as np

from classification.trust import answers, probe, views
from classification.trust.part import Figure, Part
from classification.trust.subject import Subject
from cxr.stats import bootstrap, proportion

TITLE = "Does it travel?"
MEANS = "If a class is lost at a source that training has not seen, what was learnt of it belongs to the other sources."

MARGIN = 0.05  # of recall: what is smaller is no shortcut, however many cases show it


def measure(subject: Subject) -> Part:
    """The recall of a class at a source, by a small model (probe.py) on the network's frozen features (answers.py):

    left out   trained without that source
    known      trained on it too, tested on other patients (5 folds), on the classes that are left without that source
    permuted   trained without it, labels permuted among patients: the floor

    For every class and source of probe.LEAST patients where another source has as many of the class. Accused where the
    drop from known to left out, over all these cases, has an interval that begins above MARGIN. The features are those
    of a network that may have been trained on the source left out: what does not travel here does not travel at all.
    """
    if subject.model is None:
        return Part("travel", TITLE, MEANS, [], "No network, no features to train on.", None, probe.NO_NETWORK)
    source, patient = subject.facts.source.to_numpy(), subject.patient
    pairs, missing = _pairs(subject, source)
    pairs = [pair for pair in pairs if len(set(subject.label[_others(source, patient, pair[1])])) > 1]
    if not pairs:
        return Part("travel", TITLE, MEANS, [], "No class has two sources: it cannot be tested.", None, missing)
    x = answers.of_cases(subject)[views.LUNGS].features
    figures, drops, who = {}, [], []
    for c, place in pairs:
        out = (source == place) & (subject.label == c)
        train = _others(source, patient, place)
        classes = np.unique(subject.label[train])
        left = probe.fit(x[train], subject.label[train]).predict(x[out]) == c
        known = _known(x, subject, np.isin(subject.label, classes))[out] == c
        gone = [name for i, name in enumerate(subject.names) if i not in classes]
        note = f"without {', '.join(gone)}, which no other source has" if gone else ""
        key = f"{subject.names[c]}, {place}"
        figures[f"{key} left out"] = _recall(left, patient[out], note)
        figures[f"{key} known"] = _recall(known, patient[out], note)
        figures[f"{key} left out, permuted"] = _floor(x, subject, train, out, c)
        drops.append(known.astype(float) - left)
        who.append(patient[out])
    drops, who = np.concatenate(drops), np.concatenate(who)
    bounds = bootstrap.mean_interval(drops, who)  # a difference is no proportion
    figures["drop"] = drop = Figure("", float(drops.mean()), *bounds, len(drops), len(set(who)), "known less left out")
    accused = drop.low > MARGIN
    worst = min((name for name in figures if name.endswith("left out")), key=lambda name: figures[name].value)
    verdict = (
        f"At a source left out of training the recall falls by {probe.told(drop)}; lowest is {worst}: "
        f"{probe.told(figures[worst])}, with the source known "
        f"{probe.told(figures[worst.removesuffix('left out') + 'known'])}."
    )
    return Part("travel", TITLE, MEANS, probe.named(figures), verdict, bool(accused), missing)


def _others(source: np.ndarray, patient: np.ndarray, place: str) -> np.ndarray:
    """Which cases neither come from a source nor are of one of its patients."""
    return ~np.isin(patient, patient[source == place])


def _pairs(subject: Subject, source: np.ndarray) -> tuple[list[tuple[int, str]], str]:
    """Each (class, source) to leave out, and a sentence on the classes of one source."""
    pairs, alone = [], []
    for c, name in enumerate(subject.names):
        among = np.where(subject.label == c, source, "")
        places = probe.coded(among, subject.patient)[2]
        pairs += [(c, place) for place in places]
        if not places and (subject.label == c).any():
            alone.append(f"{name} ({', '.join(sorted(set(among) - {''})) or 'of no known source'})")
    if not alone:
        return pairs, ""
    return pairs, (
        f"No second source of {probe.LEAST} patients: {'; '.join(alone)}. Whether these classes are recognised "
        "elsewhere cannot be tested; radiographs of them from another hospital would allow it."
    )


def _known(x: np.ndarray, subject: Subject, among: np.ndarray) -> np.ndarray:
    """Predicted classes (n,) of models that other patients of every source trained; -1 of cases not among these."""
    classes, y = np.unique(subject.label[among], return_inverse=True)
    found = np.full(len(x), -1)
    found[among] = classes[probe.out_of_fold(x[among], y, subject.patient[among], subject.seed).argmax(1)]
    return found


def _floor(x: np.ndarray, subject: Subject, train: np.ndarray, out: np.ndarray, c: int) -> Figure:
    deals = probe.permuted(subject.label[train], subject.patient[train], subject.seed, probe.PERMUTATIONS)
    drawn = [(probe.fit(x[train], labels).predict(x[out]) == c).mean() for labels in deals]
    return probe.spread(drawn, subject.patient[out])


def _recall(right: np.ndarray, patient: np.ndarray, note: str) -> Figure:
    low, high = proportion.of_cases(right, patient)
    return Figure("", float(right.mean()), low, high, len(right), len(set(patient)), note)
