"""Classification metrics against scikit-learn, and the bootstrap over patients against resampling by hand."""

import json

import numpy as np
import pytest
from sklearn import metrics

from cxr.stats import scores

NAMES = ["normal", "bacterial", "viral"]


def cohort(n, seed=0, people=None):
    """Truth, prediction (mostly the most probable class, as a majority vote), probabilities with ties, patients."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    p = rng.integers(1, 10, (n, 3)).astype(float)
    p[np.arange(n), truth] += 5
    p /= p.sum(1, keepdims=True)
    predicted = np.where(rng.random(n) < 0.1, rng.integers(0, 3, n), p.argmax(1))
    return truth, predicted, p, rng.integers(0, people or n, n)


def oracle(truth, predicted, p):
    """{metric: value} of the whole and {(metric, class): value}, by scikit-learn and by definition."""
    precision, sensitivity, f1, _ = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    found = {"accuracy": metrics.accuracy_score(truth, predicted), "brier": ((p - np.eye(3)[truth]) ** 2).sum(1).mean()}
    each = {"precision": precision, "sensitivity": sensitivity, "f1": f1}
    each["specificity"] = [metrics.recall_score(truth != c, predicted != c) for c in range(3)]
    each["auroc"] = [metrics.roc_auc_score(truth == c, p[:, c]) for c in range(3)]
    found |= {name: np.mean(values) for name, values in each.items()}
    found |= {(name, c): values[c] for name, values in each.items() for c in range(3)}
    found["ece"] = calibration_error(p.max(1), p.argmax(1) == truth)
    for c in range(3):
        found["brier", c] = metrics.brier_score_loss(truth == c, p[:, c])
        found["ece", c] = calibration_error(p[:, c], truth == c)
    return found


def calibration_error(probability, happened):
    """By definition: the share of the cases in each of 15 bins times |share that happened - mean probability|."""
    error, edges = 0, np.append(np.arange(15) / 15, 2)  # a probability of 1 is in the last bin
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (probability >= low) & (probability < high)
        if inside.any():
            error += inside.mean() * abs(happened[inside].mean() - probability[inside].mean())
    return error


def entries(result):
    """The entries of a result by the keys of oracle()."""
    found = dict(result["overall"])
    for name, row in result["per_class"].items():
        found |= {(metric, NAMES.index(name)): row[metric] for metric in scores.PER_CLASS}
    return found


def test_values_and_intervals_are_those_of_resampling_by_hand():
    truth, predicted, p, patients = cohort(60, people=25)
    found = entries(scores.classification(truth, predicted, p, NAMES, patients, resamples=40, seed=3))
    codes, member = np.unique(patients, return_inverse=True)
    # Patients are numbered by their first case there, by their name here: the draws are matched by that.
    order = np.argsort([np.flatnonzero(member == code)[0] for code in range(len(codes))])
    drawn = np.random.default_rng(3).multinomial(len(codes), np.full(len(codes), 1 / len(codes)), 40)
    resampled = []
    for copies in drawn:
        rows = np.concatenate([np.flatnonzero(member == order[i]) for i in np.repeat(range(len(codes)), copies)])
        resampled.append(oracle(truth[rows], predicted[rows], p[rows]))
    for key, value in oracle(truth, predicted, p).items():
        low, high = np.percentile([one[key] for one in resampled], [2.5, 97.5])
        got = found[key]
        assert (got["value"], got["low"], got["high"]) == pytest.approx((value, low, high), abs=2e-6), key
        assert got["undefined"] == 0
    assert 0.5 < found["accuracy"]["value"] < 0.98  # else there would be little to compare


def test_cases_that_a_patient_repeats_narrow_nothing():
    truth, predicted, p, patients = cohort(40)
    once = scores.classification(truth, predicted, p, NAMES, patients, 300)
    many = [np.repeat(part, 5, axis=0) for part in (truth, predicted, p)]
    assert entries(scores.classification(*many, NAMES, np.repeat(patients, 5), 300)) == entries(once)
    alone = scores.classification(*many, NAMES, np.arange(200), 300)
    width = [one["overall"]["accuracy"]["high"] - one["overall"]["accuracy"]["low"] for one in (once, alone)]
    assert width[1] < 0.7 * width[0]


def test_portions_change_nothing(monkeypatch):
    arguments = (*cohort(50), NAMES)
    arguments = (*arguments[:3], NAMES, arguments[3], 100)
    whole = scores.classification(*arguments)
    monkeypatch.setattr(scores, "_AT_ONCE", 50 * 7)
    assert scores.classification(*arguments) == whole


def test_what_does_not_exist_is_left_out_and_counted():
    # One patient of class 1, never predicted; none of class 2.
    truth, predicted = np.array([0] * 9 + [1]), np.zeros(10, int)
    p = np.tile([0.8, 0.2, 0.0], (10, 1))
    result = scores.classification(truth, predicted, p, NAMES, [f"{i}" for i in range(10)], 500)
    assert list(result["per_class"]) == ["normal", "bacterial"]
    bacterial = result["per_class"]["bacterial"]
    lost = bacterial["sensitivity"]["undefined"]
    assert 0.2 * 500 < lost < 0.5 * 500  # 0.9 ** 10 = 0.35
    assert bacterial["sensitivity"] == {"value": 0, "low": 0, "high": 0, "undefined": lost}
    assert bacterial["precision"] == {"value": None, "low": None, "high": None, "undefined": 500}
    # The macro average counts that precision as 0, as scikit-learn does, and leaves out where the class is lost.
    assert result["overall"]["precision"]["value"] == pytest.approx(0.45)
    assert all(result["overall"][name]["undefined"] == lost for name in ("precision", "sensitivity", "f1", "auroc"))
    assert result["overall"]["accuracy"]["undefined"] == 0 and result["overall"]["auroc"]["value"] == 0.5
    assert result["confusion"] == [[9, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert "NaN" not in json.dumps(result)
    text = "\n".join(scores.lines(result))
    assert "undefined" in text and "accuracy 0.90" in text


def test_one_patient_or_one_class_has_no_interval():
    truth, predicted, p, _ = cohort(6)
    result = scores.classification(truth, predicted, p, NAMES, ["a"] * 6, 50)
    assert result["overall"]["accuracy"]["low"] is None and result["overall"]["accuracy"]["value"] is not None
    result = scores.classification([1, 1], [1, 0], [[0, 1, 0], [1, 0, 0]], NAMES, ["a", "b"], 50)
    assert result["overall"]["auroc"]["value"] is None and result["overall"]["specificity"]["value"] is None
    assert result["overall"]["sensitivity"]["value"] == 0.5 and result["overall"]["brier"]["value"] == 1
    assert scores.lines(result)


def test_calibration():
    p = np.array([[0.95, 0.05, 0], [0.99, 0.01, 0], [0.4, 0.3, 0.3], [1, 0, 0]])
    count, top, right = scores.calibration([0, 1, 0, 0], p)
    assert count.tolist() == [0] * 6 + [1] + [0] * 7 + [3]
    assert top[14] == pytest.approx(0.98) and right[14] == pytest.approx(2 / 3) and np.isnan(top[0])


@pytest.mark.parametrize(
    "truth,predicted,p,people,told",
    [
        ([0], [0, 1], [[1, 0, 0]], [1], "give every case one of each"),
        ([], [], np.zeros((0, 3)), [], "one case at least"),
        ([0], [3], [[1, 0, 0]], [1], "from 0 to 2"),
        ([0], [0], [[0.5, 0, 0]], [1], "with the sum 1"),
        ([0], [0], [[np.nan, 0, 1]], [1], "with the sum 1"),
        ([0], [0], [[0.5, 0.5]], [1], "must be 3 numbers"),
    ],
)
def test_what_is_no_classification_is_refused(truth, predicted, p, people, told):
    with pytest.raises(ValueError, match=told):
        scores.classification(truth, predicted, p, NAMES, people)


def test_several_trainings_are_averaged_and_widen_the_interval():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 200)
    answers = [np.where(rng.random(200) < right, truth, 1 - truth) for right in (0.95, 0.75, 0.85)]
    p = np.eye(2)[np.concatenate(answers)]
    patients, networks = np.tile(np.arange(200), 3), np.repeat([407, 408, 409], 200)
    about = [np.tile(truth, 3), p.argmax(1), p, ["a", "b"], patients]
    one, both = scores.classification(*about), scores.classification(*about, networks=networks)
    each = [
        scores.classification(*(part[networks == n] for part in (*about[:3],)), ["a", "b"], range(200))
        for n in (407, 408, 409)
    ]
    for metric in ("accuracy", "f1", "auroc"):
        mean = np.mean([found["overall"][metric]["value"] for found in each])
        assert both["overall"][metric]["value"] == pytest.approx(mean, abs=1e-6)
        widths = [found["overall"][metric]["high"] - found["overall"][metric]["low"] for found in (one, both)]
        assert widths[1] > 1.5 * widths[0]
    assert both["cases"] == 600 and both["patients"] == 200
    same = scores.classification(truth, answers[0], np.eye(2)[answers[0]], ["a", "b"], range(200), networks=[5] * 200)
    assert same == each[0]  # one training is the bootstrap over patients
