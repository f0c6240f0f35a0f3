"""Prediction: a row a case with its votes, metrics by patient, and the same whatever interrupted or shared the work."""

import hashlib
import json
import math
import shutil
import signal
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CLASSIFYING, ROOT, checkpoint, draw_pair, run
from sklearn.metrics import accuracy_score, f1_score

from classification import header, inference
from classification.cases import dataset, finder
from classification.cases.classes import class_map
from classification.model import backbone
from classification.model import weightfile as weights_module
from classification.patches import patch
from classification.voting import predictions
from cxr import pairs
from cxr.run import caselist, engine
from cxr.run.journal import MARKS
from cxr.settings import config

INFER = "classification/inference.py"
NAMES = ["normal", "bacterial", "viral"]
VOTES, P = [f"votes_{name}" for name in NAMES], [f"p_{name}" for name in NAMES]
BROKEN = {"cut": "cannot be read", "empty": "mask is empty", "half": "is missing"}
MEASURED = {"metrics.json", "confusion.png", "roc.png", "reliability.png", "abstention.png"}
# Runs a script and kills it, as nothing can be caught of, when the n-th case is counted.
KILLER = """
import os, runpy, signal, sys
left = int(sys.argv.pop(1))
sys.argv.pop(0)
sys.path.insert(0, os.path.dirname(os.path.dirname(sys.argv[0])))
from classification.voting import predict
tally = predict.tally
def dying(*arguments):
    global left
    left -= 1
    if not left:
        print(*({"sklearn", "scipy.stats", "matplotlib"} & set(sys.modules)), file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return tally(*arguments)
predict.tally = dying
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def table(folder):
    """predictions.csv with numbers as numbers."""
    rows = pd.read_csv(folder / "predictions.csv", dtype=str, keep_default_na=False)
    for column in rows.columns[9:].difference([*MARKS, caselist.NAME]):
        rows[column] = pd.to_numeric(rows[column])
    return rows


def contents(folder):
    """{name: digest} of everything but the report, which tells times."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "report.json"
    }


@pytest.fixture(scope="module")
def weights(split_pairs, tmp_path_factory):
    """A checkpoint made without a training: random features, the last layer fitted to them by least squares."""
    settings, _ = config.load(header, CLASSIFYING)
    names, folders = class_map(settings.classes, [])
    cases = finder.find_classes([split_pairs / "train"], settings.classes)[0][0].cases
    engine.seed_torch(0)
    model = backbone.build("resnet18", 3).eval()
    last, model.fc = model.fc, torch.nn.Identity()
    seen, wanted = [], []
    for case, (image, lung) in zip(cases, dataset.Images(cases, settings).batch(range(len(cases))), strict=True):
        centres = patch.centres(lung, 6, None, "grid")
        cut = patch.cut(torch.from_numpy(image)[None], [0] * 6, centres, settings.patch_size)
        with torch.inference_mode():
            seen.append(model(backbone.scale(cut, "imagenet")))
        wanted += [case.label] * 6
    seen = torch.cat([torch.cat(seen), torch.ones(len(wanted), 1)], 1)
    fitted = torch.linalg.lstsq(seen, 6 * torch.eye(3)[wanted], driver="gelsd", rcond=1e-3).solution.T
    last.weight.data, last.bias.data = fitted[:, :-1].contiguous(), fitted[:, -1].contiguous()
    model.fc = last
    path = tmp_path_factory.mktemp("weights") / "mine" / "best.pt"
    engine.save(checkpoint(model, config.as_dict(settings), names, folders), path)
    return path


