"""shift.py on the synthetic set: a row a case and shift, the clean row equal to evaluate.py's."""

import numpy as np
import pandas as pd
import pytest
from conftest import TINY

from cxr.errors import BadData
from segmentation import dataset, drawn_masks, shift

SHIFT = "segmentation/shift.py"


def test_the_synthetic_set(trained, radiographs, tmp_path, call):
    words = [*trained.words, "test_name=whole"]
    done = call(SHIFT, *words, "-o", tmp_path, "--shift", "JPEG 30", "rotation 10", "white-out 0.6")
    assert done.code == 0, done.err
    rows = pd.read_csv(tmp_path / "shift.csv")
    assert rows["shift"].value_counts().to_dict() == {"none": 3, "JPEG 30": 3, "rotation 10": 3, "white-out 0.6": 3}
    summary = pd.read_csv(tmp_path / "shift_summary.csv").set_index("shift")
    assert summary.loc["none", "change"] == 0 and summary.loc["none", "n"] == 3
    means = rows.groupby("shift").jaccard_lungs_union.mean()
    np.testing.assert_allclose(summary.jaccard_lungs_union, means[summary.index])
    np.testing.assert_allclose(summary.change, means[summary.index] - means["none"], atol=1e-9)
    assert (summary.worst_5_percent <= summary.jaccard_lungs_union).all()

    evaluated = call("segmentation/evaluate.py", *words, "-o", tmp_path / "plain")
    assert evaluated.code == 0, evaluated.err
    plain = pd.read_csv(tmp_path / "plain" / "metrics.csv").set_index("case")
    clean = rows[rows["shift"] == "none"].set_index("case")
    # evaluate.py compares on the masks' grid of 64 pixels, shift.py on the radiograph's of 128
    np.testing.assert_allclose(clean.jaccard_heart, plain.jaccard_heart[clean.index], atol=0.04)


def test_an_interrupted_run_goes_on(trained, radiographs, tmp_path, call, monkeypatch):
    """Interrupted twice, it measures no case twice and ends with the tables of a run through."""
    words = [SHIFT, *trained.words, "test_name=whole", "--shift", "JPEG 30"]
    measure, left = shift.measure, []

    def counting(case, **about):
        if not left.pop():
            raise KeyboardInterrupt
        return measure(case, **about)

    monkeypatch.setattr(shift, "measure", counting)
    for code, answers in ((130, [False, True]), (130, [False]), (0, [True, True])):
        left[:] = answers
        assert call(*words, "-o", tmp_path / "parts").code == code and not left
        assert (tmp_path / "parts" / "shift.csv").exists() == (code == 0)
    monkeypatch.undo()
    left[:] = [False, True]
    assert call(*words, "-o", tmp_path / "whole").code == 0
    names = ["shift.csv", "shift_summary.csv"]
    one, two = ([(tmp_path / place / name).read_bytes() for name in names] for place in ("parts", "whole"))
    assert one == two and not list((tmp_path / "parts").glob("unfinished*"))


def test_an_unknown_shift_is_named(radiographs, call):
    done = call(SHIFT, *TINY, f"dir_data_root={radiographs}", "--shift", "fog")
    assert done.code == 1 and "there is no shift 'fog'" in done.err


def test_lungs_without_sides_are_divided_by_their_middle(radiographs):
    truth = drawn_masks.truth(dataset.jsrt(radiographs)[0].masks)
    known = shift.label_map(truth, truth["lungs"].shape)
    guessed = shift.label_map({"lungs": truth["lungs"]}, truth["lungs"].shape)
    both = (known >= 2) & (guessed >= 2)
    assert (known[both] == guessed[both]).mean() > 0.97
    with pytest.raises(BadData, match="both lungs"):
        shift.label_map({"heart": truth["heart"]}, truth["lungs"].shape)
