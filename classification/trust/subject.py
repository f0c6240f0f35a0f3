"""What the audit examines: the cases of a run, what is known of their radiographs, its predictions, its network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from classification.cases.finder import Case

FACTS = ("source", "view", "sex", "age", "width", "height", "bytes", "file")  # columns of Subject.facts


@dataclass
class Subject:
    """The cases of one audit, each with a label; every array and table has a row a case, in their order."""

    settings: Any  # of config.load()
    cases: list[Case]
    names: list[str]  # of the classes
    label: np.ndarray  # (n,) int, indices into names
    patient: np.ndarray  # (n,) str
    facts: pd.DataFrame  # FACTS: text, "" where unknown; age, width, height, bytes are numbers, NaN where unknown
    predictions: pd.DataFrame | None  # predicted, p_<class>, fold where known; several seeds averaged
    model: torch.nn.Module | None  # in evaluation mode
    device: torch.device
    seed: int
