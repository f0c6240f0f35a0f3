"""Cross-validate: train every fold, predict each case by the network that has not seen its patient, and pool.

    python classification/crossval.py folds=5 test_name=cv                          five folds by patient
    python classification/crossval.py folds=5 seeds=407,408,409 test_name=cv        each with three seeds
    python classification/crossval.py dir_split=data/folds test_name=cv             folds that split.py made
    python classification/crossval.py folds=5 test_name=cv --partial                pool what is finished so far

Takes every setting of header.py, for split.py, train.py and inference.py, which it runs. Where folds=k is given and the
folds are there, split.py must make the same ones still. Run it again after an interruption: finished folds are skipped.
Several processes with the same command, in two terminals or in a SLURM array, share the folds; whoever ends last pools.
The run of a fold and a seed is called <test_name>/fold<i>-<seed>.
Writes to dir_save/<test_name>/: predictions.csv with the columns fold and seed, metrics.json with intervals over seeds
and patients, confusion.png, roc.png, reliability.png. Unless dir_split is typed, the folds go to <dir_split>-folds<k>.
"""

import argparse
import os
import sys
import time
from operator import attrgetter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from classification import header, split
from classification.page import beside, findings
from classification.runs import folds, pool
from classification.splitting import parts
from classification.voting import refusal
from cxr.errors import BadRun
from cxr.run import caselist, lock, trainings
from cxr.settings import config


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partial", action="store_true", help="train nothing, and pool the runs that are finished")
    told = "do only every Nth run from the Ith on (in a SLURM array: one each)"
    parser.add_argument("--task", default="", metavar="I/N", help=told)
    settings, options = config.load(header, parser=parser)
    failed, held = {}, {}
    folds.check(settings)
    root = folds.place(settings)
    if settings.folds and not options.partial:
        make_folds(root, settings)
    runs = folds.all_runs(root, settings)
    print(f"{len(runs)} runs, of the folds in {root}: {', '.join(run.name for run in runs)}.", flush=True)
    if not options.partial:
        mine = folds.share(runs, options.task or array_task(len(runs)))
        places = attrgetter("folder", "output")
        _, failed, held = trainings.through(mine, places, train_and_predict)
    done = [run for run in runs if run.name not in failed and folds.finished(run)]
    if len(done) == len(runs) or (done and options.partial):
        finish(settings, done, runs)
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}")
    for name, reason in held.items():
        print(f"elsewhere: {name}: {reason}")
    print(
        f"{len(done)} of {len(runs)} runs are finished, without {', '.join(missing(done, runs))}; nothing is pooled. "
        "Next: the same command again, or with --partial."
    )
    sys.exit(1 if failed or options.partial else 0)


def make_folds(root: Path, settings) -> None:
    """Split into folds as split.py does where root holds nothing, of several processes one, while the others wait; else
    see that it would make these. Folds made by hand stay as they are. Raises BadData for another split of split.py."""
    settings = config.replace(settings, dir_split=str(root))
    while parts.state(root) == "absent":
        try:
            split.hold(root)
            break
        except BadRun:
            time.sleep(1)
    if (kind := parts.state(root)) in ("absent", "made"):
        with opening.asked():
            split.split(root, kind, settings, split.patients(settings))
    lock.release()


def train_and_predict(run: folds.Run) -> None:
    """Run train.py and inference.py for a run that is not finished. Raises BadRun if it is not finished then."""
    if folds.finished(run):
        print("finished before", flush=True)
        return
    if code := trainings.call(run.command("classification/train.py")):
        raise BadRun(f"classification/train.py ended with exit code {code}, as told above.")
    told = folds.report(run)
    stale = bool(told) and not folds.predicted_by_these(run, told)  # the training has gone on since
    words = [f"file_weights={run.weights}", *(["--overwrite"] if stale else [])]
    code = trainings.call(run.command("classification/inference.py", *words))
    if not folds.finished(run):
        raise BadRun(f"classification/inference.py ended with exit code {code}, as told above.")


def array_task(count: int) -> str:
    """The share of a SLURM array's task: the run with its number."""
    number = os.environ.get("SLURM_ARRAY_TASK_ID")
    if number and not 1 <= int(number) <= count:
        raise BadRun(
            f"task {number} of the SLURM array has no run; submit it with --array=1-{count}, or give --task I/N."
        )
    return f"{number}/{count}" if number else ""


def finish(settings, done: list, runs: list) -> None:
    """Pool, and end with what was pooled, what its intervals carry, and what comes next."""
    output = Path(settings.dir_save) / settings.test_name
    try:
        lock.take(output / lock.NAME)
    except BadRun as other:  # it ended at the same moment
        print(f"All runs are finished; {other}")
        sys.exit(0)
    counts = pool.write(done, settings, len(runs))
    metrics = beside.read_json(output / "metrics.json") or {}
    for told in findings.trained_on(metrics):
        print(f"Note: {told}{'; start_weights knew them' if metrics[caselist.NAME] else ''}.")
    if len({run.seed for run in runs}) > 1:
        print("Means over the seeds; the intervals are over seeds and patients, those of each seed in metrics.json.")
    else:
        print("The intervals are over patients. They do not tell how much another seed would change: give several.")
    if len(done) < len(runs):
        print(f"PARTIAL: pooled from {len(done)} of {len(runs)} runs; without {', '.join(missing(done, runs))}.")
    names = ("dir_save", "dir_pairs", "test_name", "file_metadata")
    rows = f"{counts['ok']} ok, {refusal.told(counts)}{counts['failed']} failed"
    print(
        f"Wrote {output}: predictions.csv ({rows}), metrics.json, confusion.png, roc.png, reliability.png, "
        f"report.json. Next: {config.command('classification/report.py', settings, names)}"
    )
    sys.exit(1 if counts["failed"] else 0)


def missing(done: list, runs: list) -> list[str]:
    """The names of the runs that are not done."""
    return [run.name for run in runs if run not in done]


if __name__ == "__main__":
    main()
