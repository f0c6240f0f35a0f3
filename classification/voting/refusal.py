"""Which cases get no prediction: what looks like no frontal chest radiograph, and what is unlike the training's."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from classification.cases.finder import Case
from classification.model import weightfile
from classification.voting import distance, frontal
from cxr import pairs

REFUSED = "refused"  # status of such a case, and where a result says why
SCORES = ("frontal", "distance")


def told(counts: dict[str, int]) -> str:
    """The refused among the counts of a run, for its summary."""
    return f"{counts[REFUSED]} refused, " if counts[REFUSED] else ""


class Refusal:
    """Judges cases by settings.refuse, the multiple of the limits above which a case is refused; 0 judges none.

    look() comes before the network and compare() after it. `notes` tell the user what cannot be judged. Raises
    ValueError for a file that cannot be read.
    """

    def __init__(self, model: nn.Module, weights: Path | Sequence[Path], settings):
        if settings.refuse < 0:
            raise ValueError(f"refuse={settings.refuse:g} is negative; give 0 to refuse nothing, or more.")
        self.limit, self.notes = settings.refuse, []
        self.gate = frontal.load() if self.limit else None
        self.known = self.features = None
        if not self.limit:
            return
        alone = isinstance(weights, Path)
        saved = weightfile.read(weights)[2] if alone else {}
        if not alone:
            why = "the features of several networks cannot be compared"
        elif not saved[distance.KEY]:
            why = "these weights do not tell the features of their training"
        elif settings.compile or saved["settings"].get("approach") != settings.approach:
            why = "a compiled network, or another approach than in training, has no features to compare"
        elif settings.approach == "local" and settings.repeat < saved[distance.KEY].get("patches", 0):
            least = int(saved[distance.KEY]["patches"])
            why = f"the mean features of fewer patches than {least} scatter more than those of the training"
        else:
            self.known, self.features = saved[distance.KEY], distance.Features(model)
            return
        self.notes = [f"{why}: refusal goes by look alone"]

    def look(self, case: Case) -> dict:
        """The score "frontal" of a case, and why it is "refused", if it is; a mask without lung does not hinder it.
        Nothing of a pair that cannot be read."""
        if self.gate is None:
            return {}
        if self.features:
            self.features.take()  # what the network saw of other cases since
        try:
            score = frontal.score(self.gate, *pairs.load(case.place, case.case, allow_empty=True))
        except pairs.BadPair:
            return {}
        return self._judged(case, "frontal", score, "does not look like a frontal chest radiograph")

    def compare(self, case: Case) -> dict:
        """The score "distance" of what the network has judged since look(), and why it is "refused", if it is."""
        features = self.features.take() if self.features else None
        if features is None:
            return {}
        score = distance.score(self.known, features)
        return self._judged(case, "distance", score, "is unlike the radiographs that the network was trained on")

    def _judged(self, case: Case, name: str, score: float, why: str) -> dict:
        if not score > self.limit:  # NaN, of broken weights, is no reason
            return {name: score}
        told = f"{case.folder}: {case.case}: it {why}: {name} {score:.2f} is above refuse={self.limit:g}."
        return {name: score, REFUSED: told}