def test_cases_trained_on_are_told_and_the_others_measured_apart(split_pairs, weights, tmp_path, call):
    """What a checkpoint was chosen with is what predicts, and what it has seen is told by the image, not its name."""
    known = finder.find([split_pairs / "test" / "virus"]).cases[:2]
    listed = caselist.listing({"train": [("x", "y", finder.about(known[0])[2])], "val": [finder.about(known[1])]})
    saved = engine.load(weights)
    saved |= {caselist.NAME: listed, "settings": saved["settings"] | {"vote": "mean", "sampling": "grid"}}
    engine.save(saved, tmp_path / "a.pt")
    words = [*CLASSIFYING, f"file_weights={tmp_path / 'a.pt'}", "repeat=2", "-o", tmp_path / "out"]
    done = call(INFER, "-i", split_pairs / "test" / "virus", split_pairs / "test" / "normal", *words)
    assert done.code == 0 and "Note: 2 of 6 were trained on (1 to train, 1 to choose the epoch)" in done.out, done.err
    assert "vote='mean' as in the training of these weights, not 'majority'" in done.out
    told = json.loads((tmp_path / "out" / "report.json").read_text())["settings"]
    assert (told["vote"], told["sampling"]) == ("mean", "grid")
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["trained_on"] == {"train": 1, "val": 1}
    assert (found["cases"], found["not trained on"]["cases"]) == (6, 4)
    rows = table(tmp_path / "out")
    assert [*rows.set_index("case").trained_on[[case.case for case in known]]] == ["train", "val"]
    rows.drop(columns="trained_on").to_csv(tmp_path / "out" / "predictions.csv", index=False)  # of an older version
    done = call(INFER, "-i", split_pairs / "test" / "virus", split_pairs / "test" / "normal", *words)
    assert "(6 were finished before)" in done.out and (table(tmp_path / "out").trained_on == rows.trained_on).all()
    words[-3] = f"file_weights={weights}"  # which keeps no list
    done = call(INFER, "-i", split_pairs / "test" / "virus", split_pairs / "test" / "normal", *words, "--overwrite")
    assert "Note: the weights do not tell which cases they were trained on" in done.out
    assert (table(tmp_path / "out").trained_on == "unknown").all()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["trained_on"] is None
    # of several weights, one of which keeps no list
    mixed = predictions.read(tmp_path / "out")[0].assign(trained_on=["train"] * 2 + ["unknown"] * 4)
    inference.measure(tmp_path / "out", mixed, predictions.read(tmp_path / "out")[1], [])
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["trained_on"] == {"train": 2, "val": 0} and "not trained on" not in found


@pytest.fixture(scope="module")
def whole(split_pairs, weights, tmp_path_factory):
    """An uninterrupted run of one process over the test part of a split, into which three bad pairs came: the split,
    its output, the settings and the process."""
    root = tmp_path_factory.mktemp("predictions")
    test = root / "split" / "test"
    shutil.copytree(split_pairs / "test", test)
    for case in BROKEN:
        draw_pair(test / "normal", case, "normal", 1)
    (test / "normal" / "cut.image.npy").write_bytes((test / "normal" / "cut.image.npy").read_bytes()[:300])
    (test / "normal" / "half.image.npy").unlink()
    pairs.save(test / "normal", "empty", np.ones((50, 50)), np.zeros((50, 50)), allow_empty=True)
    for name in ("NA", "007"):
        draw_pair(test / "virus", name, "virus", 7)
    rows = [
        (case, folder.name, f"somebody {i // 2}", "", "test", 0)
        for folder in sorted(test.iterdir())
        for i, case in enumerate(pairs.find(folder))
    ]
    split = pd.DataFrame(rows, columns=["case", "folder", "patient", "source", "part", "group"])
    split["patient"] = split.folder + " " + split.patient
    split.to_csv(root / "split" / "split.csv", index=False)
    words = [*CLASSIFYING, f"dir_checkpoint={weights.parents[1]}", "test_name=mine", f"dir_split={root / 'split'}"]
    done = run(INFER, *words, f"dir_save={root}")
    return SimpleNamespace(test=test, out=root / "mine", words=words, done=done)


