"""Write the model card of weights files: weights/<name>.md beside each, from the file itself and what was measured.

    python weights/card.py                  every weights file beside this script, with the figures in weights/figures/
    python weights/card.py FIGURES          FIGURES/<name>/ holds what weights/make.py measured of weights/<name>

The order is that of CLAIM 2024 (Tejani et al. 2024, Radiology: AI 6(4):e240300) and TRIPOD+AI (Collins et al. 2024, BMJ
385:e078378). What a program cannot know, such as where data come from, is taken from the sections of notes/<name>.md
beside the file. What neither tells is called not recorded, what has no figures not measured.
"""

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from safetensors import safe_open

from classification.model import weightfile
from cxr import tables, version, writing
from cxr.run import caselist
from weights import measured

HERE = Path(__file__).resolve().parent
UNKNOWN = "not recorded"
# Settings that a section tells
PREPARATION = (
    "equalise", "gamma", "crop_border", "resize_height", "resize_width", "img_size", "resolution", "patch_size",
)  # fmt: skip
TRAINING = (
    "seed", "epoch_max", "num_batch_train", "num_patches", "learning_rate", "schedule", "weight_decay", "lambda_l1",
    "class_weights", "average", "augment", "opacity", "objects", "copies", "exposure", "contrast", "flip", "rotation",
    "precision",
)  # fmt: skip


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, nargs="?", default=HERE / "figures", help="default: weights/figures")
    version.add_flag(parser)
    options = parser.parse_args()
    files = [file for file in sorted(HERE.glob("*.safetensors")) if (options.figures / file.stem).is_dir()]
    if not files:
        sys.exit(f"weights/card.py: {options.figures} holds no folder named after a weights file; run weights/make.py.")
    with opening.asked():
        cards = [write(file, options.figures / file.stem) for file in files]
    print(f"Wrote {', '.join(card.name for card in cards)} in {HERE}.")


def write(file: Path, figures: Path | None = None) -> Path:
    """Write the card of a weights file beside it; figures: the folder of what was measured of it. Raises ValueError as
    describe() does, and for another text in the card's place."""
    card = place(file)
    writing.text(card, describe(file, figures))
    return card


def place(file: Path) -> Path:
    """Where the card of a weights file goes. Raises ValueError where another text lies."""
    card = file.with_suffix(".md")
    if card.exists() and tables.decoded(card.read_bytes()).splitlines()[:1] != [f"# {file.name}"]:
        raise ValueError(f"{card} is not the card of {file.name}: move it, or name another file.")
    return card


def describe(file: Path, figures: Path | None = None) -> str:
    """The card of one weights file as Markdown. Raises OSError for a file that cannot be read, ValueError for notes
    that the card has no place for, and for figures of other weights."""
    with safe_open(file, "pt") as held:
        texts, keys = held.metadata() or {}, list(held.keys())
        count = sum(_size(held, key) for key in keys if not key.startswith(weightfile.DISTANCE))
    told = {name: json.loads(texts[name]) for name in texts if name not in ("format", "network", "sha256")}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    found = facts(told | {"network": texts.get("network", UNKNOWN)}, count) | measured.sections(figures, told, digest)
    notes = read_notes(file.parent / "notes" / f"{file.stem}.md")
    if strange := [name for name in notes if name not in found]:
        raise ValueError(f"the notes of {file.name} have the section {strange[0]!r}; sections are {', '.join(found)}.")
    project = told.get("project", {})
    rows = [
        ("file", f"{file.stat().st_size / 1e6:.1f} MB, sha256 `{digest}`"),
        ("exported by", f"limited-cxr {project['version']}, commit {project['commit']}" if project else UNKNOWN),
        ("card", date.today().isoformat()),
    ]
    parts = [f"# {file.name}", measured.table(("", ""), rows)]
    for name, own in found.items():
        body = [text for text in (*own, notes.get(name, "")) if text]
        parts += [f"## {name}", *(body or ["not measured" if name in measured.SECTIONS else UNKNOWN])]
    return "\n\n".join(parts) + "\n"


def facts(told: dict, count: int) -> dict[str, list[str]]:
    """What the file says of itself, as tables by section, in the order of the card. told: its metadata; count: its
    numbers."""
    settings = told.get("settings", {})
    known = Counter(part for _, _, part, _ in told.get(caselist.NAME) or [])
    start, best, average = told.get("start"), told.get("best"), told.get("average")
    split = [
        ("images trained on", known["train"] or UNKNOWN),
        ("images that chose the epoch", known["val"] or UNKNOWN),
        ("split by", settings.get("split_by", "image" if "train_sets" in settings else UNKNOWN)),
        ("seed of the split", settings.get("split_seed", UNKNOWN)),
    ]
    if "train_sets" in settings:
        split.insert(0, ("sets", ", ".join(settings["train_sets"])))
    model = [("network", told["network"]), ("numbers", f"{count:,}, half precision")]
    if "classes" in told:
        model += [("classes", ", ".join(told["classes"]))]
        model += [(name, settings.get(name, UNKNOWN)) for name in ("approach", "vote", "sampling", "repeat")]
        model += [("input scaling", told.get("input_scaling", UNKNOWN))]
    else:
        model += [("output", "background, heart, left lung, right lung")]
        model += [("factors before the argmax (decision)", settings.get("decision", UNKNOWN))]
    began = f"{start['file']}, sha256 `{start['sha256']}`" if start else "none" if "start" in told else UNKNOWN
    training = [("started from", began)]
    training += [(name, json.dumps(settings[name])) for name in TRAINING if name in settings]
    training += [("kept", f"epoch {best['epoch']}, validation score {best['score']:.4f}" if best else UNKNOWN)]
    if average:
        training += [("averaged with", f"{average['share']:g} of {average['file']}, sha256 `{average['sha256']}`")]
    versions = told.get("versions", {})
    training += [
        ("software at the export", ", ".join(f"{name} {number}" for name, number in versions.items()) or UNKNOWN)
    ]
    prepared = [(name, json.dumps(settings[name])) for name in PREPARATION if name in settings]
    return {
        "Intended use": ["For research and education. Not for clinical decisions."],
        "Data: source and dates": [],
        "Data: inclusion and exclusion": [],
        "Data: preparation": [measured.table(("setting", "value"), prepared)] if prepared else [],
        "Ground truth": [],
        "Split": [measured.table(("", ""), split)],
        "Model": [measured.table(("", ""), model)],
        "Training": [measured.table(("", ""), training)],
        **{name: [] for name in measured.SECTIONS},
        "Limitations": [],
        "Terms": [],
        "Registration, protocol, funding": [],
    }


def read_notes(file: Path) -> dict[str, str]:
    """The text of each `## section` of a notes file; nothing where there is none."""
    if not file.is_file():
        return {}
    pieces = re.split(r"^## (.+)$", tables.decoded(file.read_bytes()), flags=re.MULTILINE)
    return {name.strip(): text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def _size(held, key: str) -> int:
    size = 1
    for side in held.get_slice(key).get_shape():
        size *= side
    return size


if __name__ == "__main__":
    main()
