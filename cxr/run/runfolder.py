"""The folder of a training run, the same for both stages: what is written there after every epoch, so that the run can
go on from it.

best.pt, last.pt, log.jsonl, header.json, curves.png and TensorBoard's events.
"""

import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import SimpleNamespace

from lightning_fabric import Fabric
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from cxr import version, writing
from cxr.errors import BadRun
from cxr.run import caselist, engine, entries, runreport, schedule
from cxr.settings import config

# What decides no result: on what a run is computed, and what is written beside it.
_IDLE = {"restart", "num_workers", "cache_gb", "device", "compile", "image_dtype", "overlays", "masks_png"}
# What may differ beside it between a run and its continuation: how far it goes, and what predicts.
_FREE = {"epoch_max", "patience", "decision", "backend", "mirror"}


def deciding(settings: dict, unread: Collection[str] = ()) -> dict:
    """The settings that decide a result: no paths, nothing of the machine, and none of the `unread`."""
    return {n: value for n, value in settings.items() if n not in {*_IDLE, *unread} and not config.is_path(n)}


def differences(old: dict, new: dict, unread: Sequence[str] = ()) -> list[str]:
    """Settings that a continued run may not change, as 'name: old -> new'; `unread` ones it never reads. A setting
    that is younger than the run was off in it, as it is while it is 0, False or None."""
    names = [n for n in deciding({**old, **new}, {*_FREE, *unread}) if n in old or new[n]]
    return [f"{n}: {old.get(n)!r} -> {new.get(n)!r}" for n in names if old.get(n) != new.get(n)]


def read_log(path: Path) -> list[dict]:
    """The lines of log.jsonl; a last line cut short by a kill is passed over."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def write_log(path: Path, rows: list[dict]) -> None:
    """Write log.jsonl anew, one line an epoch, in one move."""
    writing.text(path, "".join(json.dumps(row) + "\n" for row in rows))


def open_state(folder: Path, settings: dict, unread: Sequence[str] = ()) -> dict | None:
    """The state a run was left in, or None for a new one. Raises BadRun if the settings are other ones now, and for
    files that cannot be read.

    unread: settings that this stage's training never reads, and which may be others.
    """
    last = folder / "last.pt"
    if settings["restart"] or not last.exists():
        return None
    try:
        state = engine.load(last)
        if not entries.fits(state, {"settings": {str: object}, "epoch": int, "best_epoch": int}):
            raise ValueError(f"{last} is no checkpoint of a training of this project.")
        engine.load(folder / "best.pt")  # which nothing can bring back, should no later epoch be better
    except ValueError as error:
        raise BadRun(f"{error} Give another test_name, or restart=True to throw the old run away.") from error
    changed = differences(state["settings"], settings, unread)
    if changed:
        raise BadRun(
            f"{folder} was trained with other settings ({'; '.join(changed)}): give the old ones, another test_name "
            f"(test_name={folder.name}-2), or restart=True to throw the old run away."
        )
    return state


def finished(state: dict, settings: config.Settings | SimpleNamespace) -> bool:
    """Whether a training that was left in this state has nothing more to do."""
    return state["epoch"] >= settings.epoch_max or stale(state, settings)


def stale(state: dict, settings: config.Settings | SimpleNamespace) -> bool:
    """Whether the score in validation has not risen for `patience` epochs. In stage 2 a lower loss at the same score,
    which makes an epoch the best one, is no rise."""
    return 0 < settings.patience <= state["epoch"] - state.get("risen", state["best_epoch"])


def start_of(settings: config.Settings, state: dict | None) -> dict | None:
    """The weights file that a run started from, with its sha256, or None where it started from none; `state` is where
    it goes on, None for a new one. Raises BadRun for file_weights typed, and for another start than a run had."""
    if settings.file_weights and "file_weights" in settings._typed:
        raise BadRun("file_weights names what predicts; a training starts from start_weights: type start_weights=FILE.")
    path = settings.start_weights and Path(settings.start_weights)
    if path and not path.is_file():
        if state:  # what a run began with may be gone when it goes on
            return state.get("start")
        raise BadRun(f"{path} does not exist.")
    start = None
    if path:
        start = {"file": config.as_dict(settings)["start_weights"], "sha256": runreport.digest(path)}
        try:
            start[caselist.NAME] = caselist.read(path)  # what it has seen, what is trained from it has seen as well
        except ValueError as error:
            raise BadRun(str(error)) from error
    if state and "start" in state:
        one, other = (held and held["sha256"] for held in (state["start"], start))
        if one != other and (other or "start_weights" in settings._typed):
            raise BadRun(
                f"this run started from {(state['start'] or {}).get('file', 'no weights file')}, not from "
                f"{settings.start_weights}: leave start_weights out, give another test_name, or restart=True."
            )
        return state["start"]
    return start


def notes(run: Path, settings: config.Settings, state: dict | None) -> list[str]:
    """What to tell the user at the start of a training beside its settings."""
    found = []
    if state:
        found.append(f"Goes on with {run} after epoch {state['epoch']} of {settings.epoch_max}.")
    if told := schedule.jump(settings, state):
        found.append(told)
    if settings.file_weights:
        found.append(
            "Note: file_weights in header.py names what predicts, and starts no training: to predict with what this "
            "run learns, set it to None; to train from that file, name it as start_weights."
        )
    return found


def clear_run(folder: Path) -> None:
    """Throw away what an earlier training left in a run's folder, its own files only."""
    for name in ("last.pt", "best.pt", "log.jsonl", "header.json", "curves.png"):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / "tensorboard").glob("events.out.tfevents.*"):
        path.unlink()


