"""Calibration: a known temperature is found again, sets hold the truth as often as they say, and it stays with the
weights on their whole way."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from killed_runs import load, same

from classification import header
from classification.model import weightfile
from classification.voting import calibration, predict, predictions, reliability
from cxr import writing
from cxr.run import caselist, engine
from cxr.settings import config
from cxr.stats import scores

NAMES = ["a", "b", "c"]


def simulate(temperature, patients, images=1, seed=1, classes=3):
    """Probabilities (n, classes) that are right after division of their logits by a temperature; truth; patients."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (patients * images, classes))
    right = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (right.cumsum(1) < rng.random((len(right), 1))).sum(1)
    said = np.exp(logits * temperature)
    return said / said.sum(1, keepdims=True), truth, np.repeat(np.arange(patients), images)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_a_known_temperature_is_found_and_undone(temperature):
    p, truth, patients = simulate(temperature, 4000)
    found = calibration.fit(p, truth, patients, NAMES)
    assert found["temperature"] == pytest.approx(temperature, rel=0.08)
    after = calibration.apply(p, found)
    assert (after.argmax(1) == p.argmax(1)).all() and np.allclose(after.sum(1), 1)
    np.testing.assert_allclose(calibration.undo(after, found), p, atol=1e-4)
    told = json.loads(json.dumps(found))
    assert told == found and found["cases"] == 4000


def test_validation_that_is_all_right_leaves_a_temperature_above_zero():
    found = calibration.fit(np.full((8, 2), [0.9, 0.1]), np.zeros(8, int), range(8), ["a", "b"])
    assert 0.2 < found["temperature"] < 1
    assert found["thresholds"] == {"a": 1.0, "b": 1.0} and found["patients"] == {"a": 8, "b": 0}
    with pytest.raises(ValueError, match="no cases with a label"):
        calibration.fit(np.zeros((0, 2)), [], [], ["a", "b"])


def test_the_images_of_a_patient_count_as_one_patient():
    p, truth, patients = simulate(0.6, 300)
    one = calibration.fit(p, truth, patients, NAMES)
    twice = [np.repeat(part, 3, axis=0) for part in (p, truth, patients)]
    assert calibration.fit(*twice, NAMES)["temperature"] == pytest.approx(one["temperature"], rel=1e-4)


def test_nine_patients_are_the_fewest_with_a_threshold():
    p = np.column_stack([np.linspace(0.3, 0.9, 9), 1 - np.linspace(0.3, 0.9, 9)])
    found = calibration.fit(p, np.zeros(9, int), range(9), ["a", "b"])
    lowest = calibration.apply(p, found)[0, 0]
    assert found["thresholds"]["a"] == pytest.approx(1 - lowest)
    assert calibration.fit(p[:8], np.zeros(8, int), range(8), ["a", "b"])["thresholds"]["a"] == 1


@pytest.mark.parametrize("images", [1, 4])
def test_sets_hold_nine_in_ten_of_each_class(images):
    """The mean over fits of so few patients: a single one may lie well beside it."""
    held = []
    for seed in range(60):
        p, truth, patients = simulate(0.7, 80, images, seed)
        found = calibration.fit(p, truth, patients, NAMES)
        p, truth, _ = simulate(0.7, 500, seed=1000 + seed)
        inside = calibration.sets(calibration.apply(p, found), found)
        held.append([inside[truth == c, c].mean() for c in range(3)])
    assert np.mean(held, 0) == pytest.approx(0.9, abs=0.03)


def test_the_tally_is_calibrated_with_its_error_and_keeps_its_winner():
    rng = np.random.default_rng(3)
    patches = rng.dirichlet([3, 2, 1], 400)
    found = {"temperature": 0.5, "thresholds": {"a": 0.4, "b": 0.9, "c": 0.1}}
    raw, told = predict.tally(patches), predict.tally(patches, calibrated=found)
    assert told["predicted"] == raw["predicted"] == 0 and (told["votes"] == raw["votes"]).all()
    np.testing.assert_allclose(told["p"], raw["p"] ** 2 / (raw["p"] ** 2).sum())
    assert told["set"].tolist() == [1 - told["p"][0] <= 0.4, True, False] and not raw["set"].any()
    drawn = [calibration.apply(patches[rng.integers(400, size=400)].mean(0), found)[0] for _ in range(2000)]
    assert told["standard_error"] == pytest.approx(np.std(drawn), rel=0.08)
    assert np.isnan(predict.tally(patches, by_chance=False, calibrated=found)["standard_error"])


