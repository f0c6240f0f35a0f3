"""Classification metrics against scikit-learn, and the bootstrap over patients against resampling by hand."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from cxr.stats import bootstrap, proportion, resampled, scores

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
    for c in range(3):
        found["brier", c] = metrics.brier_score_loss(truth == c, p[:, c])
    return found


def bounds(entry):
    return entry["low"], entry["high"]


def entries(result):
    """The entries of a result by the keys of oracle()."""
    found = dict(result["overall"])
    for name, row in result["per_class"].items():
        found |= {(metric, NAMES.index(name)): row[metric] for metric in scores.PER_CLASS}
    return found


def test_values_and_intervals_are_those_of_resampling_by_hand():
    truth, predicted, p, patients = cohort(60, people=25)
    found = entries(scores.classification(truth, predicted, p, NAMES, patients, resamples=40, seed=3))
    assert 0.5 < found["accuracy"]["value"] < 0.98  # else there would be little to compare
    codes, member = np.unique(patients, return_inverse=True)
    # Patients are numbered by their first case there, by their name here: the draws are matched by that.
    order = np.argsort([np.flatnonzero(member == code)[0] for code in range(len(codes))])
    drawn = np.random.default_rng(3).multinomial(len(codes), np.full(len(codes), 1 / len(codes)), 40)
    resampled = []
    for copies in drawn:
        rows = np.concatenate([np.flatnonzero(member == order[i]) for i in np.repeat(range(len(codes)), copies)])
        resampled.append(oracle(truth[rows], predicted[rows], p[rows]))
    less = [oracle(*(part[member != i] for part in (truth, predicted, p))) for i in range(len(codes))]
    for key, value in oracle(truth, predicted, p).items():
        draws, left = (np.array([one[key] for one in many]) for many in (resampled, less))
        low, high = bootstrap.corrected(value, draws, left)
        got = found[key]
        assert got["undefined"] == 0
        assert got["value"] == pytest.approx(value, abs=2e-6), key
        if key == "accuracy" or (
            isinstance(key, tuple) and key[0] in ("precision", "sensitivity", "specificity", "f1")
        ):
            assert got["low"] < value < got["high"] and got["high"] - got["low"] > 0.8 * (high - low), key  # exact
        else:
            assert (got["low"], got["high"]) == pytest.approx((low, high), abs=2e-6), key


def test_proportions_have_the_exact_interval_of_patients():
    truth, predicted, p, patients = cohort(60, people=25)
    found = entries(scores.classification(truth, predicted, p, NAMES, patients, resamples=40))
    assert bounds(found["accuracy"]) == pytest.approx(proportion.of_cases(truth == predicted, patients), abs=1e-6)
    for c in range(3):
        said, true = predicted == c, truth == c
        for metric, hit, among in (
            ("sensitivity", said, true),
            ("precision", true, said),
            ("specificity", ~said, ~true),
        ):
            assert bounds(found[metric, c]) == pytest.approx(proportion.of_cases(hit[among], patients[among]), abs=1e-6)
        either = said | true
        low, high = proportion.of_cases((said & true)[either], patients[either])
        assert bounds(found["f1", c]) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)), abs=1e-6)


def test_nothing_is_certain_where_all_cases_are_right():
    """12, 20 and 30 patients, two cases each, without a fault: no interval is a point, and each is of its patients."""
    truth = np.repeat(np.repeat([0, 1, 2], [12, 20, 30]), 2)
    p = np.full((len(truth), 3), 0.1)
    p[np.arange(len(truth)), truth] = 0.8
    found = entries(scores.classification(truth, truth, p, NAMES, np.repeat(np.arange(62), 2), resamples=20))
    low = {n: proportion.interval(n, n)[0] for n in (12, 20, 30, 32, 42, 50, 62)}
    assert low[12] == pytest.approx(0.7354, abs=1e-4) and found["accuracy"]["low"] == pytest.approx(low[62], abs=1e-6)
    for c, n, rest in ((0, 12, 50), (1, 20, 42), (2, 30, 32)):
        assert found["sensitivity", c]["low"] == found["precision", c]["low"] == pytest.approx(low[n], abs=1e-6)
        assert found["specificity", c]["low"] == pytest.approx(low[rest], abs=1e-6)
        assert found["auroc", c]["low"] == pytest.approx(low[n], abs=1e-6)
        assert found["f1", c]["low"] == pytest.approx(2 * low[n] / (1 + low[n]), abs=1e-6)
    for metric in ("sensitivity", "precision", "f1", "auroc"):
        assert bounds(found[metric]) == pytest.approx((low[12], 1), abs=1e-6)
    assert found["specificity"]["low"] == pytest.approx(low[32], abs=1e-6)


@pytest.mark.parametrize("true", [0.95, 0.7])
def test_intervals_of_a_dozen_patients_cover_the_truth(true):
    """Sensitivity of a class with 12 patients: the bootstrap's covers it in 45 % of the cases at 0.95."""
    truth, p = np.repeat([0, 1], 12), np.tile([0.5, 0.5], (24, 1))
    weight = stats.binom.pmf(np.arange(13), 12, true)
    covered = 0
    for hits in range(13):
        predicted = np.r_[np.arange(12) >= hits, np.ones(12, bool)].astype(int)
        row = scores.classification(truth, predicted, p, NAMES[:2], np.arange(24), 2)["per_class"]["normal"]
        covered += weight[hits] * (row["sensitivity"]["low"] <= true <= row["sensitivity"]["high"])
    assert covered >= 0.95


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
    monkeypatch.setattr(resampled, "_AT_ONCE", 50 * 7)
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
    assert bacterial["sensitivity"] == {"value": 0, "low": 0, "high": 0.975, "undefined": lost}  # of one patient
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
