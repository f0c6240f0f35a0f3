"""Calibration errors: by definition, and against networks whose error is known."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from cxr.stats import calibration


def draw(cases, bend, rng, people=None):
    """(happened, probability, patient) of a network whose log odds are `bend` times too small, and the root of its mean
    squared error. With people, the cases of a patient happen together."""
    people = people or cases
    odds = rng.normal(1, 1.5, people)
    patient = np.arange(cases) % people
    probability, truth = (1 / (1 + np.exp(-odds * factor)) for factor in (1, bend))
    happened = (rng.random(people) < truth)[patient]
    return (happened, probability[patient], patient), np.sqrt(((truth - probability) ** 2).mean())


def test_bins_hold_equally_many_cases_as_in_scikit_learn():
    (happened, probability, patient), _ = draw(230, 2, np.random.default_rng(0))
    found = calibration.curve(happened, probability, patient)
    assert found["count"].tolist() == [23] * 10
    share, mean = calibration_curve(happened, probability, n_bins=10, strategy="quantile")
    assert found["share"] == pytest.approx(share) and found["probability"] == pytest.approx(mean)
    assert (found["low"] < share).all() and (share <= found["high"]).all()
    which = calibration.bins(probability, 230)
    assert calibration.error(happened - probability, which) == pytest.approx(abs(share - mean).mean())
    assert calibration.bins(probability[:35], 35).max() == 2 and set(calibration.bins(probability[:9], 9)) == {0}
    assert set(calibration.bins(np.full(100, 0.7), 100)) == {0}  # a tie is not divided


def test_the_error_of_a_calibrated_network_is_not_0_but_what_is_expected():
    rng = np.random.default_rng(1)
    errors = [calibration.measure(*draw(100, 1, rng)[0], 200, i) for i in range(60)]
    plain, unbiased, expected = (np.array([each[k] for each in errors]) for k in range(3))
    assert plain.mean() == pytest.approx(expected[:, 0].mean(), rel=0.1) and plain.mean() > 0.07
    assert ((expected[:, 1] < plain[:, 0]) & (plain[:, 0] < expected[:, 2])).mean() >= 0.9
    assert (unbiased[:, 1] == 0).mean() >= 0.9 and np.median(unbiased[:, 0]) < 0.5 * plain.mean()


@pytest.mark.parametrize("bend,people", [(0.3, None), (4, None), (4, 100)])
def test_without_its_bias_the_error_is_that_of_the_network(bend, people):
    rng, errors, covered = np.random.default_rng(2), [], 0
    for i in range(60):
        event, true = draw(200, bend, rng, people)
        _, (value, low, high), _ = calibration.measure(*event, 200, i)
        assert low <= value <= high
        errors.append(value**2 - true**2)
        covered += low <= true <= high
    # Within a bin the errors differ a little, which no bin can see
    assert abs(np.mean(errors)) < 0.15 * true**2
    assert covered >= 0.85 * 60


def test_one_patient_tells_nothing_and_portions_change_nothing(monkeypatch):
    event, _ = draw(50, 1, np.random.default_rng(3))
    alone = calibration.measure(*event[:2], 0 * event[2], 20, 0)
    assert np.isnan(alone[1]).all() and not np.isnan(alone[0]).any()
    whole = calibration.measure(*event, 100, 0)
    monkeypatch.setattr(calibration, "_AT_ONCE", 50 * 7)
    assert np.concatenate(calibration.measure(*event, 100, 0)) == pytest.approx(np.concatenate(whole))
