"""Pictures: files that open, shapes, colours where they belong, and inputs that must not break them."""

import subprocess
import sys

import cv2
import pytest
from conftest import ROOT

from cxr.figures import plots

SHOWN = {"val_jaccard_heart": "heart", "val_jaccard_lungs_mean": "$ <b>"}


def log_rows(n):
    return [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "val_loss": 1.2 / e,
            "learning_rate": 1e-4 * e,
            "seconds": 3.5,
            "note": "text",
        }
        | {"val_jaccard_heart": 1 - 1 / e, "val_jaccard_lungs_mean": 1 - 0.5 / e}
        for e in range(1, n + 1)
    ]


def read(path):
    picture = cv2.imread(str(path))
    assert picture is not None and picture.std() > 5  # it opens, and something is drawn
    return picture


@pytest.mark.parametrize(
    "log",
    [
        log_rows(40),
        log_rows(1),
        [{"epoch": 0}],
        [{"epoch": 1, "train_loss": 0.5, "val_loss": None}, {"epoch": 2, "train_loss": float("nan"), "val_loss": 0.4}],
        [{"epoch": 3, "train_loss": 0.0, "val_loss": -1.0, "val_jaccard_heart": 0.3}],
    ],
)
def test_learning_curves(tmp_path, log):
    plots.learning_curves(log, tmp_path / "curves.png", SHOWN, "Jaccard $")
    assert read(tmp_path / "curves.png").shape[1] == 1500


def test_learning_curves_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="no epoch"):
        plots.learning_curves([], tmp_path / "curves.png", SHOWN, "Jaccard")


def test_pyplot_stays_unloaded():
    code = "import sys; from cxr.figures import plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