def test_fewer_patches_than_it_was_fitted_with_stay_raw(classified):
    """At K = 1 its sets of 90 % would hold the truth of one case in two."""

    def kept(weights, *more):
        return calibration.kept(weights, config.load(header, list(more))[0])

    best = classified.run / "best.pt"
    assert kept(best, "repeat=9")[0]["repeat"] == 9
    none, notes = kept(best, "repeat=8")
    assert none is None and "by the vote of 9 patches, whose mean scatters less: p_<class> are" in notes[0]
    assert kept(weightfile.SHIPPED)[0] and kept(weightfile.SHIPPED, "repeat=99")[0] is None


def test_what_metrics_json_tells():
    p, truth, patients = simulate(0.5, 300)
    found = calibration.fit(p, truth, patients, NAMES)
    after = calibration.apply(p, found)
    columns = truth, after.argmax(1), after, NAMES, patients
    measured = scores.classification(*columns, resamples=5)
    told = reliability.calibrated(*columns, measured, found)
    assert told["after"]["brier"] == measured["overall"]["brier"]
    assert told["after"]["brier"]["value"] < told["before"]["brier"]["value"]
    assert "temperature 0.5" in reliability.told(told)
    assert sum(one["cases"] for one in told["before"]["reliability"]) == 300
    for name, one in told["coverage"].items():
        assert one["low"] < one["value"] < one["high"] and one["cases"] == (truth == NAMES.index(name)).sum()
    inside = calibration.sets(after, found)
    assert told["set_size"]["value"] == pytest.approx(inside.sum(1).mean(), abs=1e-6)
    assert told["empty_sets"] == (~inside.any(1)).sum()
    json.dumps(told, allow_nan=False)


def test_the_table_keeps_what_undoes_a_small_temperature():
    p, found = np.array([[0.7, 0.29, 0.01], [0.4, 0.35, 0.25]]), {"temperature": 0.1}
    written = [list(predictions.probabilities(NAMES, row).values()) for row in calibration.apply(p, found)]
    np.testing.assert_allclose(calibration.undo(np.array(written), found), p, rtol=1e-6)


def test_abstention_keeps_cases_of_one_entropy_together():
    entropy = np.array([0.0] * 6 + [0.5, 0.6, 0.7, 0.8])
    right = np.array([True] * 6 + [True, False, True, False])
    rows = reliability.abstention(right, entropy, np.arange(10))
    assert [row["kept"] for row in rows] == [0.6, 0.7, 0.8, 0.9, 1.0]
    assert [row["accuracy"]["cases"] for row in rows] == [6, 7, 8, 9, 10]
    assert rows[0]["accuracy"]["value"] == 1 and 0.5 < rows[0]["accuracy"]["low"] < 0.6  # Clopper-Pearson of 6 in 6
    assert rows[-1]["accuracy"]["value"] == 0.8