def begin(run: Path, epoch: int, settings: dict) -> SummaryWriter:
    """Make the folder ready for what follows `epoch`, 0 for a new run, which throws an earlier one away.

    The log is cut back to the epoch, since those after it will be run again. For the first process only.
    """
    if not epoch:
        clear_run(run)
    writing.json(run / "header.json", settings)
    write_log(run / "log.jsonl", read_log(run / "log.jsonl")[:epoch])
    return SummaryWriter(run / "tensorboard", purge_step=epoch + 1)


def check_loss(loss: float, what: str, where: str, settings: config.Settings) -> None:
    """Raise BadRun, with what to try, if a loss is NaN or Inf: the training diverges."""
    if not math.isfinite(loss):
        raise BadRun(
            f"the {what} is {loss} {where}; the last whole epoch is kept; try a learning_rate below "
            f"{settings.learning_rate:g} or precision=32-true."
        )


def training_state(fabric: Fabric, optimizer: Optimizer) -> dict:
    """What last.pt holds of a training beside the weights: optimiser and gradient scaler."""
    return {"optimizer": optimizer.state_dict(), "precision": fabric.strategy.precision.state_dict()}


def resume(fabric: Fabric, state: dict, optimizer: Optimizer) -> None:
    """Set optimiser and gradient scaler to what last.pt holds of them."""
    optimizer.load_state_dict(state["optimizer"])
    if state.get("precision"):  # only 16-mixed scales its gradients, and old files tell nothing of it
        fabric.strategy.precision.load_state_dict(state["precision"])


def keep(
    run: Path, writer: SummaryWriter, row: dict, best: dict | None, last: dict, draw: Callable[[list[dict], Path], None]
) -> None:
    """Write an epoch's log line, best.pt where it is the best so far, the curves, and last.pt, in this order: a kill in
    between only means that the epoch is run again; then TensorBoard's. draw: writes the curves of a log to a file."""
    log = [*read_log(run / "log.jsonl")[: row["epoch"] - 1], row]
    write_log(run / "log.jsonl", log)
    project = {"project": version.about()}
    if best:
        engine.save(best | project, run / "best.pt")
    draw(log, run / "curves.png")
    engine.save(last | project, run / "last.pt")
    for name, value in row.items():
        if name != "epoch":
            writer.add_scalar(name, value, row["epoch"])
    writer.flush()
