"""compare.py of stage 1: paired differences of masks, their test, and what is refused."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segmentation import compare


def table(shift=0.0, noise=0, cases=30):
    rng = np.random.default_rng([2, noise])
    hard = np.random.default_rng(0).normal(0.9, 0.03, cases)
    lungs = hard + shift + rng.normal(0, 0.005, cases)
    rows = pd.DataFrame({"case": [f"c{i:02}" for i in range(cases)], "trained_on": [""] * (cases - 1) + ["val"]})
    rows = rows.assign(jaccard_heart=lungs - 0.05, jaccard_lungs_union=lungs, hausdorff_heart=40 * (1 - lungs))
    return rows.assign(hausdorff_heart_mm=7 * (1 - lungs), flagged=0.0)


def save(rows, folder):
    folder.mkdir(exist_ok=True)
    rows.to_csv(folder / "metrics.csv", index=False)
    return folder


def test_script(tmp_path, call):
    a, b = save(table(), tmp_path / "a"), save(table(0.01, 1).sample(frac=1, random_state=0), tmp_path / "b")
    (b / "report.json").write_text(json.dumps({"weights": {"file": "lungs.pt", "sha256": "12"}}))
    done = call("segmentation/compare.py", a, b / "metrics.csv")
    assert done.code == 0 and done.out.count("trained on or chosen by 1 of these") == 2
    rows = pd.read_csv(b / "compare" / "compare.csv").set_index("metric")
    row = rows.loc["jaccard_lungs_union"]
    gap = table(0.01, 1).jaccard_lungs_union - table().jaccard_lungs_union
    assert row.difference == pytest.approx(gap.mean()) and row.p == pytest.approx(stats.wilcoxon(gap).pvalue)
    # 30 cases that vary by 0.03 hide this difference, and pairs show it
    assert 0 < row.low < 0.01 < row.high and row.p < 0.001 and row.b - row.a == pytest.approx(row.difference)
    assert rows.loc["hausdorff_heart"].high < 0 and rows.loc["flagged"].p == 1
    assert cv2.imread(str(b / "compare" / "compare.png")).std() > 10
    told = json.loads((b / "compare" / "compare.json").read_text())
    assert (told["cases"], told["b"]["weights"]["sha256"], told["a"]["weights"]) == (30, "12", None)
    rest = pd.read_csv(b / "compare" / "compare_not_trained_on.csv")  # all but the last, by which they were chosen
    assert told["a"]["trained_on"] == 1 and rest.difference[1] == pytest.approx(gap[:-1].mean())
    save(table().assign(trained_on="unknown"), a)
    assert "do not tell which cases they were trained on" in call("segmentation/compare.py", a, b).out
    save(table()[2:], tmp_path / "b")
    refused = call("segmentation/compare.py", a, b)
    assert refused.code == 1 and "lacks 2: c00, c01" in refused.err
    assert "28 cases" in call("segmentation/compare.py", a, b, "--common").out


def test_the_same_masks_differ_by_0():
    rows = table().set_index("case")
    found = compare.differences(rows, rows)
    assert (found.difference == 0).all() and (found.p == 1).all()
    # Nothing tells how large a difference of the masks could be; of a share it is known
    assert found[found.metric != "flagged"].low.isna().all() and 0.05 < found.high.iloc[-1] < 0.15


def test_noise_is_not_taken_for_a_difference():
    first = table().set_index("case")
    found = [compare.differences(first, table(0, noise).set_index("case")).iloc[0] for noise in range(1, 17)]
    assert sum(row.p < 0.05 for row in found) <= 2 and sum(not row.low < 0 < row.high for row in found) <= 2


def test_patients_are_the_units_where_they_are_known():
    a, b = table().set_index("case"), table(0, 1).set_index("case")
    patient = [f"p{i % 3}" for i in range(30)]
    b["jaccard_heart"] = a.jaccard_heart + np.arange(30) % 3 * 0.01 - 0.004
    found = compare.differences(a.assign(patient=patient), b).set_index("metric").loc["jaccard_heart"]
    assert found.patients == 3 and found.p == 0.5 and found.low < 0
    assert compare.differences(a, b).iloc[0].low > 0