def test_a_row_a_case_and_exit_code_1_for_the_broken(whole):
    assert whole.done.returncode == 1 and "Traceback" not in whole.done.stderr, whole.done.stderr
    rows = table(whole.out)
    front = ["case", "folder", "label", "patient", "status", "reason", "predicted", "set", "mask", "trained_on"]
    assert list(rows.columns) == [*front, *P, *VOTES, "vote_entropy", "standard_error", "coverage", "patches", *MARKS]
    expected = {(folder.name, name.name.split(".")[0]) for folder in whole.test.iterdir() for name in folder.iterdir()}
    keys = list(zip(rows.folder, rows.case, strict=True))
    assert len(keys) == 17 and set(keys) == expected and keys == sorted(keys)
    assert {"NA", "007"} <= set(rows.case)
    for row in rows.itertuples():
        assert (row.status == "failed") == (row.case in BROKEN)
        assert BROKEN.get(row.case, "") in row.reason and bool(row.reason) == (row.status == "failed")
        assert not row.reason or row.reason in whole.done.stdout
    label = {"normal": "normal", "bacteria": "bacterial", "virus": "viral", "COVID-19": "viral"}
    assert [label[folder] for folder in rows.folder] == rows.label.tolist()
    assert "14 ok, 3 failed (0 were finished before)" in whole.done.stdout


def test_votes_and_numbers_of_a_row(whole):
    rows = table(whole.out)
    rows = rows[rows.status == "ok"]
    assert (rows[VOTES].sum(axis=1) == 9).all() and (rows.patches == 9).all()
    np.testing.assert_allclose(rows[P].sum(axis=1), 1, atol=1e-5)
    assert rows.predicted.nunique() > 1  # else equal predictions would say little
    for row in rows.to_dict("records"):
        best = max(range(3), key=lambda c: (row[VOTES[c]], row[P[c]], -c))
        assert row["predicted"] == NAMES[best]
        shares = [row[name] / 9 for name in VOTES if row[name]]
        assert row["vote_entropy"] == pytest.approx(-sum(s * math.log(s) for s in shares), abs=1e-5)
        assert 0 < row["coverage"] <= 1 and 0 <= row["standard_error"] < 0.5 / math.sqrt(8)
    assert rows.coverage.nunique() > 3


def test_metrics_and_figures_are_of_the_table_by_patient(whole):
    rows = table(whole.out)
    rows = rows[rows.status == "ok"]
    found = json.loads((whole.out / "metrics.json").read_text())
    assert found["classes"] == NAMES and found["cases"] == 14 and found["failed"] == 3
    assert found["patients"] == rows.patient.nunique() == 9 and "virus somebody 2" in set(rows.patient)
    assert found["overall"]["accuracy"]["value"] == pytest.approx(accuracy_score(rows.label, rows.predicted), abs=1e-6)
    macro = f1_score(rows.label, rows.predicted, average="macro", zero_division=0)
    assert found["overall"]["f1"]["value"] == pytest.approx(macro, abs=1e-6)
    assert found["per_class"]["viral"]["cases"] == 8 and found["per_class"]["normal"]["cases"] == 3
    assert found["overall"]["accuracy"]["low"] <= found["overall"]["accuracy"]["value"]
    assert "accuracy" in whole.done.stdout and "macro average" in whole.done.stdout
    assert set(contents(whole.out)) == MEASURED | {"predictions.csv"}
    for name in MEASURED - {"metrics.json"}:
        assert cv2.imread(str(whole.out / name)).std() > 5 and name in whole.done.stdout


