"""compare.py of stage 2: known differences are found, chance is not taken for one, and other cases are refused."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from classification.runs import comparing
from cxr.errors import BadData
from cxr.run import runreport
from cxr.stats import scores

NAMES = ["normal", "bacterial", "viral"]


def table(skill, noise=0, cases=120, people=60, seed=None):
    """Rows of predictions.csv: the share `skill` of the cases is right, which ones depends on `noise`."""
    truth = np.arange(cases) % 3
    rng = np.random.default_rng([1, noise])
    predicted = np.where(rng.random(cases) < skill, truth, (truth + 1) % 3)
    p = np.full((cases, 3), 0.15)
    p[np.arange(cases), predicted] = 0.7
    rows = pd.DataFrame({"case": [f"c{i:03}" for i in range(cases)], "folder": [f"f{i}" for i in truth]})
    rows = rows.assign(label=np.array(NAMES)[truth], patient=[f"p{i % people}" for i in range(cases)], status="ok")
    rows = rows.assign(reason="", predicted=np.array(NAMES)[predicted])
    for c, name in enumerate(NAMES):
        rows[f"p_{name}"] = p[:, c]
    return rows if seed is None else rows.assign(fold=1, seed=seed)


def save(rows, folder):
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "predictions.csv", index=False)
    return comparing.read(folder)


def both(tmp_path, first, second, common=False):
    return comparing.pair(save(first, tmp_path / "a"), save(second, tmp_path / "b"), common)[:2]


def test_a_known_difference_is_found(tmp_path):
    a, b = both(tmp_path, table(0.6), table(0.9, noise=1).sample(frac=1, random_state=0))
    found, tests = comparing.differences(a, b, 400).set_index("label"), comparing.tests(a, b)
    right = [(run.rows.predicted == run.rows.label).to_numpy() for run in (a, b)]
    row = found.loc["accuracy"]
    assert (row.a, row.b) == (right[0].mean(), right[1].mean()) and row.difference == pytest.approx(row.b - row.a)
    assert 0 < row.low < row.difference < row.high and found.loc["macro F1"].low > 0
    assert found.loc["Brier score (less is better)"].high < 0 and len(found) == 7
    assert tests["cases"]["better_b"] == (right[1] & ~right[0]).sum() and tests["patients"]["p"] < 0.001
    one = scores.classification(*arguments(b), 10)["per_class"]["viral"]["sensitivity"]["value"]
    assert found.loc["sensitivity, viral"].b == pytest.approx(one, abs=1e-6)


def arguments(held):
    index = {name: i for i, name in enumerate(NAMES)}
    truth, predicted = (held.rows[column].map(index) for column in ("label", "predicted"))
    return truth, predicted, held.rows[[f"p_{name}" for name in NAMES]].to_numpy(), NAMES, held.rows.patient


def test_the_same_run_differs_by_0(tmp_path):
    a, b = both(tmp_path, table(0.8), table(0.8))
    found, tests = comparing.differences(a, b, 100), comparing.tests(a, b)
    assert (found.difference == 0).all()
    assert tests == {unit: {"better_a": 0, "better_b": 0, "p": 1.0} for unit in ("cases", "patients")}
    # A share that nobody shows may still be there
    shares = found[found.metric.isin(["accuracy", "sensitivity"])]
    assert (shares.low == -shares.high).all() and shares.high.between(0.01, 0.15).all()
    assert found[~found.index.isin(shares.index)].low.isna().all()


def test_noise_is_not_taken_for_a_difference(tmp_path):
    """Runs of the same skill, of which the second is claimed to be better: a test may say so of one in 20."""
    a = comparing.read(save(table(0.8), tmp_path / "a").place)
    wrong = 0
    for noise in range(1, 17):
        _, b, _ = comparing.pair(a, save(table(0.8, noise), tmp_path / "b"), False)
        row, tests = comparing.differences(a, b, 200).iloc[0], comparing.tests(a, b)
        wrong += (row.low > 0 or row.high < 0) and tests["patients"]["p"] < 0.05
    assert wrong <= 2


def test_the_cases_of_a_patient_are_no_independent_evidence(tmp_path):
    """B is better in all of 30 cases, which are of 3 patients."""
    first, second = table(0, people=12), table(0, people=12)
    mine = second.patient.isin(["p0", "p1", "p2"])
    second.loc[mine, "predicted"] = second.label[mine]
    a, b = both(tmp_path, first, second)
    tests = comparing.tests(a, b)
    assert tests["cases"]["p"] < 1e-6 and tests["patients"] == {"better_a": 0, "better_b": 3, "p": 0.25}


def test_seeds_count_by_the_mean_of_their_metrics(tmp_path):
    seeds = [table(skill, noise, seed=noise) for noise, skill in enumerate((0.7, 0.8, 0.9))]
    a, b = both(tmp_path, table(0.6), pd.concat(seeds))
    found = comparing.differences(a, b, 50).iloc[0]
    assert found.b == pytest.approx(np.mean([(rows.predicted == rows.label).mean() for rows in seeds]))
    assert found.low < 0.7 - found.a and 0.9 - found.a < found.high + 0.05  # it is over seeds too
    a, b = both(tmp_path, pd.concat(seeds), pd.concat(seeds[::-1]))
    assert (comparing.differences(a, b, 50).difference == 0).all()
    with pytest.raises(BadData, match="finish the runs of all seeds"):
        save(pd.concat([seeds[0], seeds[1][:50]]), tmp_path / "c")


def test_other_cases_classes_and_labels_are_refused_by_name(tmp_path):
    with pytest.raises(BadData, match="b lacks 7: f0/c000, f0/c003, f0/c006, f1/c001, f1/c004 .... Predict"):
        both(tmp_path, table(0.6), table(0.6)[7:])
    a, b = both(tmp_path, table(0.6), table(0.9)[7:], common=True)
    assert len(a.rows) == len(b.rows) == 113 and len(comparing.differences(a, b, 20)) == 7
    with pytest.raises(BadData, match="no case in common"):
        both(tmp_path, table(0.6)[:50], table(0.6)[50:], common=True)
    with pytest.raises(BadData, match="b knows normal, bacterial, other"):
        renamed = table(0.6).rename(columns={"p_viral": "p_other"}).replace("viral", "other")
        both(tmp_path, table(0.6), renamed)
    with pytest.raises(BadData, match="label of 1 cases: f0/c000"):
        relabelled = table(0.6)
        relabelled.loc[0, "label"] = "viral"
        both(tmp_path, table(0.6), relabelled)
    with pytest.raises(BadData, match="there is no .*predictions.csv; make it"):
        comparing.read(tmp_path / "nothing")
    with pytest.raises(BadData, match="a case twice"):
        save(pd.concat([table(0.6)] * 2), tmp_path / "d")
    for column, value, told in (("p_viral", np.nan, "lacks a probability of f2/c002"), ("status", "okk", "status okk")):
        damaged = table(0.6)
        damaged.loc[2, column] = value
        with pytest.raises(BadData, match=told):
            save(damaged, tmp_path / "e")


def test_script(tmp_path, call):
    save(table(0.6), tmp_path / "a")
    save(table(0.62, noise=3), tmp_path / "b")
    (tmp_path / "b" / "report.json").write_text(json.dumps({"weights": {"file": "best.pt", "sha256": "12"}}))
    done = call("classification/compare.py", tmp_path / "a", tmp_path / "b" / "predictions.csv")
    assert done.code == 0 and "do not show which run is more accurate" in done.out
    output = tmp_path / "b" / "compare"
    rows = pd.read_csv(output / "compare.csv")
    assert rows.columns.tolist() == ["metric", "class", "a", "b", "difference", "low", "high"]
    told = json.loads((output / "compare.json").read_text())
    assert (told["a"]["weights"], told["b"]["weights"]["sha256"]) == (None, "12")
    assert told["cases"] == 120 and told["patients"] == 60 and 0.05 < told["mcnemar"]["patients"]["p"] <= 1
    assert cv2.imread(str(output / "compare.png")).std() > 10
    save(table(0.6)[:-1], tmp_path / "b")
    done = call("classification/compare.py", tmp_path / "a", tmp_path / "b")
    assert done.code == 1 and "lacks 1: f2/c119" in done.err


def test_cases_trained_on_are_told_and_the_others_measured_apart(tmp_path, call):
    save(table(0.6).assign(trained_on=["train"] * 20 + ["val"] * 10 + [""] * 90), tmp_path / "a")
    save(table(0.9, noise=1).assign(trained_on=""), tmp_path / "b")
    done = call("classification/compare.py", tmp_path / "a", tmp_path / "b")
    assert f"Note: 30 of 120 cases were trained on by the network of {tmp_path / 'a'}: results" in done.out, done.err
    told = json.loads((tmp_path / "b" / "compare" / "compare.json").read_text())
    assert (told["a"]["trained_on"], told["b"]["trained_on"]) == (30, 0)
    assert (told["cases"], told["not trained on"]["cases"]) == (120, 90)
    rest = pd.read_csv(tmp_path / "b" / "compare" / "compare_not_trained_on.csv")
    assert rest.a[0] == pytest.approx((table(0.6).predicted == table(0.6).label)[30:].mean())
    save(table(0.6).assign(trained_on="unknown"), tmp_path / "a")
    done = call("classification/compare.py", tmp_path / "a", tmp_path / "b")
    assert f"Note: the weights of {tmp_path / 'a'} do not tell which cases they were trained on" in done.out, done.err
    save(table(0.6).assign(trained_on=["train"] * 20 + ["unknown"] * 30 + [""] * 70), tmp_path / "a")
    done = call("classification/compare.py", tmp_path / "a", tmp_path / "b")
    assert "Note: 20 of 120 cases were trained on" in done.out and "do not tell which cases" in done.out
    assert json.loads((tmp_path / "b" / "compare" / "compare.json").read_text())["not trained on"]["cases"] == 70
    save(table(0.6), tmp_path / "a")  # of an older version, which did not tell
    done = call("classification/compare.py", tmp_path / "a", tmp_path / "b")
    assert "does not tell which cases" in done.out and len(list((tmp_path / "b" / "compare").glob("*.csv"))) == 1


def test_cases_predicted_from_other_pairs_are_told(tmp_path):
    a = save(table(0.6).assign(digest="x"), tmp_path / "a")
    b = save(table(0.9).assign(digest=["y", "y", ""] + ["x"] * 117), tmp_path / "b")
    assert "2 of 120 cases were predicted from other pairs" in comparing.pair(a, b, False)[2][-1]
    b = save(table(0.9), tmp_path / "b")
    assert not any("other pairs" in note for note in comparing.pair(a, b, False)[2])


def test_all_runs_of_a_folder(tmp_path, call):
    """Two runs, the better one a cross-validation whose own runs lie below it."""
    for name, skill, epochs in (("a", 0.6, 5), ("b", 0.9, 9), ("b/fold1-0", 0.9, 9)):
        held = save(table(skill, seed=0), tmp_path / name)
        checkpoint = tmp_path / "checkpoint" / name
        checkpoint.mkdir(parents=True)
        trained = {"epoch_max": epochs, "test_name": name, "seed": 4, "folds": epochs, "repeat_val": epochs}
        (checkpoint / "header.json").write_text(json.dumps(trained))
        (checkpoint / "best.pt").write_text(name)
        weights = runreport.about(checkpoint / "best.pt")
        settings = {"img_size": 10 * epochs, "epoch_max": 100, "test_name": name, "approach": "dense"}
        settings |= {"repeat": epochs, "num_patches": epochs, "seed": epochs}  # neither script has read these
        report = {"seconds": 12.5, "settings": settings, "weights": {"members": [weights]} if name == "b" else weights}
        (tmp_path / name / "report.json").write_text(json.dumps(report))
        (tmp_path / name / "metrics.json").write_text(json.dumps(scores.classification(*arguments(held), 20)))
    done = call("classification/compare.py", tmp_path)
    assert done.code == 0 and "different cases" not in done.out and "trained on" not in done.out
    rows = pd.read_csv(tmp_path / "runs.csv")
    assert rows.run.tolist() == ["b", "a"] and rows.seconds.tolist() == [12.5] * 2 and rows.seeds.tolist() == [1, 1]
    assert rows.columns[-2:].tolist() == ["img_size", "epoch_max"] and rows.epoch_max.tolist() == [9, 5]
    assert (rows.accuracy_low < rows.accuracy).all() and rows.cases.tolist() == [120] * 2
    told = json.loads((tmp_path / "a" / "metrics.json").read_text()) | {"trained_on": {"train": 3, "val": 1}}
    (tmp_path / "a" / "metrics.json").write_text(json.dumps(told))
    assert "Note: a: 4 of 120 measured cases were trained on" in call("classification/compare.py", tmp_path).out
    rows = pd.read_csv(tmp_path / "runs.csv")
    assert rows.trained_on.tolist() == [0, 4]
    (tmp_path / "a" / "metrics.json").write_text(json.dumps(told | {"trained_on": None}))
    assert "Note: a: the weights do not tell which cases" in call("classification/compare.py", tmp_path).out
    assert pd.read_csv(tmp_path / "runs.csv").trained_on.tolist() == ["0", "unknown"]
    (tmp_path / "a" / "metrics.json").write_text(json.dumps(told))
    (tmp_path / "checkpoint" / "a" / "best.pt").write_text("trained anew")
    assert (
        "Note: a: " in (done := call("classification/compare.py", tmp_path)).out and "other weights since" in done.out
    )
    assert pd.read_csv(tmp_path / "runs.csv").epoch_max.isna().tolist() == [False, True]
    (tmp_path / "checkpoint" / "a" / "best.pt").write_text("a")
    for odd, label in (("unlabelled", {"label": ""}), ("unmeasured", {})):
        (tmp_path / odd).mkdir()
        table(0.6).assign(**label).to_csv(tmp_path / odd / "predictions.csv", index=False)
    done = call("classification/compare.py", tmp_path)
    assert done.code == 0 and pd.read_csv(tmp_path / "runs.csv").equals(rows), done.err
    assert "Note: unlabelled is left out: " in done.out and "unmeasured has no metrics.json" in done.out
    assert "no run that can be measured: ." in call("classification/compare.py", tmp_path / "unlabelled").err
    save(table(0.6)[:60], tmp_path / "a")
    assert "different cases" in call("classification/compare.py", tmp_path).out
    assert "no predictions.csv" in call("classification/compare.py", tmp_path / "checkpoint").err


def test_a_case_that_one_seed_refuses_counts_for_none(tmp_path):
    seeds = [table(0.8, noise, seed=noise) for noise in range(2)]
    for i, rows in enumerate(seeds):
        rows.loc[i, ["status", "predicted"]] = "refused", ""
    with pytest.raises(BadData, match=r"b refused 2 cases that .*a answered \(f0/c000, f1/c001\); leave them out"):
        both(tmp_path, table(0.6), pd.concat(seeds))
    a, b, notes = comparing.pair(comparing.read(tmp_path / "a"), comparing.read(tmp_path / "b"), True)
    assert notes[1].endswith("answered (f0/c000, f1/c001): they are left out")
    assert len(a.rows) == 118 and len(b.rows) == 236 and not {"c000", "c001"} & {*b.rows.case}
    with pytest.raises(BadData, match="finish the runs of all seeds"):
        save(pd.concat([seeds[0], seeds[1][1:]]), tmp_path / "c")
