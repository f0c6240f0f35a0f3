"""Refusal: what is no frontal chest radiograph, or unlike the training, gets no prediction and counts nowhere."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, draw_pair

from classification import header
from classification.model import classifier, weightfile
from classification.voting import distance, frontal, training_features
from classification.voting.refusal import Refusal
from cxr.reading import radiograph
from cxr.settings import config
from data import make_odd

PHANTOM = f"file_weights={ROOT / 'weights' / 'phantom.safetensors'}"
QUICK = [PHANTOM, "repeat=2", "device=cpu", "file_metadata=metadata.xls", "dir_split=nowhere"]
ODD = ["abdomen", "cat", "inverted", "noise", "turned", "upside-down"]


@pytest.fixture(scope="module")
def odd(radiographs, tmp_path_factory):
    """Radiographs of the phantom, as they are and otherwise, and images that are none, as files."""
    root = tmp_path_factory.mktemp("odd")
    file = sorted((radiographs / "JSRT").iterdir())[0]
    pixels = radiograph.read(file).pixels
    rng = np.random.default_rng(1)
    others = {"turned": np.rot90(pixels), "upside-down": np.rot90(pixels, 2), "inverted": pixels.max() - pixels}
    others |= {"cat": make_odd.photograph("cat"), "noise": make_odd.noise(1, rng), "abdomen": make_odd.abdomen(rng)}
    others["blank"] = np.full((200, 200), 90, np.uint8)
    for name, image in others.items():
        make_odd.write(root / "normal" / f"{name}.png", np.ascontiguousarray(image))
    for folder in ("normal", "bacteria"):
        (root / folder).mkdir(exist_ok=True)
        shutil.copy(sorted((radiographs / "cohort" / folder).iterdir())[0], root / folder)
        shutil.copy(file, root / folder)
    return root


@pytest.fixture
def predicted(odd, trained, tmp_path, call):
    """The way from files to predictions: pairs, predictions.csv and what the script said."""
    done = call("segmentation/inference.py", "-i", odd, "-o", tmp_path / "pairs", *trained.words, "test_name=whole")
    assert done.code == 1 and "blank" in done.out  # one grey level is no image: nothing is written
    done = call("classification/inference.py", "-i", tmp_path / "pairs", "-o", tmp_path / "run", *QUICK)
    rows = pd.read_csv(tmp_path / "run" / "predictions.csv", keep_default_na=False).set_index("case")
    return tmp_path, rows, done


def test_what_is_no_frontal_radiograph_is_refused_and_counts_nowhere(predicted, call):
    root, rows, done = predicted
    refused = rows[rows.status == "refused"]
    assert sorted(refused.index) == ODD and done.code == 0 and "4 ok, 6 refused, 0 failed" in done.out
    assert (refused.frontal.astype(float) > 1).all() and (rows[rows.status == "ok"].frontal.astype(float) < 1).all()
    votes = [name for name in rows if name.startswith(("p_", "votes_"))]
    assert (refused[["predicted", *votes]] == "").all(axis=None)
    assert (rows[rows.status == "ok"][votes] != "").all(axis=None)
    assert all(f"refused: {reason}" in done.out and "refuse=1" in reason for reason in refused.reason)
    found = json.loads((root / "run" / "metrics.json").read_text())
    assert (found["cases"], found["refused"], found["failed"]) == (4, 6, 0)
    assert json.loads((root / "run" / "report.json").read_text())["counts"] == {"ok": 4, "refused": 6, "failed": 0}

    done = call("classification/inference.py", "-i", root / "pairs", "-o", root / "run", *QUICK)
    assert "(10 were finished before)" in done.out
    words = ["-i", root / "pairs" / "normal", "-o", root / "cams", *QUICK]
    done = call("classification/visualize_cnn.py", *words)
    assert done.code == 0 and "2 ok, 6 refused, 0 failed" in done.out
    assert len([*(root / "cams").rglob("*.cam.npy")]) == 2
    done = call("classification/report.py", "-i", root / "run", "-o", root / "page.html", "dir_split=nowhere")
    page = (root / "page.html").read_text()
    assert done.code == 0 and "<b>6</b> refused" in page and refused.reason["cat"] in page
    done = call("classification/inference.py", "-i", root / "pairs", "-o", root / "all", *QUICK, "refuse=0")
    assert "10 ok, 0 failed" in done.out


def test_a_mask_by_itself_refuses_nothing():
    gate = frontal.load()
    usual = np.zeros((1, frontal.SIDE, frontal.SIDE), np.float32)
    assert frontal.parts(gate, usual, usual)[1][0] == frontal.MOST_OF_MASK < gate.limit[0]
    assert frontal.score(gate, np.zeros((200, 200), np.float32), np.zeros((200, 200), np.uint8)) > 1  # all black


def test_distance_knows_what_it_was_fitted_to():
    rng = np.random.default_rng(3)
    basis = rng.normal(size=(4, 40))
    drawn = [rng.normal(size=(count, 4)) @ basis + 0.05 * rng.normal(size=(count, 40)) for count in (60, 20, 200)]
    known = distance.fit(*drawn[:2])
    scores = np.array([distance.score(known, one) for one in drawn[2]])
    assert (scores < 1).all() and distance.score(known, drawn[2][0] + 3) > 1
    assert distance.fit(drawn[0][:5], drawn[1]) is None


def test_weights_keep_the_distance_of_their_training(classified, tmp_path, call):
    best = classified.run / "best.pt"
    known = weightfile.read(best)[2]["distance"]
    assert known["mean"].shape == (512,) and known["components"].dtype == torch.float16 and known["limit"] > 0
    words = ["-i", classified.split / "test", *classified.words, "test_name=whole", "file_metadata=metadata.xls"]
    done = call("classification/inference.py", "-o", tmp_path / "a", *words)
    assert done.code == 0 and "distance" not in (tmp_path / "a" / "predictions.csv").read_text()  # refuse=0
    file = tmp_path / "mine.safetensors"
    assert call("weights/make_classification.py", "export", best, "-o", file).code == 0
    assert torch.equal(weightfile.read(file)[2]["distance"]["variance"], known["variance"])
    settings, _ = config.load(header, [*classified.words, "refuse=1"])
    model, used, _, _ = classifier.open_classifier(file, settings)
    judge = Refusal(model, file, used)
    assert judge.notes == [] and judge.features
    fewer, _ = config.load(header, [*classified.words, "refuse=1", "repeat=1"])
    fewer = Refusal(model, file, classifier.open_classifier(file, fewer)[1])
    assert fewer.features is None and "fewer patches than 5" in fewer.notes[0]
    model(torch.zeros(2, 3, 48, 48))
    assert judge.features.take().shape == (512,) and judge.features.take() is None
    model(torch.full((2, 3, 48, 48), 900.0))
    assert "unlike the radiographs" in judge.compare(type("Case", (), {"folder": "f", "case": "c"}))["refused"]
    old = tmp_path / "old.safetensors"
    shutil.copy(ROOT / "weights" / "phantom.safetensors", old)
    before = weightfile.read(old)[2]["distance"]
    words = [
        "distance",
        "--weights",
        old,
        "--split",
        classified.split,
        *"img_size=96 patch_size=48 repeat_val=2 device=cpu".split(),
    ]
    assert before is None
    done = call("weights/make_classification.py", *words)
    assert done.code == 0 and weightfile.read(old)[2]["distance"]["mean"].shape == (1280,), done.err


def test_weights_that_tell_no_distance_say_so(tmp_path, call):
    draw_pair(tmp_path / "pairs" / "normal", "one", "normal", 1)
    done = call("classification/inference.py", "-i", tmp_path / "pairs", "-o", tmp_path / "run", *QUICK)
    assert "Note: these weights do not tell the features of their training: refusal goes by look alone." in done.out


def test_of_a_large_cohort_some_cases_tell_the_distance(monkeypatch):
    assert training_features.some(list(range(9)), 1) == list(range(9))
    monkeypatch.setattr(training_features, "MOST", 5)
    drawn = training_features.some(list(range(100)), 1)
    assert len(drawn) == 5 and drawn == sorted(set(drawn)) and drawn != training_features.some(list(range(100)), 2)