def test_report(whole, weights):
    report = json.loads((whole.out / "report.json").read_text())
    assert report["counts"] == {"ok": 14, "refused": 0, "failed": 3} and report["settings"]["repeat"] == 9
    assert report["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert f"{weights} (the best of the run mine)" in whole.done.stdout
    assert {"torch", "torchvision", "python"} <= set(report["versions"]) and report["seconds"] > 0


def test_finished_cases_are_skipped_and_other_settings_refused(whole, tmp_path, call):
    out = tmp_path / "out"
    shutil.copytree(whole.out, out)
    done = call(INFER, "-o", out, *whole.words)
    assert done.code == 1 and "14 ok, 3 failed (14 were finished before)" in done.out
    assert contents(out) == contents(whole.out)
    done = call(INFER, "-o", out, *whole.words, "repeat=4", "vote=mean")
    assert done.code == 1 and "cases made with other repeat, vote" in done.err and "--overwrite" in done.err
    assert contents(out) == contents(whole.out)
    # Overwriting some cases with other settings leaves none of the others beside them.
    done = call(INFER, "-i", whole.test / "virus", "-o", out, "--overwrite", *whole.words, "repeat=4", "vote=mean")
    rows = table(out)
    assert done.code == 0 and set(rows.folder) == {"virus"} and (rows.patches == 4).all()
    assert all(row[f"p_{row['predicted']}"] == max(row[name] for name in P) for row in rows.to_dict("records"))
    found = json.loads((out / "metrics.json").read_text())
    assert list(found["per_class"]) == ["viral"] and found["overall"]["auroc"]["value"] is None
    done = call(INFER, "-o", out, "--overwrite", *whole.words)
    assert "(0 were finished before)" in done.out and contents(out) == contents(whole.out)


def test_a_pair_segmented_anew_is_predicted_anew(whole, tmp_path, call):
    out, test = tmp_path / "out", tmp_path / "test"
    shutil.copytree(whole.out, out)
    shutil.copytree(whole.test, test)
    draw_pair(test / "virus", "NA", "normal", 8)
    before = table(out)
    done = call(INFER, "-i", test, "-o", out, *whole.words)
    assert "Note: 1 cases are done again: what they were made from has changed since." in done.out
    assert "14 ok, 3 failed (13 were finished before)" in done.out
    changed = before.case[(table(out) != before)[["digest", "p_normal"]].all(axis=1)]
    assert changed.tolist() == ["NA"] and before.made.nunique() == 1


def test_killed_and_run_again(whole, tmp_path, call):
    (tmp_path / "killer.py").write_text(KILLER)
    out = tmp_path / "out"
    dead = run(tmp_path / "killer.py", 6, ROOT / INFER, "-o", out, *whole.words)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert not any(name in dead.stderr for name in ("sklearn", "scipy.stats", "matplotlib"))  # for metrics only
    with open(out / "predictions.0.jsonl", "a") as file:
        file.write('{"case": "COVID-19-te')  # a row cut short
    assert not MEASURED & {path.name for path in out.iterdir()}
    done = call(INFER, "-o", out, *whole.words)
    assert done.code == 1 and "14 ok, 3 failed (5 were finished before)" in done.out
    assert contents(out) == contents(whole.out)


def test_two_processes_other_batches_and_threads_give_the_same(whole, tmp_path, call):
    done = run(INFER, "-o", tmp_path / "two", *whole.words, processes=2)
    assert done.returncode == 1 and 'inference.py", line' not in done.stderr  # torchrun has a traceback of its own
    assert contents(tmp_path / "two") == contents(whole.out)
    assert json.loads((tmp_path / "two" / "report.json").read_text())["processes"] == 2
    call(INFER, "-o", tmp_path / "other", *whole.words, "num_batch_test=2", "num_workers=5")
    rows, expected = table(tmp_path / "other"), table(whole.out)
    exact = ["case", "folder", "label", "patient", "status", "reason", "predicted", *VOTES]
    pd.testing.assert_frame_equal(rows[exact], expected[exact])
    pd.testing.assert_frame_equal(rows, expected, atol=1e-4, rtol=0)


def test_unlabelled_folders_to_any_depth(whole, tmp_path, call):
    given = tmp_path / "clinic"
    shutil.copytree(whole.test / "virus", given / "virus" / "ward 3")
    shutil.copytree(whole.test / "bacteria", given / "<img src=x>")
    out = tmp_path / "out"
    out.mkdir()
    (out / "metrics.json").write_text("of another run")
    done = call(INFER, "-i", given / "<img src=x>", "-o", out, *whole.words)
    assert done.code == 0 and "Note: these weights know no folder <img src=x>: its cases have no label." in done.out
    assert set(contents(out)) == {"predictions.csv"} and "patient of its own" not in done.out
    assert set(table(out).label) == {""} and set(table(out).folder) == {"<img src=x>"}
    # Together with a folder that is known, only the cases of that one are measured.
    done = call(INFER, "-i", given, "-o", out, *whole.words, "dir_split=none")
    rows = table(out)
    assert done.code == 0 and "(3 were finished before)" in done.out and "each of these counts as a patient" in done.out
    assert dict(zip(rows.folder, rows.label, strict=True)) == {"<img src=x>": "", "virus/ward 3": "viral"}
    assert json.loads((out / "metrics.json").read_text())["cases"] == 5
    expected = table(whole.out)
    expected = expected[expected.folder == "virus"]
    assert rows[rows.folder == "virus/ward 3"][VOTES].to_numpy().tolist() == expected[VOTES].to_numpy().tolist()


def test_patients_from_a_table_that_comes_later(whole, tmp_path, call):
    shutil.copytree(whole.test / "virus", tmp_path / "virus")
    out = tmp_path / "out"
    words = ["-i", tmp_path / "virus", "-o", out, *whole.words, "dir_split=nowhere"]
    done = call(INFER, *words, f"file_metadata={tmp_path / 'none.csv'}")
    assert done.code == 1 and "There is no table" in done.err and "none.csv" in done.err and not out.exists()
    assert call(INFER, *words).code == 0
    assert table(out).patient.nunique() == 5
    (tmp_path / "mine.csv").write_text("case,class,patient\nNA,virus,Jane\n007,virus,Jane\n")
    done = call(INFER, *words, f"file_metadata={tmp_path / 'mine.csv'}")
    assert done.code == 0 and "(5 were finished before)" in done.out
    rows = table(out).set_index("case")
    assert rows.patient["NA"] == rows.patient["007"] and "Jane" in rows.patient["NA"]
    assert json.loads((out / "metrics.json").read_text())["patients"] == 4


def test_flagged_masks_are_told(whole, tmp_path, call):
    shutil.copytree(whole.test / "virus", tmp_path / "virus")
    masks = pd.DataFrame({"case": ["007", "NA"], "status": ["flagged", "ok"], "reason": ["left lung missing", ""]})
    masks = masks.assign(folder="virus", spacing_row_mm="", spacing_column_mm="")
    masks.to_csv(tmp_path / "masks.csv", index=False)
    done = call(INFER, "-i", tmp_path, "-o", tmp_path / "out", *whole.words, "repeat=1")
    assert done.code == 0 and "Note: 1 of 5 cases have a flagged mask." in done.out, done.err
    rows = table(tmp_path / "out").set_index("case")
    assert rows["mask"]["007"] == "left lung missing" and set(rows["mask"].drop("007")) == {""}


def test_results_of_other_runs_are_no_folders_of_cases(whole, tmp_path, call):
    """What lies in output/ after the demo: a segmentation into folders of its own, and a split, beside a class."""
    given, out = tmp_path / "output", tmp_path / "out"
    shutil.copytree(whole.test / "virus", given / "virus")
    shutil.copytree(whole.test / "virus", given / "demo" / "virus")
    (given / "virus" / "masks.csv").write_text("a class segmented by itself is a class all the same")
    (given / "demo" / "masks.csv").write_text("case\n")
    shutil.copytree(whole.test, given / "demo-split" / "fold1" / "test")
    done = call(INFER, "-i", given, "-o", out, *whole.words)
    assert done.code == 0 and set(table(out).folder) == {"virus"} and len(table(out)) == 5, done.err
    told = f"skipped {given / 'demo'}, {given / 'demo-split'}, which hold results of other runs"
    assert f"Note: {told}; to use one, give it by itself." in done.out
    done = call(INFER, "-i", given / "demo", "-o", out, *whole.words)
    assert "Note: which masks are flagged is not known: " in done.out and "has no column folder" in done.out
    assert done.code == 0 and "(5 were finished before)" in done.out and "skipped" not in done.out
    shutil.rmtree(given / "virus")
    done = call(INFER, "-i", given, "-o", out, *whole.words)
    assert done.code == 1 and f"those in {given / 'demo'}, {given / 'demo-split'} are results of other" in done.err


def test_a_whole_split_is_refused_with_the_part_to_give(whole, split_pairs, tmp_path, call):
    done = call(INFER, "-i", split_pairs, "-o", tmp_path / "out", *whole.words)
    assert done.code == 1 and not (tmp_path / "out").exists()
    assert f"{split_pairs} is a whole split, whose parts are no classes: give one of them, {split_pairs / 'test'}." in (
        done.err
    )
    shutil.copytree(whole.test / "virus", tmp_path / "clinic" / "test")  # a folder of pairs, whatever it is called
    done = call(INFER, "-i", tmp_path / "clinic", "-o", tmp_path / "out", *whole.words)
    assert done.code == 0 and set(table(tmp_path / "out").folder) == {"test"}


def test_what_changes_nothing_is_a_note(whole, tmp_path, call):
    words = ["-i", whole.test / "bacteria", "-o", tmp_path, *whole.words, "approach=global"]
    assert call(INFER, *words).code == 0
    done = call(INFER, *words, "repeat=4", "vote=mean")
    assert done.code == 0 and "(3 were finished before)" in done.out, done.err
    assert "Note: repeat, vote typed without effect: approach=global looks at the whole image once." in done.out
    done = call(INFER, *words, "patch_size=64")
    assert done.code == 1 and "made with other patch_size" in done.err


@pytest.mark.parametrize("approach,patches", [("global", 1), ("dense", None)])
def test_other_approaches(whole, tmp_path, call, approach, patches):
    done = call(INFER, "-i", whole.test / "bacteria", "-o", tmp_path, *whole.words, f"approach={approach}")
    assert done.code == 0 and f"Note: approach='{approach}' as typed" in done.out
    rows = table(tmp_path)
    assert (rows.patches == patches).all() if patches else (rows.patches > 1).all()
    assert approach != "global" or ((rows.coverage == 1).all() and rows.standard_error.isna().all())
    assert (rows[VOTES].sum(axis=1) == rows.patches).all()


def test_a_network_that_returns_nan_is_a_row(whole, weights, tmp_path, call):
    saved = engine.load(weights)
    saved["model"]["fc.bias"][:] = math.nan
    engine.save(saved, tmp_path / "broken.pt")
    words = [*whole.words, f"file_weights={tmp_path / 'broken.pt'}"]
    done = call(INFER, "-i", whole.test / "virus", "-o", tmp_path, *words)
    assert done.code == 1 and "0 ok, 5 failed" in done.out and "returns NaN or Inf" in done.out
    assert not (tmp_path / "metrics.json").exists()


def test_two_pairs_for_one_row_are_refused_before_anything_is_written(whole, tmp_path, call):
    for ward in ("a", "b"):
        shutil.copytree(whole.test / "virus", tmp_path / ward / "virus")
    given = ["-i", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out"]
    done = call(INFER, *given, *whole.words)
    assert done.code == 1 and "5 cases would have one row" in done.err and not (tmp_path / "out").exists()
    given[1:3] = [tmp_path, tmp_path / "a" / ".."]
    done = call(INFER, *given, *whole.words)
    assert done.code == 0 and len(table(tmp_path / "out")) == 10  # a/virus and b/virus, each once


@pytest.mark.parametrize(
    "words,told",
    [
        (["file_weights=missing.pt"], "missing.pt does not exist."),
        (["test_name=none"], "there are no weights: "),
        (["-i", "nowhere"], "there is no folder nowhere; "),
        (["-i", "empty"], "there are no pairs in empty; "),
        (["dir_split=nowhere"], "make it with classification/split.py"),
        (["vote=loudest"], "vote='loudest' is unknown; it is majority or mean."),
    ],
)
def test_what_cannot_start_says_why(whole, tmp_path, call, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights_module, "SHIPPED", tmp_path / "shipped.safetensors")
    (tmp_path / "empty").mkdir()
    done = call(INFER, "-o", "out", *whole.words, *words)
    assert done.code == 1 and told in done.err and not (tmp_path / "out").exists()
