"""What inference.py, visualize_cnn.py and scorecard.py share: how they open, which settings count, an output of one
kind, cases read ahead."""

from pathlib import Path

from tqdm import tqdm

from classification.cases import dataset, finder
from classification.cases.classes import class_map
from classification.model import backbone
from classification.voting import predict
from cxr.run import runreport
from cxr.settings import config

# What only patches drawn from an image, or several answers to it, give a meaning
IDLE = {
    "global": ("repeat", "repeat_val", "sampling", "seed", "vote"),
    "dense": ("repeat", "repeat_val", "sampling", "seed"),
}


def begin(weights: Path, inputs, settings, names, always=()):
    """The network of a weights file, and the cases that it is to answer for.

    names: the settings that decide the script's results, and of them those that always do, as decisive() takes them.
    Returns the network (on the CPU, in evaluation mode), the settings to use it with, the classes' names, the cases by
    folder and name, and notes for the person. Raises ValueError for weights, settings or folders that no answer could
    follow from.
    """
    model, settings, classes, notes = backbone.open_classifier(weights, settings)
    predict.check(settings, model)
    found = finder.find(inputs, class_map(settings.classes, [])[1])
    cases = finder.in_order([*found.cases, *found.halves])  # a half pair becomes a row with its reason
    strange = {case.folder for case in cases if case.label is None}
    if strange:
        notes.append(f"these weights know no folder {finder.some(strange)}: its cases have no label")
    return model, settings, classes, cases, notes + idle(settings, names, always) + found.notes


def decisive(settings, names, always=()) -> list[str]:
    """Those of the settings `names` that decide a result with settings.approach; some `always` do."""
    return [name for name in names if name in always or name not in IDLE.get(settings.approach, ())]


def idle(settings, names, always=()) -> list[str]:
    """A sentence for those of the settings `names` that were typed and are not decisive(), if there are any."""
    counting = decisive(settings, names, always)
    typed = sorted(name for name in names if name in settings._typed and name not in counting)
    what = "looks at the whole image once" if settings.approach == "global" else "judges every window once"
    return [f"{', '.join(typed)} typed without effect: approach={settings.approach} {what}"] if typed else []


def with_options(settings, **options):
    """The settings and a script's own options, which decide its results as well."""
    values = {name: value for name, value in vars(settings).items() if not name.startswith("_")}
    return config.Settings(values | options, settings._changed, settings._typed)


def differs(output: Path, settings, weights: Path, overwrite: bool, decisive) -> bool:
    """Whether what `output` holds was made otherwise, by its report.json. Raises ValueError if so, unless it is to be
    overwritten."""
    try:
        runreport.check(output / "report.json", settings, weights, decisive)
    except ValueError:
        if not overwrite:
            raise
        return True
    return False


def read(cases: list[finder.Case], settings, show: bool):
    """Each case with its masked image and lung, or the fault of its pair, while the next ones are read."""
    images = dataset.Images(cases, config.unless_typed(settings, {"cache_gb": 0.0}))  # nothing is read twice
    stream = images.stream(([i] for i in range(len(cases))), faults=True, ahead=max(2, settings.num_workers))
    for case, (item,) in tqdm(zip(cases, stream, strict=True), "cases", len(cases), disable=not show):
        yield case, item
