"""Carry out the runs of a cross-validation, one after the other, each by the scripts that a person would start."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from classification.runs import folds
from classification.runs.folds import Run
from classification.splitting import parts
from cxr.errors import BadData, BadRun
from cxr.run import lock
from cxr.run.trainings import call
from cxr.settings import config


def make_folds(root: Path, settings) -> None:
    """Split into folds with split.py where root holds nothing; of several processes one does, and the others wait."""
    while parts.state(root) == "absent":
        try:
            lock.take(root.with_name(f".{root.name}.lock"))
        except BadRun:
            time.sleep(1)
            continue
        if parts.state(root) == "absent":
            print(f"The folds go to {root}.", flush=True)
            run = Run(0, settings.seed, config.replace(settings, dir_split=str(root)))
            call([*run.command("classification/split.py"), f"folds={settings.folds}"])
            if parts.state(root) == "absent":
                raise BadData(f"{root} holds no folds, since classification/split.py stopped.")
        lock.release()


def through(runs: Sequence[Run]) -> tuple[dict[str, str], dict[str, str]]:
    """Train and predict what is not finished and what nobody holds; why runs failed, and who holds others, by name."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what runs below is stopped as well
    failed, held = {}, {}
    for number, run in enumerate(runs, 1):
        title = f"[{number}/{len(runs)}] fold {run.fold}, seed {run.seed}"
        try:
            folds.hold(run)
        except BadRun as other:
            held[run.name] = str(other)
            print(f"{title}: another process works on it.", flush=True)
            continue
        try:
            if folds.finished(run):
                print(f"{title}: finished before.", flush=True)
            else:
                print(f"{title}: {run.folder}", flush=True)
                train_and_predict(run)
        except (BadRun, BadData) as fault:
            failed[run.name] = str(fault)
            print(f"{title} failed: {fault}", flush=True)
        lock.release()
    return failed, held


def train_and_predict(run: Run) -> None:
    """Run train.py and inference.py for one run. Raises BadRun if it is not finished then."""
    if code := call(run.command("classification/train.py")):
        raise BadRun(f"classification/train.py ended with exit code {code}, as told above.")
    told = folds.report(run)
    stale = bool(told) and not folds.predicted_by_these(run, told)  # the training has gone on since
    words = [f"file_weights={run.weights}", *(["--overwrite"] if stale else [])]
    code = call(run.command("classification/inference.py", *words))
    if not folds.finished(run):
        raise BadRun(f"classification/inference.py ended with exit code {code}, as told above.")
