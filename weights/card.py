"""Fill the model cards: weights/<name>.md for each weights file, from the file itself and the figures measured of it.

    python weights/card.py FIGURES          FIGURES/<name>/ holds what weights/make.py wrote; names are the files' own

What a program cannot know, as what was seen in overlays and what the data's terms allow, is taken from
weights/notes/<name>.md. Figures that were not measured are called so.
"""

import argparse
import hashlib
import json
import sys
from datetime import date
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import pandas as pd
from safetensors import safe_open

from cxr import version
from cxr.run import opening

HERE = Path(__file__).resolve().parent
# Settings worth a line: what the weights expect, and how they were trained
TOLD = (
    "resize_height", "resize_width", "gamma", "crop_border", "decision", "train_sets", "split_seed", "img_size",
    "resolution", "patch_size", "vote", "epoch_max", "num_batch_train", "num_patches", "learning_rate", "schedule",
    "average", "augment", "opacity", "objects", "copies", "exposure", "contrast", "seed", "precision",
)  # fmt: skip
GROUPS = {"evaluate-jsrt": "JSRT", "evaluate-montgomery": "Montgomery"}
METRICS = {
    "jaccard_lungs_mean": "lungs, mean of left and right",
    "jaccard_lungs_union": "lungs, union",
    "jaccard_heart": "heart",
    "hausdorff95_lungs_union": "95 % Hausdorff of the lungs, pixels at 1024",
    "flagged": "share flagged",
}


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="folder with a folder of figures for each weights file")
    version.add_flag(parser)
    options = parser.parse_args()
    written = []
    for file in sorted(HERE.glob("*.safetensors")):
        if (options.figures / file.stem).is_dir():
            card = HERE / f"{file.stem}.md"
            card.write_text(describe(file, options.figures / file.stem), encoding="utf-8")
            written.append(card.name)
    if not written:
        sys.exit(f"weights/card.py: {options.figures} holds no folder named after a weights file; run weights/make.py.")
    print(f"Wrote {', '.join(written)} in {HERE}.")


def describe(file: Path, figures: Path) -> str:
    """The card of one weights file as Markdown. Raises OSError for a file that cannot be read."""
    with safe_open(file, "pt") as held:
        texts = held.metadata() or {}
        count = sum(_size(held, key) for key in held.keys())
    settings = json.loads(texts.get("settings", "{}"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    rows = [
        ("network", texts.get("network", "not recorded")),
        ("numbers", f"{count:,}, half precision"),
        ("file", f"{file.stat().st_size / 1e6:.1f} MB, sha256 `{digest}`"),
        ("card", date.today().isoformat()),
    ]
    if "classes" in texts:
        rows.append(("classes", ", ".join(json.loads(texts["classes"]))))
    if calibration := json.loads(texts.get("calibration", "null")):
        told = f"{calibration['temperature']:.3f}, on {calibration['cases']} validation images"
        rows.append(("temperature of the votes", told))
    rows += [(name, json.dumps(settings[name])) for name in TOLD if name in settings]
    parts = [f"# {file.name}", _table(("", ""), rows)]
    notes = HERE / "notes" / f"{file.stem}.md"
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8").strip())
    parts += [*masks(figures, settings.get("train_sets", [])), *votes(figures)]
    return "\n\n".join(parts) + "\n"


def masks(figures: Path, train_sets: list[str]) -> list[str]:
    """What evaluate.py and shift.py of stage 1 measured, as Markdown; train_sets: those of the training."""
    rows = []
    for folder, name in GROUPS.items():
        if "montgomery" in train_sets and name == "Montgomery":
            name += " (80 % of it trained on)"
        if (figures / folder / "summary.csv").is_file():
            table = pd.read_csv(figures / folder / "summary.csv")
            rows += [
                (f"{name}, {row.group}", METRICS[row.metric], row.n, _interval(row.mean, row.low, row.high))
                for row in table.rename(columns={"mean": "mean_"}).assign(mean=table["mean"]).itertuples()
                if row.metric in METRICS
            ]
    parts = ["## Masks", _table(("set", "figure", "cases", "mean (95 % interval)"), rows)] if rows else []
    for folder in ("shift-jsrt", "shift-montgomery"):
        if (figures / folder / "shift_summary.csv").is_file():
            table = pd.read_csv(figures / folder / "shift_summary.csv")
            rows = [
                (
                    row.shift,
                    _interval(row.jaccard_lungs_union, row.low, row.high),
                    f"{row.worst_5_percent:.3f}",
                    f"{row.change:+.3f}",
                    f"{row.flagged:.2f}",
                )
                for row in table.itertuples()
            ]
            parts += [
                f"## Under the shift suite, {folder.split('-')[1]}, {table.n.iloc[0]} cases: lungs, union",
                _table(("shift", "Jaccard (95 % interval)", "worst 5 %", "change", "flagged"), rows),
            ]
    return parts


def votes(figures: Path) -> list[str]:
    """What inference.py and shift.py of stage 2 measured, as Markdown."""
    parts = []
    if (figures / "inference" / "metrics.json").is_file():
        scores = json.loads((figures / "inference" / "metrics.json").read_text())
        told = [
            (name, _interval(*(entry[key] for key in ("value", "low", "high"))))
            for name, entry in scores["overall"].items()
            if isinstance(entry, dict)
        ]
        told += [
            (
                f"sensitivity, {name} ({row['cases']} images, {row['patients']} patients)",
                _interval(*(row["sensitivity"][key] for key in ("value", "low", "high"))),
            )
            for name, row in scores["per_class"].items()
        ]
        parts += [
            f"## Votes of {_patches(figures / 'inference')}: {scores['cases']} images of {scores['patients']} patients",
            _table(("figure", "value (95 % interval over patients)"), told),
        ]
    if (figures / "shift" / "shift_summary.csv").is_file():
        table = pd.read_csv(figures / "shift" / "shift_summary.csv")
        rows = [
            (
                row.shift,
                _interval(row.consistency, row.low, row.high),
                f"{row.mean_change_of_p:+.3f}",
                f"{row.accuracy:.2f}",
            )
            for row in table.itertuples()
        ]
        parts += [
            f"## Under the shift suite, {table.n.iloc[0]} images, {_patches(figures / 'shift')}: whose class stays",
            _table(("shift", "consistency (95 % interval)", "mean change of p", "accuracy"), rows),
        ]
    return parts


def _size(held, key: str) -> int:
    size = 1
    for side in held.get_slice(key).get_shape():
        size *= side
    return size


def _patches(folder: Path) -> str:
    """How many patches voted, as the report.json of a run says."""
    return f"{json.loads((folder / 'report.json').read_text())['settings']['repeat']} patches"


def _interval(value, low, high) -> str:
    if value is None or pd.isna(value):
        return "undefined"
    return f"{value:.3f}" if low is None or pd.isna(low) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
