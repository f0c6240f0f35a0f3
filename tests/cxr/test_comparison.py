"""Tests between classes: the statistics against scipy and by hand, patients as the unit, sources told apart."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from cxr.figures import boxes
from cxr.stats import comparison

VALUES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)  # few values, so that many are tied
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
HOSTILE = ["$\\frac{", "<img src=x onerror=alert(1)>", "../../etc/passwd", 'a,"b"\n=1+1', "ß" * 200]


def table(**groups):
    """A row an image from {label: values}, every image a patient of its own."""
    rows = [
        {"label": name, "patient": f"{name}{i}", "source": "one", "marker": float(v)}
        for name, values in groups.items()
        for i, v in enumerate(values)
    ]
    return pd.DataFrame(rows)


@settings(PATIENT)
@given(VALUES, VALUES)
def test_cliffs_delta_is_its_definition_and_the_rank_biserial_correlation(a, b):
    delta = comparison.cliffs_delta(a, b)
    assert delta == pytest.approx(np.sign(np.subtract.outer(a, b)).mean())
    u = stats.mannwhitneyu(a, b, method="asymptotic").statistic
    assert delta == pytest.approx(2 * u / (len(a) * len(b)) - 1)
    assert comparison.cliffs_delta(b, a) == pytest.approx(-delta)


@settings(PATIENT, max_examples=20)
@given(VALUES, VALUES)
def test_an_interval_is_within_the_scale_and_turns_with_the_groups_left_alone(a, b):
    low, high = comparison.interval(a, b, repeats=50)
    assert -1 <= low <= high <= 1
    shifted = comparison.interval(np.array(a) * 2 + 7, np.array(b) * 2 + 7, repeats=50)
    assert shifted == (low, high)  # ranks only


def test_groups_that_do_not_overlap_are_not_certain_to_differ():
    """Of 5 pairs all are in order: P(a > b) may be as low as 0.025 ** (1 / 5)."""
    bound = 2 * 0.025 ** (1 / 5) - 1
    assert comparison.interval(np.arange(10, 15), np.arange(8)) == pytest.approx((bound, 1))
    assert comparison.interval(np.arange(8), np.arange(10, 15)) == pytest.approx((-1, -bound))


def test_the_interval_is_scipys_bootstrap_of_the_definition():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.6, 1, 40), rng.normal(0, 1, 30)
    low, high = comparison.interval(a, b, repeats=4000)

    def delta(a, b):
        return np.sign(np.subtract.outer(a, b)).mean()

    oracle = stats.bootstrap((a, b), delta, vectorized=False, n_resamples=2000, method="percentile", rng=0)
    assert low == pytest.approx(oracle.confidence_interval.low, abs=0.03)
    assert high == pytest.approx(oracle.confidence_interval.high, abs=0.03)
    assert low < delta(a, b) < high
    assert comparison.interval(a, b) == comparison.interval(a, b)
    assert comparison.interval(a, b, repeats=500, seed=1) != comparison.interval(a, b, repeats=500, seed=2)


def test_the_interval_does_not_depend_on_how_many_resamples_fit_into_memory(monkeypatch):
    a, b = np.arange(30.0), np.arange(20.0) + 9
    whole = comparison.interval(a, b, repeats=3000)
    monkeypatch.setattr(comparison, "_AT_ONCE", 1000)
    np.testing.assert_allclose(comparison.interval(a, b, repeats=3000), whole, atol=0.03)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    true = 2 * stats.norm.cdf(0.5 / math.sqrt(2)) - 1  # P(a > b) - P(a < b) of normal groups half an SD apart
    hits = 0
    for _ in range(200):
        low, high = comparison.interval(rng.normal(0.5, 1, 40), rng.normal(0, 1, 40), repeats=400)
        hits += low <= true <= high
    assert 0.89 <= hits / 200 <= 0.985


def test_holm_by_hand():
    np.testing.assert_allclose(comparison.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(comparison.holm([0.5, 0.9]), [1, 1])
    assert len(comparison.holm([])) == 0


def test_a_patient_is_one_value():
    images = pd.DataFrame(
        {
            "label": ["a", "a", "a", "b", "a", "a"],
            "patient": ["p", "p", "q", "p", "r", "r"],
            "marker": [1.0, 3.0, 5.0, 9.0, math.nan, 7.0],
        }
    )
    values = comparison.per_patient(images, "marker")
    assert sorted(values["a"]) == [2, 5, 7] and list(values["b"]) == [9]


def test_many_images_of_one_patient_make_no_evidence():
    few = table(a=[1, 2, 3, 4], b=[3, 4, 5, 6])
    many = pd.concat([few, *[few[few.patient == "a0"]] * 50], ignore_index=True)
    pd.testing.assert_frame_equal(
        comparison.compare(few, ["marker"], ["a", "b"]), comparison.compare(many, ["marker"], ["a", "b"])
    )


def test_the_tests_are_scipys_and_holm_runs_over_the_pairs_of_a_marker():
    rng = np.random.default_rng(3)
    groups = {name: rng.normal(shift, 1, 15) for name, shift in (("a", 0), ("b", 0.7), ("c", 1.5))}
    images = table(**groups).assign(other=rng.normal(size=45))
    rows = comparison.compare(images, ["marker", "other"], ["c", "a", "b"])
    assert list(rows.columns) == comparison.COLUMNS and len(rows) == 8 and set(rows.source) == {"all"}
    overall = rows[rows.test == comparison.KRUSKAL].set_index("marker")
    h, p = stats.kruskal(*groups.values())
    assert overall.statistic["marker"] == pytest.approx(h) and overall.p["marker"] == pytest.approx(p)
    assert overall.effect["marker"] == pytest.approx(h / 44) and overall.n_a["marker"] == 45
    np.testing.assert_allclose(overall.p_holm, comparison.holm(overall.p))
    pairs = rows[(rows.test == comparison.MANN_WHITNEY) & (rows.marker == "marker")]
    assert list(zip(pairs.class_a, pairs.class_b, strict=True)) == [("c", "a"), ("c", "b"), ("a", "b")]
    for row in pairs.itertuples():
        u, p = stats.mannwhitneyu(groups[row.class_a], groups[row.class_b])
        assert (row.statistic, row.p) == pytest.approx((u, p))
        assert row.effect == pytest.approx(2 * u / 225 - 1) and row.low <= row.effect <= row.high
        assert row.median_a == pytest.approx(np.median(groups[row.class_a])) and row.n_b == 15
    np.testing.assert_allclose(pairs.p_holm, comparison.holm(pairs.p))
    assert (pairs.effect > 0).tolist() == [True, True, False]  # c is greater than a and b, a less than b


def test_what_cannot_be_compared_is_left_out():
    images = table(a=[1, 2, 3, 4], b=[2, 3], c=[math.nan] * 5)
    rows = comparison.compare(images, ["marker"], ["a", "b", "c", "never seen"])
    assert rows.empty and list(rows.columns) == comparison.COLUMNS
    assert comparison.compare(images[:0], ["marker"], ["a"]).empty


def test_no_difference_at_all_has_p_1():
    rows = comparison.compare(table(a=[5] * 4, b=[5] * 4), ["marker"], ["a", "b"])
    assert rows.p.tolist() == [1, 1] and rows.effect.tolist() == [0, 0] and rows.low[1] == rows.high[1] == 0


def test_hospitals_that_differ_are_no_disease():
    """Two sources with other levels and other shares of the classes: the whole shows a difference, neither source."""
    rng = np.random.default_rng(5)
    parts = [
        (source, label, count, level)
        for source, level in (("X", 0), ("Y", 5))
        for label, count in (("ill", 40 if source == "Y" else 8), ("well", 8 if source == "Y" else 40))
    ]
    images = pd.DataFrame(
        [
            {"source": s, "label": n, "patient": f"{s}{n}{i}", "marker": rng.normal(level)}
            for s, n, count, level in parts
            for i in range(count)
        ]
    )
    only = pd.DataFrame([{"source": "Z", "label": "ill", "patient": f"Z{i}", "marker": 9.0} for i in range(9)])
    unknown = images.assign(source="")
    images = pd.concat([images, only], ignore_index=True)
    whole = comparison.compare(images, ["marker"], ["ill", "well"])
    assert (whole.p_holm < 1e-6).all()
    inside = comparison.within_sources(pd.concat([images, unknown]), ["marker"], ["ill", "well"])
    assert sorted(set(inside.source)) == ["X", "Y"] and (inside.p > 0.01).all()
    assert comparison.within_sources(unknown, ["marker"], ["ill", "well"]).empty


def test_names_are_data(tmp_path):
    """Class names that are markup, paths, formulas or very long come through tables and figures."""
    rng = np.random.default_rng(0)
    groups = {name: rng.normal(i, 1, 6) for i, name in enumerate(HOSTILE)}
    rows = comparison.compare(table(**groups), ["marker"], HOSTILE)
    rows.to_csv(tmp_path / "comparisons.csv", index=False)
    again = pd.read_csv(tmp_path / "comparisons.csv")
    assert set(again.class_a.dropna()) | set(again.class_b.dropna()) == set(HOSTILE)
    boxes.draw(
        [("Lung $area", "p < 0.001", groups), ("empty", "", {HOSTILE[0]: [math.nan]})],
        HOSTILE,
        tmp_path / "boxes.png",
        "Within $\\alpha <b>",
    )
    assert Image.open(tmp_path / "boxes.png").size[0] > 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boxes.png", "comparisons.csv"]


def test_a_class_keeps_its_colour_and_nothing_is_no_figure(tmp_path):
    groups = {"a": [1.0, 2, 3], "b": [2.0, 3, 4]}
    for name, values in (("both", groups), ("one", {"b": groups["b"]})):
        boxes.draw([("m", "", values)], ["a", "b"], tmp_path / f"{name}.png", "t")
    orange = np.array([0xE6, 0x9F, 0x00])
    blue = np.array([0x00, 0x72, 0xB2])
    both, one = (np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int) for name in ("both.png", "one.png"))

    def share(picture, colour):  # of the pixels with the hue of a box's quarter-strength colour
        light = 255 - (255 - colour) * 0.25
        return (np.abs(picture - light).max(-1) < 6).mean()

    assert share(both, orange) > 0.01 and share(both, blue) > 0.01
    assert share(one, orange) > 0.01 and share(one, blue) < 0.001
    with pytest.raises(ValueError, match="nothing to draw"):
        boxes.draw([], ["a"], tmp_path / "none.png", "t")
