"""The learning curves of both stages: nested draws, validation inside n, finished runs skipped, work shared."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import CLASSIFYING, ROOT, TINY

from classification import curve as patients
from classification import header
from classification.splitting import parts
from cxr.errors import BadRun
from cxr.run import curve, lock, trainings
from cxr.settings import config


@pytest.fixture
def started(monkeypatch):
    """The scripts that were started, which run in this process and spare the seconds of imports."""
    names = []

    def inside(line):
        script = Path(line[1]).relative_to(ROOT)
        names.append(script.name)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", line[1:])
            try:
                importlib.import_module(".".join(script.with_suffix("").parts)).main()
            except SystemExit as end:
                return end.code

    monkeypatch.setattr(trainings, "call", inside)
    return names


def test_two_in_ten_validate_and_never_less_than_two():
    for n in range(curve.LEAST, 50):
        val = [place for place in range(n) if curve.part(place) == "val"]
        assert 2 <= len(val) <= max(2, 0.2 * n + 1.6) and n - len(val) >= 2


def test_masks(radiographs, tmp_path, call, started):
    radiographs = shutil.copytree(radiographs, tmp_path / "set")
    script, words = "segmentation/curve.py", ["--n", 4, 6, "--draws", 1, *TINY, "epoch_max=1", "learning_rate=1e-3"]
    words += [f"dir_data_root={radiographs}", f"dir_checkpoint={tmp_path}", "test_name=a"]
    done = call(script, *words)
    assert done.code == 0, done.err
    assert started == ["train.py", "evaluate.py"] * 2
    small, large = (pd.read_csv(tmp_path / f"a-n{n}-draw1" / "cases.csv") for n in (4, 6))
    assert large[:4].equals(small)  # the same parts too
    assert small.part.value_counts().to_dict() == {"train": 2, "val": 2}
    held_out = set((tmp_path / "a-curve" / "jsrt" / "test.txt").read_text().split())
    assert len(held_out) == 1 and not held_out & set(large.case)
    rows = pd.read_csv(tmp_path / "a-curve" / "jsrt" / "curve.csv")
    assert list(rows.labelled) == [4, 6] and list(rows.train + rows.val) == [4, 6]
    told = json.loads((tmp_path / "a-curve" / "jsrt" / "curve.json").read_text())
    points = told["figures"]["jaccard_heart"]["points"]
    assert [point["labelled"] for point in points] == [4, 6] and points[0]["low"] is None
    assert (tmp_path / "a-curve" / "jsrt" / "curve.png").stat().st_size > 1000

    started.clear()
    before = (tmp_path / "a-n4-draw1" / "best.pt").stat().st_mtime_ns
    assert call(script, *words).code == 0 and started == []
    assert (tmp_path / "a-n4-draw1" / "best.pt").stat().st_mtime_ns == before
    names = [held_out.copy().pop(), small.case[0]]
    shutil.copy(*(next((radiographs / "JSRT").glob(f"{name}.*")) for name in reversed(names)))  # under the same name
    assert call(script, *words).code == 0 and started == ["train.py", "evaluate.py"] * 2
    told = call(script, *words, "--n", 400)
    assert told.code == 1 and "--n 400 is more than the 11 radiographs that are not held out" in told.err


def test_classes(split_pairs, tmp_path, call, started, monkeypatch):
    script, words = (
        "classification/curve.py",
        ["--n", 4, 6, "--draws", 1, *CLASSIFYING, "epoch_max=1", "repeat=2", "repeat_val=1"],
    )
    words += [f"dir_split={split_pairs}", f"dir_checkpoint={tmp_path}", "test_name=a"]
    done = call(script, *words)
    assert done.code == 0, done.err
    assert started == ["train.py", "inference.py"] * 2
    small, large = (parts.read(tmp_path / f"a-n{n}-draw1" / "split") for n in (4, 6))
    part = dict(zip(large.patient, large.part, strict=True))
    assert all(part[row.patient] == row.part for row in small.itertuples()) and len(small) == 12 < len(large) == 18
    assert small.part.value_counts().to_dict() == {"train": 6, "val": 6}
    rows = pd.read_csv(tmp_path / "a-curve" / "curve.csv")
    assert list(rows.labelled) == [12, 18] and rows.accuracy.between(0, 1).all()
    assert json.loads((tmp_path / "a-curve" / "curve.json").read_text())["tested"] == 12
    assert list(rows.trained_on) == [0, 0] and "test cases were trained on" not in done.out
    started.clear()
    file = tmp_path / "a-n4-draw1" / "test" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"trained_on": {"train": 2, "val": 1}}))
    done = call(script, *words)
    assert done.code == 0 and started == [] and "Note: up to 3 test cases were trained on" in done.out
    assert list(pd.read_csv(tmp_path / "a-curve" / "curve.csv").trained_on) == [3, 0]
    edited = Path(header.__file__).read_text().replace("calibrate = True", "calibrate = False")
    (tmp_path / "header.py").write_text(edited.replace("folds = 0", "folds = 5"))
    monkeypatch.setattr(header, "__file__", str(tmp_path / "header.py"))
    assert call(script, *words).code == 0 and started == ["train.py", "inference.py"] * 2
    told = call(script, *words, "--n", 9)
    assert told.code == 1 and "normal has 8 patients outside the test, fewer than --n 9" in told.err


def test_what_a_run_is_made_from():
    settings = config.load(header, [])[0]
    made = [
        trainings.made_from(config.replace(settings, **changed), cases, ["folds"])
        for changed, cases in (({}, "a"), ({"device": "cpu", "folds": 5}, "a"), ({"rotation": 7.0}, "a"), ({}, "b"))
    ]
    assert made[0] == made[1] and len(set(made)) == 3


def test_images_of_a_patient_stay_together():
    pool = pd.DataFrame({"group": [f"p{i // 2}" for i in range(20)], "label": [0] * 20})
    chosen = [patients.choose(pool, ["one"], n, 1, 407) for n in (5, 8)]
    assert [len(rows) for rows in chosen] == [10, 16]
    assert chosen[1].groupby("group").part.nunique().max() == 1 and set(chosen[0].index) < set(chosen[1].index)
    assert set(patients.choose(pool, ["one"], 5, 2, 407).group) != set(chosen[0].group)


def test_a_run_that_another_program_is_at_is_left_to_it(tmp_path, monkeypatch):
    def taken(file):
        raise BadRun("another run works there")

    monkeypatch.setattr(lock, "take", taken)
    with pytest.raises(BadRun, match="no run is finished yet. Other programs are at a-n4-draw1"):
        curve.trace([(4, 1, tmp_path / "a-n4-draw1")], None, tmp_path, [], "patients", {})


def test_a_run_that_was_busy_is_asked_again_at_the_end(tmp_path, monkeypatch):
    def make(run):
        if run == "d":
            raise BadRun("no such network")
        return run

    busy = {"a": ["somebody", ""], "b": [""], "c": ["somebody"] * 2, "d": [""]}
    monkeypatch.setattr(trainings, "hold", lambda folders: busy[folders[0].name].pop(0))
    found = trainings.through("abcd", lambda run: [tmp_path / run], make)
    assert found == (["b", "a"], {"d": "no such network"}, {"c": "somebody"})


def test_what_follows_a_command_that_is_run_is_run_again(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(trainings, "call", ran.append)
    one, two, other = (["python", script, word] for script, word in (("t.py", "a=1"), ("e.py", ""), ("t.py", "a=2")))
    for made_from, lines, expected in (
        ("x", [one, two], [one, two]),
        ("x", [one, two], []),
        ("x", [one, [*two, "--set"]], [[*two, "--set"]]),
        ("x", [other, two], [other, two]),
        ("y", [other, two], [other, two]),
    ):
        ran.clear()
        trainings.run(tmp_path / "run", made_from, list, lines)
        assert ran == expected
    monkeypatch.setattr(trainings, "call", lambda line: 1)
    with pytest.raises(BadRun, match="e.py ended with exit code 1"):
        trainings.run(tmp_path / "run", "y", list, [other, [*two, "x"]])
