"""Is it the copy? Who changes class when the radiograph is resampled, compressed, sharpened, blurred or noisy."""

from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from classification.splitting import known
from classification.trust import probe, shifted
from classification.trust.part import Figure, Part
from classification.trust.subject import Subject
from classification.voting import predict
from cxr.run import engine
from cxr.shifts import suite

TITLE = "Is it the copy?"
MEANS = "If copying a radiograph changes its class, the network reads how the copy was made."
CASES = 40  # drawn by the seed
PATCHES = 9  # a case and copy
LEAST = 0.9  # share of the cases that should keep their class


def measure(subject: Subject) -> Part:
    """The consistency of the class under every shift of kind copy of the suite (cxr/shifts/suite.py): the share of
    CASES cases, PATCHES patches each, whose class stays, with a 95 % interval over patients.

    Accused where the interval of the worst one ends below LEAST, at a level corrected for how many it is the worst of
    (Bonferroni): it is then no matter of chance that more than one case in ten changes class.
    """
    if subject.model is None:
        return Part("copies", TITLE, MEANS, [], "No network to show copies to.", None, probe.NO_NETWORK)
    try:
        settings, places = subject.settings, sorted({case.place for case in subject.cases})
        table = Path(settings.file_masks) if settings.file_masks else known.one_masks_table(places, settings)
        files, grey = shifted.radiographs(subject.cases, table, settings)
    except ValueError as error:
        return Part("copies", TITLE, MEANS, [], "The radiographs are not at hand.", None, str(error))
    predict.ready(subject.model, subject.device)
    chosen = engine.generator(subject.seed, "copies").permutation(len(subject.cases))[:CASES]
    rows, patients, faults = [], [], []
    for i in tqdm(sorted(chosen), "cases, copied"):
        about = files, grey, suite.choose(["copy"]), subject.settings, subject.names
        try:
            found = shifted.measure(subject.cases[i], *about, partial(_answer, subject))
        except (ValueError, FileNotFoundError) as error:
            faults.append(f"{subject.cases[i].case}: {error}")
            continue
        rows += found
        patients += [subject.patient[i]] * len(found)
    if not rows:
        return Part("copies", TITLE, MEANS, [], "No radiograph could be read.", None, faults[0])
    frame = pd.DataFrame(rows).assign(patient=patients)
    summary = shifted.summarise(frame).iloc[1:]  # the first is no copy
    figures = [
        Figure(shift, value, low, high, n, len(set(patients)), f"p changes by {change:+.3f} in the mean")
        for shift, _, n, value, low, high, change, _ in summary.itertuples(index=False)
    ]
    worst = min(figures, key=lambda figure: figure.value)
    verdict = f"{worst.name} changes most: {probe.told(worst)} of {worst.cases} cases keep their class."
    highest = shifted.summarise(frame, 1 - 0.05 / len(figures)).set_index("shift").high[worst.name]
    return Part("copies", TITLE, MEANS, figures, verdict, bool(highest < LEAST), "; ".join(faults), summary)


def _answer(subject: Subject, image, lung, case: str):
    return predict.predict_image(subject.model, image, lung, subject.settings, case, subject.device, PATCHES)[0]
