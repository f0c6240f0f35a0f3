"""Where is the signal? The same cases with the lungs alone, without the lungs, and with their outline alone."""

import numpy as np

from classification.trust import answers, probe, views
from classification.trust.part import Figure, Part
from classification.trust.subject import Subject
from cxr.stats import bootstrap, paired

TITLE = "Where is the signal?"
MEANS = "If the class can be read as well without the lungs, it can be read from the hospital, without any disease."


def measure(subject: Subject) -> Part:
    """The balanced accuracy for every view of views.py, twice.

    network    the network as it is, by the vote of its patches: never trained on a control, it proves little
    retrained  a small model trained anew on each view (probe.py), on thumbnails of it: an equal reader of every view,
               where the features of a network taught by lungs would favour these; it sees no fine texture

    Accused where the retrained model reads the class without the lungs above chance (its interval begins there, and
    permuted labels do not reach the value) and as well as from the lungs alone (the interval of the paired difference,
    lungs less without, reaches zero). McNemar's exact test counts a patient as right when half of the images are.
    """
    kept, y, names = probe.coded(np.array(subject.names)[subject.label], subject.patient)
    if not names:
        lacking = f"Two classes of {probe.LEAST} patients each are needed."
        return Part("controls", TITLE, MEANS, [], "Too few cases to tell.", None, lacking)
    patient, figures, right, above = subject.patient[kept], {}, {}, False
    for name, seen in answers.of_cases(subject, views.VIEWS).items():
        if subject.model is not None:
            truth, p = subject.label[kept], seen.p[kept]
            figures[f"network, {name}"] = probe.figure(truth, seen.predicted[kept], p, patient)
        about = seen.thumbnail[kept], y, patient, subject.seed
        found = probe.read(*about, f"thumbnails of {views.THUMBNAIL} pixels, {probe.MODEL}")
        figures[f"retrained, {name}"] = found.figure
        right[name] = found.predicted == y
        if name == views.REMOVED:
            floor = figures["lungs removed, labels permuted"] = probe.floor(*about)
            above = found.beats(floor)
    figures["lungs only less lungs removed"] = lost = _lost(right, views.REMOVED, y, patient)
    figures["lungs only less box removed"] = _lost(right, views.BOX, y, patient)
    figures["McNemar p, full image against lungs removed"] = _mcnemar(right[views.FULL], right[views.REMOVED], patient)
    without, lungs = (figures[f"retrained, {name}"] for name in (views.REMOVED, views.LUNGS))
    accused = above and lost.low <= 0
    verdict = (
        f"Retrained without the lungs, a small model reaches balanced accuracy {probe.told(without)}, and with the "
        f"lungs alone {probe.told(lungs)} ({1 / len(names):.2f} by chance): "
        + ("the class shows as well outside the lungs." if accused else "what lies outside the lungs does not suffice.")
    )
    return Part("controls", TITLE, MEANS, probe.named(figures), verdict, bool(accused))


def _lost(right: dict, view: str, y: np.ndarray, patient: np.ndarray) -> Figure:
    """How much of the balanced accuracy from the lungs alone a view loses, case by case."""
    counts = np.bincount(y)
    weight = len(y) / (len(counts) * counts[y])  # so that each class counts alike
    gap = weight * (right[views.LUNGS].astype(float) - right[view])
    return Figure("", float(gap.mean()), *bootstrap.mean_interval(gap, patient), len(y), len(set(patient)), "retrained")


def _mcnemar(one: np.ndarray, other: np.ndarray, patient: np.ndarray) -> Figure:
    known, member = np.unique(patient, return_inverse=True)
    found = paired.sign_test(*(1.0 * (np.bincount(member, r) / np.bincount(member) >= 0.5) for r in (one, other)))
    alone = f"{found['better_a']} right with the full image alone, {found['better_b']} without the lungs alone"
    return Figure("", found["p"], None, None, len(patient), len(known), f"retrained, exact, over patients: {alone}")
