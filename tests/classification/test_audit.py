"""audit.py: a shortcut planted outside the lungs is accused, a clean cohort is not; what cannot be tested is named."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from audit_phantoms import examined
from conftest import draw_pair
from PIL import Image

from classification import header
from classification.trust import numbers, patients, probes, subject, within
from cxr import digest, tables, writing
from cxr.settings import config
from cxr.stats import proportion

NAMES = ["normal", "bacteria"]
EACH = 20  # patients of a class


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(probes, "TREES", 30)


def draw(folder, planted=None, each=EACH):
    """Radiographs of noise, two for every patient; planted: a letter or a file size that tells the class."""
    files, label = [], []
    for c in range(2):
        for i in range(each):
            rng = np.random.default_rng([c, i])
            grey = rng.integers(60, 180, (80, 80)).astype(np.uint8)
            if planted == "letter" and c:
                grey[1:5, 1:13] = 255
            files.append(folder / f"{NAMES[c]}-{i}.png")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey).save(files[-1], compress_level=0 if planted == "size" and c else 9)
            label.append(c)
    return files, np.array(label)


def of(part, name):
    return next(one for one in part.figures if one.name == name)


@pytest.mark.parametrize("planted", ["letter", "size"])
def test_a_planted_shortcut_is_accused(planted, tmp_path):
    part = probes.measure(examined(*draw(tmp_path, planted), NAMES))
    assert part.accused is True and "without a lung" in part.verdict
    assert of(part, "accuracy: 8 numbers outside the lung").low > 0.8
    assert of(part, "accuracy: greatest class").value == 0.5


def test_a_clean_cohort_is_not_accused_and_permuted_labels_hold_chance(tmp_path):
    files, label = draw(tmp_path / "clean")
    assert probes.measure(examined(files, label, NAMES)).accused is False
    files, label = draw(tmp_path / "planted", "letter")
    part = probes.measure(examined(files, np.random.default_rng(1).permutation(label), NAMES))
    chance = of(part, "accuracy: 8 numbers outside the lung")
    assert part.accused is False and chance.low < 0.5 < chance.high


def test_metadata_accuse_and_gaps_in_them_do_not(tmp_path):
    files, label = draw(tmp_path)
    part = probes.measure(examined(files, label, NAMES, view=np.where(label, "AP", "PA")))
    assert part.accused is True and of(part, "accuracy: metadata").value == 1
    part = probes.measure(examined(files, label, NAMES, view=np.where(label, "AP", "")))
    assert part.accused is False and "view, sex, age: unknown for more than a fifth of a class" in part.missing


def test_radiographs_that_are_gone_are_named(tmp_path):
    part = probes.measure(examined([""] * 40, [0, 1] * 20, NAMES))
    assert part.accused is None and "40 of 40 original radiographs cannot be read" in part.missing
    files, label = draw(tmp_path)
    assert "4 patients of each" in probes.measure(examined(files[:22], label[:22], NAMES)).missing


def test_the_border_strip_is_all_that_is_measured(tmp_path):
    grey = np.full((100, 60), 128, np.uint8)
    grey[3:-3, 3:-3] = np.random.default_rng(0).integers(0, 256, (94, 54))  # 3 pixels are 5 % of 60
    Image.fromarray(grey).save(tmp_path / "a.png")
    width, height, aspect, size, mean, sd, black, white = numbers.outside(str(tmp_path / "a.png"))
    assert (width, height, aspect) == (60, 100, 0.6) and size == (tmp_path / "a.png").stat().st_size / 6000
    assert mean == pytest.approx(128 / 255) and sd == pytest.approx(0, abs=1e-9) and black == white == 0


def predicted(label, source, right=0.9, within_source=True):
    """A subject with predictions that are right so often; or that follow the source and not the class."""
    rng = np.random.default_rng(3)
    truth = np.where(rng.random(len(label)) < right, label, 1 - label)
    seen = truth if within_source else (source == "B").astype(int)
    p = np.clip(np.where(seen, 0.8, 0.2) + rng.normal(0, 0.08, len(label)), 0.01, 0.99)
    rows = pd.DataFrame(
        {"predicted": np.array(NAMES, object)[(p > 0.5).astype(int)], "p_normal": 1 - p, "p_bacteria": p}
    )
    one = examined([""] * len(label), label, NAMES, source=source, patient=[f"p{i}" for i in range(len(label))])
    one.predictions = rows.assign(fold="1", seen="")
    return one


def test_within_a_source_the_hospital_does_not_help():
    # A sends normals and a few of both, B bacteria: who follows the source is right on most.
    label = np.repeat([0, 1, 1, 0], [60, 12, 60, 12])
    source = np.repeat(["A", "B"], 72).astype(object)
    part = within.measure(predicted(label, source, within_source=False))
    assert part.accused is True and "no better than chance" in part.verdict
    assert "trained on none of these cases" in part.verdict
    part = within.measure(predicted(label, source))
    assert part.accused is False and of(part, "AUROC: normal against bacteria, A").low > 0.6
    assert set(part.table.source) == {"A", "B", "all sources"}
    part = within.measure(predicted(label, np.full(144, "", object)))
    assert part.accused is None and "column source" in part.missing


def test_what_a_prediction_is_worth():
    assert patients.predictive(0.9, 0.9, 0.02) == pytest.approx((0.018 / (0.018 + 0.098), 0.882 / 0.884))
    assert np.isnan(patients.predictive(0, 1, 0.1)[0])

    label = np.repeat([0, 1], 60)
    one = predicted(label, np.tile(["A", "B"], 60).astype(object))
    one.predictions.predicted = np.array(NAMES, object)[label]  # all right ...
    one.facts["sex"] = np.where(np.arange(120) % 4 == 0, "F", "M")
    one.facts["age"] = [9.0] + [50.0] * 119
    one.predictions.loc[one.facts.sex == "F", "predicted"] = "bacteria"  # ... but for normal women
    part = patients.measure(one)
    assert part.accused is True and "sex F" in part.verdict
    table = part.table.set_index(["what", "class", "at"])
    sensitivity = table.loc[("sensitivity", "bacteria", "vote")]
    assert sensitivity.value.item() == 1 and 0.9 < sensitivity.low.item() < 1
    ppv = table.loc[("PPV", "bacteria", "vote")].iloc[0]
    assert ppv.prevalence == 0.02 and 0 < ppv.low < ppv.value < ppv.high < 1
    assert table.loc[("sensitivity", "bacteria", "sensitivity 0.95")].value.item() >= 0.95
    assert "fewer than 20" in table.note["age", "", "under 18"]
    assert "chosen on these data" in table.note["specificity", "normal", "sensitivity 0.95"]
    one.facts[["sex", "view", "source"]], one.facts["age"] = "", np.nan
    assert patients.measure(one).accused is None  # no group to compare


@pytest.mark.parametrize("found,spared", [((0.9, 50), (0.95, 200)), ((0.7, 20), (0.8, 60)), ((0.95, 130), (0.99, 300))])
def test_intervals_of_predictive_values_hold_the_true_one(found, spared):
    rng, held = np.random.default_rng(0), []
    true = patients.predictive(found[0], spared[0], 0.1)
    for _ in range(200):
        bounds = zip(*(proportion.interval(rng.binomial(n, p), n) for p, n in (found, spared)), strict=True)
        low, high = (patients.predictive(*pair, 0.1) for pair in bounds)
        held.append([a <= b <= c for a, b, c in zip(low, true, high, strict=True)])
    assert np.mean(held, axis=0).min() > 0.95


def test_one_command_writes_the_audit_and_says_what_it_cannot_test(tmp_path, call):
    files, label = draw(tmp_path / "radiographs", "letter", 8)
    rows = []
    for file, c in zip(files, label, strict=True):
        draw_pair(tmp_path / "pairs" / NAMES[c], file.stem, NAMES[c], 1)
        rows.append({"case": file.stem, "folder": NAMES[c], "file": str(file), "view": "", "height": 80, "width": 80})
    writing.csv(tmp_path / "pairs" / "masks.csv", pd.DataFrame(rows))
    about = [{"case": file.stem, "class": NAMES[c], "patient": file.stem} for file, c in zip(files, label, strict=True)]
    writing.csv(tmp_path / "mine.csv", pd.DataFrame(about))
    told = [
        {"case": r["case"], "folder": r["folder"], "label": r["folder"], "patient": "", "status": "ok", "reason": ""}
        | {"predicted": NAMES[0], "seed": seed, "fold": "1", "digest": "of another pair", "trained_on": "val"}
        | {"p_normal": 0.3 + 0.1 * seed, "p_bacteria": 0.7 - 0.1 * seed}
        for r in rows[1:]
        for seed in (1, 2)
    ]
    writing.csv(tmp_path / "run" / "predictions.csv", pd.DataFrame(told))
    words = ["-i", tmp_path / "pairs", "-p", tmp_path / "run" / "predictions.csv"]
    words += ["--parts", "outside", "within", "patients"]
    done = call("classification/audit.py", *words, f"file_metadata={tmp_path / 'mine.csv'}", "device=cpu")
    assert done.code == 0, done.err
    assert (
        "1 of 16 cases are left out: they have no label or no prediction" in done.out
        and "classification/report.py" in done.out
    )
    assert "Note: 15 of 15 cases have changed since they were predicted" in done.out
    assert "was trained on 15 of these 15 cases" in done.out
    held = json.loads((tmp_path / "run" / "audit" / "audit.json").read_text())
    assert held["digest"] == digest.of_file(tmp_path / "run" / "predictions.csv")
    assert held["cases"] == 15 and held["parts"]["within"]["accused"] is None
    assert "column source" in held["parts"]["within"]["missing"]
    assert all(set(one) >= {"value", "low", "high", "patients"} for one in held["parts"]["outside"]["figures"])
    names = {path.name for path in (tmp_path / "run" / "audit").iterdir()}
    assert names == {"audit.json", "audit.png", "report.json", "audit_outside.csv", "audit_patients.csv"}
    run = tables.read(tmp_path / "run" / "audit" / "audit_outside.csv").set_index(["probe", "metric"])
    assert float(run.loc[("the run", "accuracy"), "value"]) == pytest.approx(8 / 15, abs=1e-6)  # mean p says bacteria

    given = ["classes=normal,bacteria", f"file_metadata={tmp_path / 'mine.csv'}"]
    found, weights, notes = subject.gather(config.load(header, given)[0], torch.device("cpu"), [tmp_path / "pairs"])
    assert found.names == NAMES and found.model is weights is None and "knows 4 classes" in " ".join(notes)

    done = call("classification/audit.py", *words[:2], "-p", tmp_path / "none.csv")
    assert done.code == 1 and "there is no" in done.err and "none.csv; make it with" in done.err