def test_a_training_ends_with_it_also_after_a_kill(classified, tmp_path, call):
    whole = load(classified.run / "best.pt")
    found = whole[calibration.KEY]
    assert found["cases"] == 8 and found["approach"] == "local" and set(found["thresholds"].values()) == {1.0}
    assert "Calibrated on 8 validation cases: temperature" in classified.done.stdout
    shutil.copytree(classified.run, tmp_path / "whole")
    engine.save({key: value for key, value in whole.items() if key != calibration.KEY}, tmp_path / "whole" / "best.pt")
    words = [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=whole", "file_metadata=nowhere.csv"]
    done = call("classification/train.py", *words)
    assert done.code == 0 and "is finished" in done.out and "counts as a patient of its own" in done.out, done.err
    assert same(load(tmp_path / "whole" / "best.pt"), whole)
    before = (tmp_path / "whole" / "best.pt").stat().st_mtime_ns
    assert "Calibrated" not in call("classification/train.py", *words).out
    assert (tmp_path / "whole" / "best.pt").stat().st_mtime_ns == before


def test_export_and_prediction_apply_it(classified, tmp_path, call):
    best, file = classified.run / "best.pt", tmp_path / "a.safetensors"
    assert call("weights/make_classification.py", "export", best, "-o", file).code == 0
    kept = weightfile.read(file)[2][calibration.KEY]
    assert kept == load(best)[calibration.KEY]
    words = [*classified.words, "-i", classified.split / "test", f"file_weights={best}"]
    done = call("classification/inference.py", *words, "-o", tmp_path / "on")
    assert "every set holds normal, bacterial, viral, with too few validation patients" in done.out, done.err
    done = call("classification/inference.py", *words, "-o", tmp_path / "off", "calibrate=False")
    assert done.code == 0 and "calibration" not in json.loads((tmp_path / "off" / "metrics.json").read_text())
    on, off = (pd.read_csv(tmp_path / name / "predictions.csv", keep_default_na=False) for name in ("on", "off"))
    columns = [name for name in on if name.startswith("p_")]
    np.testing.assert_allclose(on[columns], calibration.apply(off[columns].to_numpy(), kept), atol=2e-6)
    assert (on.predicted == off.predicted).all() and set(off["set"]) == {""}
    assert set(on["set"]) == {"normal|bacterial|viral"}
    told = json.loads((tmp_path / "on" / "metrics.json").read_text())
    raw = json.loads((tmp_path / "off" / "metrics.json").read_text())["overall"]
    assert told["calibration"]["temperature"] == kept["temperature"]
    assert told["calibration"]["before"]["brier"]["value"] == pytest.approx(raw["brier"]["value"], abs=1e-4)
    assert told["calibration"]["coverage"]["viral"]["value"] == 1 and told["abstention"][-1]["kept"] == 1
    done = call("classification/inference.py", *words, "-o", tmp_path / "on", "calibrate=False")
    assert done.code == 1 and "made with other calibrate" in done.err


def test_existing_weights_are_calibrated_by_cases_or_a_table(classified, tmp_path, call):
    script, words = "classification/calibrate.py", [*classified.words, f"file_weights={tmp_path / 'old.pt'}"]
    whole = load(classified.run / "best.pt")
    engine.save({key: value for key, value in whole.items() if key != calibration.KEY}, tmp_path / "old.pt")
    settings = config.load(header, [])[0]
    assert "keep no calibration: p_<class> are the raw means" in calibration.kept(tmp_path / "old.pt", settings)[1][0]
    done = call(script, *words, "-o", tmp_path / "new.pt")
    assert done.code == 0 and "Next: python classification/inference.py file_weights=" in done.out, done.err
    assert " refuse=0" in done.out and " img_size=96" in done.out
    assert same(load(tmp_path / "new.pt")[calibration.KEY], whole[calibration.KEY])
    both = f"file_weights={tmp_path / 'old.pt'},{tmp_path / 'new.pt'}"
    assert "2 networks keep no calibration together" in call(script, *classified.words, both).err
    assert "the weights that ship stay" in call(script, *classified.words, "test_name=none").err
    done = call(script, *words, "-i", classified.split / "train")
    assert done.code == 1 and "the weights were trained on 24 of the 24 cases" in done.err
    val = ["-i", classified.split / "val", "-o", tmp_path / "val"]
    assert call("classification/inference.py", *words, *val).code == 0
    table = tmp_path / "val" / "predictions.csv"
    done = call(script, *words, "--predictions", table)
    assert done.code == 0 and f"file_weights={tmp_path / 'old.pt'} dir_split=" in done.out, done.err
    found = load(tmp_path / "old.pt")[calibration.KEY]
    assert found["temperature"] == pytest.approx(whole[calibration.KEY]["temperature"], rel=1e-3)
    metrics, report = (tmp_path / "val" / name for name in ("metrics.json", "report.json"))
    held = json.loads(metrics.read_text()), json.loads(report.read_text())
    whole_images = held[1]["settings"] | {"approach": "global"}
    for wrong, told in (
        ({caselist.NAME: {"train": 3, "val": 5}}, "made by weights that were trained on 3 of its cases"),
        ({"cases": 7}, "do not tell of its cases; predict them in one run"),
        ({"settings": whole_images}, "with approach=global, and the weights take local"),
    ):
        for file, told_by in zip((metrics, report), held, strict=True):
            writing.json(file, told_by | wrong)
        done = call(script, *words, "--predictions", table)
        assert done.code == 1 and told in done.err
    for file, told_by in zip((metrics, report), held, strict=True):
        writing.json(file, told_by)
    for change, told in (({"set": "viral"}, "calibrated already"), ({"p_viral": None}, "speaks of viral")):
        rows = pd.read_csv(table, keep_default_na=False).assign(**change)
        writing.csv(tmp_path / "bad.csv", rows.drop(columns=[name for name in change if change[name] is None]))
        done = call(script, *words, "--predictions", tmp_path / "bad.csv")
        assert done.code == 1 and told in done.err and "Traceback" not in done.err
    engine.save({"model": whole["model"]}, tmp_path / "old.pt")
    done = call(script, *words, "--predictions", table)
    assert done.code == 1 and "does not tell its classes; give best.pt of classification/train.py" in done.err
