"""What was measured of weights, as tables of a model card: from the files that the stages' scripts wrote."""

from pathlib import Path

import pandas as pd

from cxr import tables

EVALUATION, ROBUSTNESS, SUBGROUPS, SOURCES, FAILURES = SECTIONS = (
    "Evaluation", "Robustness", "Subgroups", "Lungs or hospital", "Failures",
)  # fmt: skip
SETS = {"jsrt": "JSRT", "montgomery": "Montgomery"}
METRICS = {
    "jaccard_lungs_mean": "lungs, mean of left and right",
    "jaccard_lungs_union": "lungs, union",
    "jaccard_heart": "heart",
    "hausdorff95_lungs_union": "95 % Hausdorff of the lungs, pixels at 1024",
    "flagged": "share flagged",
}
PARTS_OF_SETS = ("authors' normals", "normal", "tuberculosis")  # groups of evaluate.py that are subgroups
VALUE = "value (95 % interval over patients)"


def sections(figures: Path | None, told: dict, sha256: str) -> dict[str, list[str]]:
    """The tables of each of SECTIONS, none where nothing was measured. figures: a folder with the folders that
    evaluate.py, inference.py, shift.py and audit.py wrote; told and sha256: of the weights file. Raises ValueError for
    figures of other weights."""
    found = {name: [] for name in SECTIONS}
    if figures is not None:
        check(figures, sha256)
        masks(figures, told.get("settings", {}).get("train_sets", []), found)
        with tables.used(figures / "inference" / "metrics.json"):
            votes(figures, found)
        with tables.used(figures / "audit" / "audit.json"):
            audit(figures, found)
    if calibration := told.get("calibration"):
        rows = [(name, _plain(value)) for name, value in calibration.items()]
        found[EVALUATION].append(titled("Calibration, as kept in the file", ("", ""), rows))
    return found


def check(figures: Path, sha256: str) -> None:
    """Raise ValueError unless the report.json of each folder tells of these weights."""
    for folder in sorted(path for path in figures.iterdir() if path.is_dir()):
        report = folder / "report.json"
        held = tables.json(report) if report.is_file() else {}
        with tables.used(report):
            known = (held.get("weights") or {}).get("sha256")
        if known != sha256:
            raise ValueError(f"{report} does not tell of these weights: measure them again, or move {folder} away.")


def masks(figures: Path, train_sets: list[str], found: dict[str, list[str]]) -> None:
    """Add what evaluate.py and shift.py of stage 1 measured; train_sets: those of the training."""
    rows = {EVALUATION: [], SUBGROUPS: []}
    for key, name in SETS.items():
        if (file := figures / f"evaluate-{key}" / "summary.csv").is_file():
            known = " (80 % of it trained on)" if key == "montgomery" and key in train_sets else ""
            for row in read(file, ("group", "metric"), "n", "mean", "low", "high"):
                if row["metric"] in METRICS:
                    cells = METRICS[row["metric"]], row["n"], interval(row["mean"], row["low"], row["high"])
                    section = SUBGROUPS if row["group"] in PARTS_OF_SETS else EVALUATION
                    rows[section].append((f"{name}{known}, {row['group']}", *cells))
        if (file := figures / f"evaluate-{key}" / "worst.csv").is_file():
            lowest = [
                (row["organ"], row["case"], f"{row['jaccard']:.3f}") for row in read(file, ("organ", "case"), "jaccard")
            ]
            found[FAILURES].append(titled(f"Lowest Jaccard index, {name}", ("organ", "case", "Jaccard"), lowest))
        title = f"Under the shift suite, {name}, {{}} cases: lungs, union"
        columns = {"worst 5 %": "{worst_5_percent:.3f}", "change": "{change:+.3f}", "flagged": "{flagged:.2f}"}
        found[ROBUSTNESS] += shifts(figures / f"shift-{key}", title, "jaccard_lungs_union", "Jaccard", "", columns)
    for section, cells in rows.items():
        if cells:
            found[section].append(table(("set", "figure", "cases", "mean (95 % interval over cases)"), cells))


