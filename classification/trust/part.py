"""One part of the audit: a question, the values measured for it, and the sentence that they come to."""

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd


class Figure(NamedTuple):
    """One measured value with its 95 % interval over patients; None where a value or bound does not exist."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    cases: int
    patients: int
    note: str = ""


@dataclass
class Part:
    """What one question of the audit came to."""

    key: str  # its name in audit.json, as "outside"
    title: str  # the question
    means: str  # one sentence: what a bad value means
    figures: list[Figure]
    verdict: str  # one plain sentence, computed from the figures
    accused: bool | None  # True: evidence of a shortcut; False: none found; None: cannot be tested
    missing: str = ""  # what could not be tested, and which data would allow it
    table: pd.DataFrame | None = None  # written as audit_<key>.csv
