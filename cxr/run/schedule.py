"""The learning rate as a pure function of how far a training is, so that there is no schedule to save."""

import math

from torch.optim import Optimizer

from cxr.errors import BadRun
from cxr.settings import config

RISE = 0.2  # share of a one-cycle run in which the rate goes up
FIRST, LAST = 0.04, 1e-3  # where it comes from and goes to, shares of the highest


def onecycle(highest: float, done: float) -> float:
    """The rate when a share `done` of a run is done: up for a fifth of it, then down to nearly zero, each half a
    cosine (L. N. Smith, N. Topin, arXiv 1708.07120, figure 1, without the cycle of the momentum)."""
    low = FIRST if done < RISE else LAST
    along = (RISE - done) / RISE if done < RISE else (done - RISE) / (1 - RISE)
    return highest * (low + (1 - low) * (1 + math.cos(math.pi * along)) / 2)


def learning_rate(settings: config.Settings, progress: float) -> float:
    """The rate after `progress` epochs of settings.epoch_max.

    settings.schedule is onecycle; or step, a tenth at each of settings.milestones; or, in a stage whose header has no
    milestones, constant. Raises BadRun for another.
    """
    if settings.schedule == "onecycle":
        return onecycle(settings.learning_rate, progress / settings.epoch_max)
    falls = {"step": settings.milestones} if hasattr(settings, "milestones") else {"constant": ()}
    if settings.schedule not in falls:
        raise BadRun(f"schedule={settings.schedule!r} is unknown; it is {', '.join(falls)} or onecycle.")
    return settings.learning_rate * 0.1 ** sum(progress >= milestone for milestone in falls[settings.schedule])


def set_rate(optimizer: Optimizer, settings: config.Settings, progress: float) -> None:
    """Give an optimizer the rate after `progress` epochs."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, progress)


def jump(settings: config.Settings, state: dict | None) -> str:
    """A sentence if a run goes on from `state`, that of its last.pt, with another epoch_max under onecycle, since the
    rate then leaves the curve it was on; "" otherwise."""
    if not state or settings.schedule != "onecycle" or state["settings"]["epoch_max"] == settings.epoch_max:
        return ""
    old, epoch = state["settings"]["epoch_max"], state["epoch"]
    before, now = (onecycle(settings.learning_rate, epoch / total) for total in (old, settings.epoch_max))
    return (
        f"epoch_max was {old} and is {settings.epoch_max} now: under schedule=onecycle the learning rate goes on "
        f"from {now:.2g}, after {before:.2g} at the end of epoch {epoch}."
    )
