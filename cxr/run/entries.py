"""What a weights file holds, entry by entry: what another program keeps under the same names is refused by name."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from cxr.settings.literals import REFUSALS, convert

_REMEDY = "give a weights file of this project, as best.pt of its train.py"


def weights(held: Any, names: Iterable[str], path: Path, network: str) -> dict[str, torch.Tensor]:
    """The weights in what a file holds: the first of the entries `names` that there is, else all of it; without the
    prefix of DataParallel. Raises ValueError where there are other things than weights."""
    if not isinstance(held, dict):
        raise ValueError(f"{path} holds no {network} but a {type(held).__name__}.")
    state = next((held[name] for name in names if held.get(name) is not None), held)
    if not fits(state, {str: torch.Tensor}):
        raise ValueError(f"{path} holds no {network}: there are other things than weights in it.")
    return {key.removeprefix("module."): value for key, value in state.items()}


def single(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in float32; counts stay whole."""
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def check(held: Mapping, kinds: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError for an entry that is not of its kind, as fits() has it; one that is None or absent passes."""
    for name, kind in kinds.items():
        if held.get(name) is not None and not fits(held[name], kind):
            raise ValueError(f"{path} holds {name} of another form than this project's: {_REMEDY}.")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: a type, a function that says so, [kind] for a list of it, {str: kind} for a dict of
    texts to it, or {"name": kind, ...} for a dict with at least these entries, which "name?" may lack."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(item, kind[0]) for item in value)
    if isinstance(kind, dict):
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            return False
        if str in kind:
            return all(fits(item, kind[str]) for item in value.values())
        return all(
            fits(value[name.rstrip("?")], of) if name.rstrip("?") in value else name.endswith("?")
            for name, of in kind.items()
        )
    if isinstance(kind, type):
        return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
    return kind(value)


def number(value: Any) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def settings(told: Mapping[str, Any], names: Iterable[str], like: Any, path: Path) -> dict[str, Any]:
    """Those of the settings `names` that a file tells, as values of the kind that each has in the settings `like`.
    Raises ValueError for another kind."""
    found = {}
    for name in names:
        if name in told:
            try:
                found[name] = convert(told[name], getattr(like, name))
            except REFUSALS:
                raise ValueError(f"{path} tells {name}={told[name]!r} of its training: {_REMEDY}.") from None
    return found
