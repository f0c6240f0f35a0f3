"""How masks improve with the number of labelled radiographs: trainings on n of them, measured on one held-out test.

    python segmentation/curve.py                                      10, 20, 40, 80 and 160 radiographs, 5 draws
    python segmentation/curve.py --n 10 20 40 --draws 3 epoch_max=50  any setting of train.py
    python segmentation/curve.py --set montgomery                     the same trainings on another hospital's set

Every training is train.py's, in checkpoint/segmentation/<test_name>-n<n>-draw<draw>/. Two in ten of the n validate and
fit the class factors, so that n counts every labelled radiograph. Finished trainings are skipped; start the command
again to resume, or several times to share the work. Writes curve.csv, curve.json and curve.png.
"""

import argparse
import sys
from functools import partial
from operator import attrgetter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd

from cxr import digest, tables, writing
from cxr.errors import BadData
from cxr.run import caselist, curve, engine, trainings
from cxr.settings import config
from segmentation import dataset, header, training_cases

FIGURES = ("jaccard_lungs_mean", "jaccard_heart")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    curve.add_options(parser, (10, 20, 40, 80, 160), "labelled radiographs of a training")
    sets = ("jsrt", "montgomery")
    parser.add_argument("--set", choices=sets, default="jsrt", help="measure on this set's test cases")
    settings, options = config.load(header, parser=parser)
    which = Path(settings.dir_images).name if settings.dir_images else options.set
    output = options.output or Path(settings.dir_checkpoint) / f"{settings.test_name}-curve" / which
    runs = curve.plan(options, settings)
    pool, tested = divide(settings, which)
    if max(options.n) > len(pool):
        raise BadData(f"--n {max(options.n)} is more than the {len(pool)} radiographs that are not held out.")
    held_out = output / "test.txt"
    writing.text(held_out, "".join(f"{name}\n" for name in tested.case))
    make = partial(run_one, settings, which, pool, tested, held_out)
    curve.trace(runs, make, output, FIGURES, "radiographs", {"tested": len(tested), "seed": settings.seed})


def run_one(settings, which: str, pool, tested, held_out: Path, n: int, draw: int, run: Path) -> dict:
    """Train on the first n cases of a draw and evaluate: the row of the run. Raises BadRun."""
    order = engine.generator(settings.seed, "curve", draw).permutation(len(pool))[:n]
    cases = pool.iloc[order].assign(part=[curve.part(place) for place in range(n)])
    measured = run / "evaluation" / f"curve-{which}"
    words = [f"test_name={run.name}", f"file_cases={run / 'cases.csv'}", f"seed={settings.seed + draw - 1}"]
    train = trainings.command("segmentation/train.py", settings, *words, "num_train=0")
    where = ["-i", settings.dir_images, "-m", settings.dir_masks] if settings.dir_images else ["--set", which]
    where += ["--cases", held_out, "-o", measured, f"file_weights={run / 'best.pt'}"]
    evaluate = trainings.command("segmentation/evaluate.py", settings, *where)
    made_from = trainings.made_from(settings, [cases.values.tolist(), tested.values.tolist()])
    prepare = partial(writing.csv, run / "cases.csv", cases[["case", "part"]])
    trainings.run(run, made_from, prepare, [train, evaluate])
    file, text = measured / "summary.csv", ("group", "metric")
    summary = tables.numbers(file, tables.read(file, (*text, "mean")), text)
    summary = summary.query("group == 'test'").drop_duplicates("metric").set_index("metric")["mean"]
    known = {"n": n, "draw": draw, "run": run.name, "labelled": n, **cases.part.value_counts()}
    seen = tables.read(measured / "metrics.csv", [caselist.NAME])[caselist.NAME].isin(["train", "val"]).sum()
    return known | dict(summary.reindex(FIGURES).dropna()) | {caselist.NAME: int(seen)}


def divide(settings, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The radiographs to draw from, and those that measure: what the official split of each set trained on has for
    test, and all of Montgomery where it is not trained on. Columns case and digest, of all its files. Raises BadData.
    """
    sets, pool = training_cases.find_sets(settings), []
    for cases in sets:
        split = dataset.official_split(cases, settings.split_seed)
        pool += split["train"] + split["val"]
    tested = sets[0] if settings.dir_images else dataset.known_set(name, Path(settings.dir_data_root))
    if settings.dir_images or name == "jsrt" or name in settings.train_sets:
        tested = dataset.official_split(tested, settings.split_seed)["test"]
    return listed(sorted(pool, key=attrgetter("name"))), listed(tested)


def listed(cases: list[dataset.Case]) -> pd.DataFrame:
    """Name and digest of each case."""
    rows = [(case.name, "".join(digest.of_files([case.image, *case.masks.values()]))) for case in cases]
    return pd.DataFrame(rows, columns=["case", "digest"])


if __name__ == "__main__":
    main()
