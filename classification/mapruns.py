"""What inference.py, visualize_cnn.py and scorecard.py share: which settings count, an output of one kind, cases read
ahead."""

from pathlib import Path

from tqdm import tqdm

from classification import dataset
from cxr import config, runreport

# What only patches drawn from an image, or several answers to it, give a meaning
IDLE = {"global": ("repeat", "sampling", "seed", "vote"), "dense": ("repeat", "sampling", "seed")}


def decisive(settings, names) -> list[str]:
    """Those of the settings `names` that decide a result with settings.approach."""
    return [name for name in names if name not in IDLE.get(settings.approach, ())]


def idle(settings) -> list[str]:
    """A sentence for the settings that were typed and decide nothing, if there are any."""
    typed = [name for name in IDLE.get(settings.approach, ()) if name in settings._typed]
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


def clear(table: Path) -> None:
    """Throw a table away, and what killed runs left to be folded into it: rows made otherwise must not stay."""
    for path in (table, *table.parent.glob(f"{table.stem}.*.jsonl")):
        path.unlink(missing_ok=True)


def read(cases: list[dataset.Case], settings, show: bool):
    """Each case with its masked image and lung, or the fault of its pair, while the next ones are read."""
    images = dataset.Images(cases, config.unless_typed(settings, {"cache_gb": 0.0}))  # nothing is read twice
    stream = images.stream(([i] for i in range(len(cases))), faults=True, ahead=max(2, settings.num_workers))
    for case, (item,) in tqdm(zip(cases, stream, strict=True), "cases", len(cases), disable=not show):
        yield case, item
