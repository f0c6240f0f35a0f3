"""Make the folds of a cross-validation, and one of its runs, by the scripts that a person would start."""

import time
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


def train_and_predict(run: Run) -> None:
    """Run train.py and inference.py for a run that is not finished. Raises BadRun if it is not finished then."""
    if folds.finished(run):
        print("finished before", flush=True)
        return
    if code := call(run.command("classification/train.py")):
        raise BadRun(f"classification/train.py ended with exit code {code}, as told above.")
    told = folds.report(run)
    stale = bool(told) and not folds.predicted_by_these(run, told)  # the training has gone on since
    words = [f"file_weights={run.weights}", *(["--overwrite"] if stale else [])]
    code = call(run.command("classification/inference.py", *words))
    if not folds.finished(run):
        raise BadRun(f"classification/inference.py ended with exit code {code}, as told above.")
