"""The folder of a training run: what is written there after every epoch, so that the run can go on from it.

best.pt, last.pt, log.jsonl, header.json, curves.png and TensorBoard's events; cxr/run/engine.py says how they
are written.
"""

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from cxr import version
from cxr.figures import plots
from cxr.run import engine


def begin(run: Path, epoch: int, settings: dict) -> SummaryWriter:
    """Make the folder ready for what follows `epoch`, 0 for a new run, which throws an earlier one away.

    The log is cut back to the epoch, since those after it will be run again. For the first process only.
    """
    if not epoch:
        engine.clear_run(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / "header.json").write_text(json.dumps(settings, indent=1))
    engine.write_log(run / "log.jsonl", engine.read_log(run / "log.jsonl")[:epoch])
    return SummaryWriter(run / "tensorboard", purge_step=epoch + 1)


def resume(fabric, state: dict, model, averaged, optimizer) -> None:
    """Set network, average, optimiser and gradient scaler to what last.pt holds of them."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if averaged:
        averaged.module.load_state_dict(state["averaged"])
        averaged.n_averaged.fill_(1)
    if state.get("precision"):  # only 16-mixed scales its gradients, and old files tell nothing of it
        fabric.strategy.precision.load_state_dict(state["precision"])


def keep(fabric, run: Path, state: dict, row: dict, better: bool, model, averaged, optimizer, settings: dict) -> None:
    """Write log, best.pt and last.pt, in this order: a kill in between only means that the epoch is run again."""
    log = [*engine.read_log(run / "log.jsonl")[: state["epoch"] - 1], row]
    engine.write_log(run / "log.jsonl", log)
    weights = averaged.module.state_dict() if averaged else None
    state = state | {"settings": settings, "project": version.about(), "model": model.state_dict()}
    if better:
        engine.save(state | ({"model": weights} if averaged else {}), run / "best.pt")
    state |= {"optimizer": optimizer.state_dict(), "precision": fabric.strategy.precision.state_dict()}
    engine.save(state | ({"averaged": weights} if averaged else {}), run / "last.pt")
    plots.learning_curves(log, run / "curves.png")
