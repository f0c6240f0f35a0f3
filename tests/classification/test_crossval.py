"""Cross-validation: every case is predicted unseen; kills, failures and several processes; what is pooled."""

import contextlib
import importlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import CLASSIFYING, ROOT, draw_pair, environment

from classification import crossval, header
from classification.runs import folds, pool
from cxr.errors import BadData, BadRun
from cxr.run import runreport, trainings
from cxr.settings import config
from cxr.stats import proportion

TINY = [*CLASSIFYING, "classes=normal,bacterial=bacteria,viral=virus", "img_size=64", "patch_size=32", "epoch_max=1"]
TINY += ["net_label=squeezenet1_1", "repeat=3", "repeat_val=1", "duplicate_distance=-1", "test_name=cv"]
# A cross-validation of another process that has taken its first run and stays there until it is killed
HOLDER = """
import sys, time
sys.path[0] = sys.argv.pop(1)
from classification import crossval
from cxr.run import trainings
trainings.call = lambda line: print("holds", flush=True) or time.sleep(600)
crossval.main()
"""


def inside(line):
    """trainings.call() in this process, which spares the seconds of imports."""
    module = importlib.import_module(".".join(Path(line[1]).relative_to(ROOT).with_suffix("").parts))
    return start(module, line[2:]).code


