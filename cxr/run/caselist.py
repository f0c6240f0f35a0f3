"""Which cases a network was trained on, as its checkpoint keeps them, and which of those it is now used on."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from cxr import digest
from cxr.errors import BadData
from cxr.run import engine, entries

NAME = "trained_on"  # where a weights file keeps the list
MASKS = "masks"  # where a checkpoint keeps a digest of the masks of these cases
START = {"file": str, "sha256": str}  # what a checkpoint tells of the weights that its training started from
REST = "not trained on"  # the group of cases that the training has not seen
UNKNOWN = "unknown"  # whether a network was trained on a case, where its weights keep no list
_BLOCK = 1 << 16


def fingerprint(file: Path) -> str:
    """Size and three blocks of a file, hashed: tells images apart without reading all of them. Raises OSError."""
    size = file.stat().st_size
    told = hashlib.sha256(str(size).encode())
    with open(file, "rb") as held:
        for place in (0, max(0, size // 2 - _BLOCK // 2), max(0, size - _BLOCK)):
            held.seek(place)
            told.update(held.read(_BLOCK))
    return told.hexdigest()[:32]


def listing(parts: Mapping[str, Iterable[tuple[str, str, Path]]]) -> list[list[str]]:
    """What a checkpoint keeps: [name, folder, part, fingerprint] of each (name, folder, file) in the parts train and
    val. Raises OSError."""
    return [[name, folder, part, fingerprint(file)] for part, cases in parts.items() for name, folder, file in cases]


def kept(parts: Mapping[str, Iterable[tuple[str, str, Path]]], masks: Iterable[Path]) -> dict:
    """What a checkpoint keeps of its cases: listing(), and a digest of the files of their masks. Raises BadData."""
    try:
        return {NAME: listing(parts), MASKS: digest.of_text(" ".join(digest.of_files(masks)))}
    except OSError as error:
        raise BadData(f"{error.filename} cannot be read: {error.strerror}.") from error


def nameless(listed: list[list[str]]) -> list[list[str]]:
    """The list without the names of cases, for weights that are given away."""
    return [["", "", part, told] for _, _, part, told in listed]


def same(one: list[list[str]], other: list[list[str]]) -> bool:
    """Whether two lists hold the same images in the same parts, wherever they lie."""
    return [[name, *rest] for name, _, *rest in one] == [[name, *rest] for name, _, *rest in other]


def unchanged(state: dict, now: dict) -> bool:
    """Whether a training that was left in `state` had the images and masks that are kept() of it `now`, wherever they
    lie. What an older checkpoint does not tell counts as unchanged."""
    return same(state.get(NAME, now[NAME]), now[NAME]) and state.get(MASKS, now[MASKS]) == now[MASKS]


def _is_row(row: object) -> bool:
    return entries.fits(row, [str]) and len(row) == 4


def read(weights: Path) -> list[list[str]] | None:
    """The list in a weights file, with that of the weights that its training started from; None where it keeps none.
    Raises ValueError for a file that cannot be read."""
    if weights.suffix != ".safetensors":
        held = engine.load(weights)
        held = held if isinstance(held, dict) else {}
        entries.check(held, {"start": {str: object}}, weights)
    else:
        try:
            with safe_open(weights, "pt") as file:
                held = {NAME: json.loads((file.metadata() or {}).get(NAME, "null"))}
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise ValueError(f"{weights} cannot be read as safetensors: {error}.") from error
    lists = [held.get("start") or {}, held]
    for told in lists:
        entries.check(told, {NAME: [_is_row]}, weights)
    return [row for told in lists for row in told.get(NAME) or []] or None


def seen(
    weights: Path | Sequence[Path], cases: Iterable[tuple[str, str, Path]]
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Which of the cases (name, folder, file) the weights, or any of several, were trained on: {(folder, name): train
    or val}, and sentences for the user. The image decides, not its name. Raises ValueError."""
    parts, names, notes, cases = {}, set(), [], list(cases)
    for file in [weights] if isinstance(weights, Path) else weights:
        if (listed := read(file)) is None:
            notes = [untold()]
            continue
        own = {told: part for _, _, part, told in listed}
        parts |= {told: part for told, part in own.items() if parts.get(told) != "train"}
        names |= {(folder, name) for name, folder, _, _ in listed}
    if not parts:
        return {}, notes
    found, alike = {}, 0
    for name, folder, file in cases:
        try:
            part = parts.get(fingerprint(file))
        except OSError:  # whoever reads it says so
            continue
        if part:
            found[folder, name] = part
        alike += not part and (folder, name) in names
    if found:
        counts = Counter(found.values())
        notes.append(
            f"{len(found)} of {len(cases)} were trained on ({counts['train']} to train, {counts['val']} to choose the "
            "epoch): the network knows them, so results look better than they are"
        )
    if alike:
        notes.append(
            f"{alike} of {len(cases)} have the folder and name of a case trained on, but another image file; if it was "
            "made again from the same radiograph, the network knows it"
        )
    return found, notes


def unseen(weights: Path | Sequence[Path]) -> str:
    """What to note of a case that seen() does not name: "", or UNKNOWN where one of the weights keeps no list. Raises
    ValueError."""
    return UNKNOWN if None in map(read, [weights] if isinstance(weights, Path) else weights) else ""


def untold(run: str = "") -> str:
    """A sentence for the user, on the weights of this run or a named one."""
    what = "which cases they were trained on; of any of those, results look better than they are"
    return f"the weights{f' of {run}' if run else ''} do not tell {what}"
