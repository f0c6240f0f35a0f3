"""How the classifier improves with the number of labelled patients: trainings on n of each class, one held-out test.

    python classification/curve.py                                   4, 8, 16 and 32 patients a class, 5 draws
    python classification/curve.py --n 5 10 20 --draws 3 epoch_max=20    any setting of train.py and inference.py

Patients are drawn from train and val of dir_split; its test measures all. Every training is train.py's, in
checkpoint/classification/<test_name>-n<n>-draw<draw>/, on a split of its own. Two in ten patients of a class choose the
epoch, so that n counts every labelled patient. Finished trainings are skipped; start the command again to resume, or
several times to share the work. Writes curve.csv, curve.json and curve.png.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd

from classification import header, train
from classification.cases import finder
from classification.splitting import known, parts
from classification.voting import effect
from cxr import digest, tables
from cxr.errors import BadData
from cxr.run import caselist, curve, engine, trainings
from cxr.settings import config

FIGURES = ("accuracy", "f1", "auroc")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    curve.add_options(parser, (4, 8, 16, 32), "labelled patients of each class")
    settings, options = config.load(header, parser=parser)
    output = options.output or Path(settings.dir_checkpoint) / f"{settings.test_name}-curve"
    runs = curve.plan(options, settings)
    pool, names, notes = find(settings)
    for label, name in enumerate(names):
        if (count := pool.group[pool.label == label].nunique()) < max(options.n):
            raise BadData(
                f"{name} has {count} patients outside the test, fewer than --n {max(options.n)}; give a smaller one."
            )
    tested = finder.test_part(settings)
    cases = finder.find([tested]).cases
    test_cases = [(*case[:2], content) for case, content in zip(cases, digest.of_pairs(cases), strict=True)]
    for note in notes:
        print(f"Note: {note}.")
    make = partial(run_one, settings, pool, names, tested, test_cases)
    curve.trace(runs, make, output, FIGURES, "patients", {"tested": len(test_cases), "seed": settings.seed})


def run_one(settings, pool, names, tested: Path, test_cases: list, n: int, draw: int, run: Path) -> dict:
    """Train on n patients a class and predict: the row of the run. Raises BadRun."""
    cases = choose(pool, names, n, draw, settings.seed)
    split = run / "split"
    words = [f"test_name={run.name}", f"dir_split={split}", f"seed={settings.seed + draw - 1}", "num_train=0"]
    learn = trainings.command("classification/train.py", settings, *words)
    words = ["-i", tested, "-o", run / "test", f"test_name={run.name}", f"file_weights={run / 'best.pt'}"]
    words += ["refuse=0"]  # every size is measured on the same cases
    predict = trainings.command("classification/inference.py", settings, *words, "--overwrite")
    prepare = partial(parts.write, split, {"": cases}, {"classes": settings.classes}, pd.DataFrame())
    contents = cases[[*parts.COLUMNS, "digest"]].values.tolist(), test_cases
    made_from = trainings.made_from(settings, contents, {*train.UNREAD} - {*effect.DECISIVE})
    trainings.run(run, made_from, prepare, [learn, predict])
    file = run / "test" / "metrics.json"
    with tables.used(file):
        told = tables.json(file)
        figures = {name: told["overall"][name]["value"] for name in FIGURES}
        figures[caselist.NAME] = sum((told.get(caselist.NAME) or {}).values())
    known_of = {"n": n, "draw": draw, "run": run.name, "labelled": cases.group.nunique(), "images": len(cases)}
    return known_of | figures


def find(settings) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The cases of train and val of dir_split, as rows that parts.write() takes, with the class of their group and a
    digest; the names of the classes; and notes for the user. Raises BadData."""
    root = Path(settings.dir_split)
    roots = [root / part for part in ("train", "val")]
    if missing := [place for place in roots if not place.is_dir()]:
        raise BadData(f"there is no folder {missing[0]}; make the split with python classification/split.py.")
    found, names, _ = finder.find_classes(roots, settings.classes)
    cases = finder.in_order(case for one in found for case in one.cases)
    people, notes = known.people(cases, roots, settings)
    rows = pd.DataFrame(cases, columns=list(finder.Case._fields))
    rows[["patient", "source"]] = people
    rows["digest"] = digest.of_pairs(cases)
    groups = {}
    if (root / parts.RECORD).is_file():  # near-duplicates stay together there
        groups = {(row.folder, row.case): row.group for row in parts.read(root).itertuples()}
    keys = zip(rows.folder, rows.case, rows.patient, strict=True)
    rows["group"] = [groups.get((folder, case), patient) for folder, case, patient in keys]
    rows["label"] = rows.groupby("group")["label"].transform("first")
    return rows, names, [*notes, *(note for one in found for note in one.notes)]


def choose(pool: pd.DataFrame, names: list[str], n: int, draw: int, seed: int) -> pd.DataFrame:
    """The cases of the first n patients of each class in the order of a draw, with their part."""
    part = {}
    for label, name in enumerate(names):
        groups = sorted(set(pool.group[pool.label == label]))
        order = engine.generator(seed, "curve", draw, name).permutation(len(groups))[:n]
        part |= {groups[i]: curve.part(place) for place, i in enumerate(order)}
    return pool[pool.group.isin(part)].assign(part=pool.group.map(part))


if __name__ == "__main__":
    main()