def start(module, words):
    """A script's main() in this process: code and out."""
    argv, sys.argv = sys.argv, [module.__file__, *map(str, words)]
    code, out = 0, io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            module.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    return SimpleNamespace(code=1 if isinstance(code, str) else code, out=out.getvalue() + str(code))


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Six pairs of each of three classes, and the settings of two folds of them."""
    root = tmp_path_factory.mktemp("crossval")
    for f, folder in enumerate(("normal", "bacteria", "virus")):
        for i in range(6):
            draw_pair(root / "pairs" / folder, f"{folder}-{i}", folder, 100 * f + i)
    places = {"dir_pairs": "pairs", "dir_split": "folds", "dir_checkpoint": "runs", "dir_save": "out"}
    return [*TINY, "folds=2", *(f"{name}={root / place}" for name, place in places.items())]


@pytest.fixture(scope="module")
def whole(words):
    """A cross-validation shared with a process that was killed: what was said while that held a run, and afterwards."""
    patch = pytest.MonkeyPatch()
    calls = []
    patch.setattr(trainings, "call", lambda line: calls.append(Path(line[1]).name) or inside(line))
    root = folds.place(settings_of(*words))
    crossval.make_folds(root, settings_of(*words))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(ROOT), *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    while holder.stdout.readline() not in ("holds\n", ""):
        pass
    shared = start(crossval, words)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    done = start(crossval, words)
    again = start(crossval, words)
    patch.undo()
    return SimpleNamespace(root=root, words=words, shared=shared, done=done, again=again, calls=calls)


def settings_of(*words):
    return config.load(header, [str(word) for word in words])[0]


def runs_of(whole, *words):
    return folds.all_runs(whole.root, settings_of(*whole.words, *words))


def test_processes_share_the_runs_and_a_killed_ones_is_taken_up(whole):
    assert whole.shared.code == 0 and "[1/2] fold1-407: another process works on it" in whole.shared.out
    assert "1 of 2 runs are finished, without fold1-407; nothing is pooled" in whole.shared.out
    assert whole.done.code == 0 and "fold2-407\nfinished before" in whole.done.out, whole.done.out
    assert whole.again.code == 0 and whole.again.out.count("finished before") == 2
    assert whole.calls == ["train.py", "inference.py"] * 2
    assert f"{whole.root} already holds this split; nothing was written." in whole.done.out
    assert not list((runs_of(whole)[0].folder.parent).glob(".*"))


def test_every_case_is_predicted_by_the_network_that_has_not_seen_it(whole):
    runs = runs_of(whole)
    output = runs[0].output.parent
    rows = pd.read_csv(output / "predictions.csv")
    assert len(rows) == 18 and not rows.duplicated(["folder", "case"]).any() and (rows.seed == 407).all()
    for run in runs:
        split = pd.read_csv(Path(run.settings.dir_split) / "split.csv")
        assert set(rows.case[rows.fold == run.fold]) == set(split.case[split.part == "test"])
        assert json.loads((run.folder / "header.json").read_text())["test_name"] == f"cv/{run.name}"
    found = json.loads((output / "metrics.json").read_text())
    assert found["overall"]["accuracy"]["value"] == pytest.approx((rows.predicted == rows.label).mean(), abs=1e-6)
    assert found["cases"] == found["patients"] == 18 and found["runs"] == {"pooled": 2, "of": 2}
    assert (
        found["seeds"]["407"]["overall"] == found["overall"] and "do not tell how much another seed" in whole.done.out
    )
    told = json.loads((output / "report.json").read_text())
    assert [one["sha256"] for one in told["weights"]["members"]] == [runreport.digest(run.weights) for run in runs]


def test_the_page_shows_the_pooled_run(whole):
    report = importlib.import_module("classification.report")
    done = start(report, whole.words)
    assert done.code == 0, done.out
    page = (runs_of(whole)[0].output.parent / "report.html").read_text()
    assert "18 radiographs classified" in page and "cv (2 networks, squeezenet1_1)" in page
    assert "each by networks that have not seen them" in page and "fold2-407/best.pt" in page


def test_a_failed_fold_is_named_and_the_rest_can_be_pooled(whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(runs_of(whole)[0].output.parents[1], out)
    (out / "cv" / "fold1-407" / "report.json").unlink()
    monkeypatch.setattr(trainings, "call", lambda line: 3)
    words = [*whole.words, f"dir_save={out}"]
    done = start(crossval, words)
    assert done.code == 1 and "failed: fold1-407: classification/train.py ended with exit code 3" in done.out
    assert "fold2-407\nfinished before" in done.out and "1 of 2 runs are finished" in done.out
    done = start(crossval, [*words, "--partial"])
    assert done.code == 0 and "PARTIAL: pooled from 1 of 2 runs; without fold1-407." in done.out
    assert (pd.read_csv(out / "cv" / "predictions.csv").fold == 2).all()
    done = start(crossval, [*words, "learning_rate=1e-3"])
    assert done.code == 1 and "trained with other settings (learning_rate: 0.0003 -> 0.001)" in done.out


def test_folds_that_started_from_other_weights_are_not_pooled(whole, tmp_path):
    out = shutil.copytree(whole.root.parent / "out", tmp_path / "out")
    done = start(crossval, [*whole.words, f"dir_save={out}", f"start_weights={runs_of(whole)[0].weights}"])
    assert done.code == 1 and "fold1-407: this run started from no weights file, not from" in done.out
    assert "finished before" not in done.out and "0 of 2 runs are finished" in done.out


def test_a_fold_is_finished_for_the_pairs_as_they_were(whole, tmp_path):
    splits, out = (shutil.copytree(whole.root.parent / name, tmp_path / name) for name in ("folds", "out"))
    one, other = runs_of(SimpleNamespace(root=splits, words=whole.words), f"dir_save={out}")
    assert folds.finished(one) and folds.finished(other)
    shutil.copy(*sorted((one.test / "normal").glob("*.image.npy"))[:2])  # another image under the same name
    shutil.copy(*sorted((other.test.with_name("train") / "normal").glob("*.image.npy"))[:2])
    assert not folds.finished(one) and not folds.finished(other)
    shutil.copytree(whole.root, splits, dirs_exist_ok=True)
    assert folds.finished(one) and folds.finished(other)
    draw_pair(one.test / "normal", "new", "normal", 5)  # which has no row
    assert not folds.finished(one)


def test_cases_that_the_start_knew_are_told_and_the_others_measured_apart(whole, tmp_path):
    out = shutil.copytree(whole.root.parent / "out", tmp_path / "out")
    table = out / "cv" / "fold1-407" / "predictions.csv"
    rows = pd.read_csv(table)
    rows.assign(trained_on=["train"] * 3 + ["val"] + [""] * (len(rows) - 4)).to_csv(table, index=False)
    done = start(crossval, [*whole.words, f"dir_save={out}"])
    assert done.code == 0 and "Note: 4 of 18 measured cases were trained on" in done.out
    assert "start_weights" not in whole.done.out
    found = json.loads((out / "cv" / "metrics.json").read_text())
    assert found["trained_on"] == {"train": 3, "val": 1} and found["not trained on"]["cases"] == 14
    assert (pd.read_csv(out / "cv" / "predictions.csv").trained_on == "val").sum() == 1


@pytest.mark.parametrize("typed", ["split_by=image", "split_seed=1", "split_parts=0.6,0.2,0.2", "dir_pairs", "folds=3"])
def test_folds_of_another_split_are_not_trained_on(whole, tmp_path, typed):
    if typed == "dir_pairs":
        typed = f"dir_pairs={shutil.copytree(whole.root.parent / 'pairs', tmp_path / 'pairs')}"
        draw_pair(tmp_path / "pairs" / "normal", "normal-0", "normal", 99)  # another under the same name
    done = start(crossval, [*whole.words, typed, "test_name=new"])
    assert done.code == 1 and f"{whole.root} holds another split (" in done.out and "--overwrite" in done.out
    assert not runs_of(whole, "test_name=new")[0].folder.parent.exists()


def test_folds_made_by_hand_stay_as_they_are(whole, tmp_path, monkeypatch):
    root = shutil.copytree(whole.root, tmp_path / "folds")
    (root / "split.json").unlink()
    monkeypatch.setattr(trainings, "call", lambda line: 3)
    done = start(crossval, [*whole.words, f"dir_split={root}", "split_by=image", "test_name=new"])
    assert "failed: fold2-407: classification/train.py ended with exit code 3" in done.out


def test_several_seeds_are_averaged(whole, tmp_path):
    """By runs of which the second seed's are copies of the first's, all of them wrong."""
    words = [f"dir_save={tmp_path}", "seeds=1,2"]
    runs, sources = runs_of(whole, *words), runs_of(whole)
    assert [run.name for run in runs] == ["fold1-1", "fold2-1", "fold1-2", "fold2-2"]
    for run in runs:
        shutil.copytree(sources[run.fold - 1].output, run.output)
        table = run.output / "predictions.csv"
        rows = pd.read_csv(table)
        other = rows.label.map({"normal": "viral", "viral": "normal", "bacterial": "viral"})
        rows.assign(predicted=rows.label if run.seed == 1 else other).to_csv(table, index=False)
    assert pool.write(runs, settings_of(*whole.words, *words), 4) == {"ok": 36, "refused": 0, "failed": 0}
    found = json.loads((runs[0].output.parent / "metrics.json").read_text())
    accuracy = [one["overall"]["accuracy"] for one in (found, found["seeds"]["1"], found["seeds"]["2"])]
    assert [one["value"] for one in accuracy] == [0.5, 1, 0]
    assert (accuracy[0]["low"], accuracy[0]["high"]) == (0, 1)  # either seed may be drawn alone
    exact = [proportion.interval(hits, 18) for hits in (18, 0)]
    assert [(one["low"], one["high"]) for one in accuracy[1:]] == [pytest.approx(bounds, abs=1e-6) for bounds in exact]
    assert start(importlib.import_module("classification.report"), [*whole.words, *words]).code == 0
    page = (runs[0].output.parent / "report.html").read_text()
    assert "36 answers of 2 trainings" in page and "intervals over seeds and patients" in page
    links = re.findall(r'href="#(case=[^"]+)"', page)
    assert len(links) == len(set(links)) == 36 and links[0].endswith("/1")


@pytest.mark.parametrize(
    "typed,told",
    [
        (["folds=1"], "at least 2"),
        (["seeds=407,407"], "different whole numbers"),
        (["seeds=a"], "different whole numbers"),
        (["restart=True"], "give another test_name"),
        (["file_weights=a.pt"], "leave file_weights out"),
        (["seed=1", "seeds=1,2"], "the same twice"),
    ],
)
def test_settings_that_make_no_sense_are_refused(typed, told, tmp_path):
    done = start(crossval, [f"dir_split={tmp_path / 'a'}", *typed])
    assert done.code == 1 and told in done.out and not any(tmp_path.iterdir())


def test_a_single_runs_place_is_not_taken(tmp_path):
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "predictions.csv").write_text("case,folder\na,b\n")
    with pytest.raises(BadData, match="name of their own, test_name=single-cv"):
        folds.check(settings_of(f"dir_save={tmp_path}", "test_name=single"))


def test_where_the_folds_lie(whole, split_pairs, tmp_path):
    assert folds.place(settings_of("folds=5")).name == "split-folds5"
    assert folds.place(settings_of("folds=5", f"dir_split={tmp_path}")) == tmp_path
    with pytest.raises(BadData, match="holds no folds: say how many"):
        folds.place(settings_of())
    with pytest.raises(BadData, match="one split and no folds"):
        folds.all_runs(split_pairs, settings_of())
    with pytest.raises(BadData, match="holds 2 folds, not 3"):
        runs_of(whole, "folds=3")


def test_shares(monkeypatch):
    assert folds.share(list("abcde"), "2/2") == ["b", "d"] and folds.share(list("abc"), "") == list("abc")
    with pytest.raises(BadRun, match="no share of the 3 runs"):
        folds.share(list("abc"), "4/3")
    assert crossval.array_task(15) == ""
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    assert crossval.array_task(15) == "7/15"
    with pytest.raises(BadRun, match="--array=1-5"):
        crossval.array_task(5)


def test_an_interruption_ends_the_script_at_work():
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            trainings.call([sys.executable, "-c", "import time; time.sleep(600)"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 300
