"""What visualize_cnn.py and scorecard.py share: their options as settings, an output of one kind, cases read ahead."""

from pathlib import Path

from tqdm import tqdm

from classification import dataset
from cxr import config, runreport


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