def votes(figures: Path, found: dict[str, list[str]]) -> None:
    """Add what inference.py and shift.py of stage 2 measured."""
    if (file := figures / "inference" / "metrics.json").is_file():
        scores = tables.json(file)
        overall = [(name, _entry(entry)) for name, entry in scores["overall"].items() if isinstance(entry, dict)]
        title = f"{_patches(file.parent)} vote, {scores['cases']} images of {scores['patients']} patients"
        found[EVALUATION].append(titled(title, ("figure", VALUE), overall))
        classes = [
            (name, row["cases"], row["patients"], _entry(row["sensitivity"]))
            for name, row in scores["per_class"].items()
        ]
        found[SUBGROUPS].append(table(("class", "images", "patients", f"sensitivity, {VALUE}"), classes))
        if "confusion" in scores:
            rows = zip(scores["classes"], scores["confusion"], strict=True)
            head = ("truth, over predicted", *scores["classes"])
            found[FAILURES].append(titled("Confusion, images", head, [(name, *row) for name, row in rows]))
    folder = figures / "shift"
    columns = {"mean change of p": "{mean_change_of_p:+.3f}", "accuracy": "{accuracy:.2f}"}
    if folder.is_dir():
        title = f"Under the shift suite, {{}} images, {_patches(folder)}: whose class stays"
        found[ROBUSTNESS] += shifts(folder, title, "consistency", "consistency", " over patients", columns)


def shifts(folder: Path, title: str, figure: str, called: str, over: str, columns: dict[str, str]) -> list[str]:
    """The table of a shift_summary.csv, none where there is none: a row a shift, with its figure and more columns, each
    a format of the row's cells."""
    if not (file := folder / "shift_summary.csv").is_file():
        return []
    held = read(file, ("shift",), "n", figure, "low", "high")
    with tables.used(file):
        rows = [
            (
                row["shift"],
                interval(row[figure], row["low"], row["high"]),
                *(told.format(**row) for told in columns.values()),
            )
            for row in held
        ]
        return [titled(title.format(held[0]["n"]), ("shift", f"{called} (95 % interval{over})", *columns), rows)]


def read(file: Path, text: tuple[str, ...], *figures: str) -> list[dict]:
    """The rows of a table with some columns of text and some figures, by column; all others are figures, too. Raises
    BadData."""
    return tables.numbers(file, tables.read(file, [*text, *figures]), text).to_dict("records")


def audit(figures: Path, found: dict[str, list[str]]) -> None:
    """Add what audit.py found: of patients to the subgroups, the rest to whether the source tells the class."""
    if not (file := figures / "audit" / "audit.json").is_file():
        return
    for key, part in tables.json(file)["parts"].items():
        verdict = {True: "evidence of a shortcut", False: "none found", None: "not tested"}[part["accused"]]
        rows = [(one["name"], _entry(one), one["cases"], one["patients"]) for one in part["figures"]]
        text = f"**{part['title']}** {verdict}: {part['verdict']}"
        text += f" Not tested: {part['missing']}" if part.get("missing") else ""
        cells = table(("figure", VALUE, "images", "patients"), rows) if rows else ""
        found[SUBGROUPS if key == "patients" else SOURCES] += [text, *([cells] if cells else [])]


def titled(title: str, head: tuple, rows: list) -> str:
    """A table under a line that says what it is of."""
    return f"{title}:\n\n{table(head, rows)}"


def table(head: tuple, rows: list) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """A figure with its interval, as far as they exist."""
    if value is None or pd.isna(value):
        return "undefined"
    return f"{value:.3f}" if low is None or pd.isna(low) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _entry(held: dict) -> str:
    return interval(held["value"], held["low"], held["high"])


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _patches(folder: Path) -> str:
    """How many patches voted, as the report.json of a run says."""
    with tables.used(folder / "report.json"):
        return f"{tables.json(folder / 'report.json')['settings']['repeat']} patches"
