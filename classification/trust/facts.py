"""What is known of each radiograph besides its pixels: its file, its size, and what the table of patients tells."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from classification.cases.finder import Case
from classification.splitting import known, survey
from cxr import cohort

COLUMNS = ("source", "view", "sex", "age", "width", "height", "bytes", "file")  # text, "" where unknown; of these
NUMBERS = ("age", "width", "height", "bytes")  # numbers, NaN where unknown


def read(
    cases: Sequence[Case], people: Sequence, inputs: Sequence, masks: Path | str | None, settings
) -> tuple[pd.DataFrame, list[str]]:
    """COLUMNS of each case in order, and notes for the user.

    people: (patient, source) of each case; masks: the masks.csv that tells file and size, None to look for it near
    inputs. view is AP, PA ..., without the patient's position; width and height in pixels; file "" where it is gone.
    """
    keys, notes = [(case.folder, case.case) for case in cases], []
    try:
        radiographs = known.radiographs(cases, Path(masks or known.one_masks_table(inputs, settings)), settings)
    except ValueError as error:
        radiographs = {}
        notes.append(f"the original radiographs are unknown: {str(error).rstrip('.')}")
    told = [radiographs.get(key, {}) for key in keys]
    rows = _rows(cases, settings)
    about = pd.DataFrame({name: [row.get(name, "") for row in rows] for name in ("source", "sex", "age")})
    about["source"] = [source or told for (_, source), told in zip(people, about.source, strict=True)]
    views = [one.get("view") or row.get("view", "") for one, row in zip(told, rows, strict=True)]
    about["view"] = [view.split()[0] if view.split() else "" for view in views]
    about["file"] = [one["file"] if one and Path(one["file"]).is_file() else "" for one in told]
    about["bytes"] = [Path(file).stat().st_size if file else None for file in about.file]
    about[["width", "height"]] = [[one.get("width"), one.get("height")] for one in told]
    about[[*NUMBERS]] = about[[*NUMBERS]].apply(pd.to_numeric, errors="coerce").astype(float)
    about = about[[*COLUMNS]]
    gone = int((about.file == "").sum())
    if gone and not notes:
        notes.append(f"{gone} of {len(cases)} radiographs are not where masks.csv says")
    return about, notes


def _rows(cases: Sequence[Case], settings) -> list[dict]:
    """The row of file_metadata that tells of each case, {} where none does."""
    try:
        table = cohort.read(settings.file_metadata)
    except FileNotFoundError:
        return [{}] * len(cases)
    found = survey.find_rows([case.folder for case in cases], [case.case for case in cases], table)
    rows = table.to_dict("records")
    return [{} if i is None else rows[i] for i in found]
