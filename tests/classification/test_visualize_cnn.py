"""visualize_cnn.py on drawn pairs and an untrained network: its files, its table, and what goes wrong."""

import json
import signal

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, checkpoint, draw_pair, run

from classification import header
from classification.cases import dataset
from classification.model import backbone, classifier
from classification.saliency import maps, overlay
from classification.voting import predict
from cxr import pairs
from cxr.run import engine
from cxr.settings import config

SCRIPT = "classification/visualize_cnn.py"
NAMES = ["normal", "a/b.c"]
WORDS = ["device=cpu", "img_size=96", "patch_size=48", "repeat=5", "num_batch_test=3", "num_workers=1", "refuse=0"]

# Runs a script, tells what it has imported in vain, and kills it as nothing can be caught of, when a case's files are
# there but for its map.
KILLER = """
import os, runpy, signal, sys
case = sys.argv.pop(1) + ".cam.npy"
sys.argv.pop(0)
sys.path.insert(0, os.path.dirname(os.path.dirname(sys.argv[0])))
from classification.saliency import maps
save = maps.save
def dying(path, values):
    if path.name == case:
        print(*({"sklearn", "scipy.stats", "matplotlib.figure"} & set(sys.modules)), file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    save(path, values)
maps.save = dying
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint of a network that was never trained, for folders normal and bacteria."""
    path = tmp_path_factory.mktemp("weights") / "best.pt"
    torch.manual_seed(0)
    model = backbone.build("resnet18", 2)
    with torch.no_grad():
        model.fc.weight *= 5
    settings = config.as_dict(config.load(header, WORDS)[0])
    engine.save(checkpoint(model, settings, NAMES, {"normal": 0, "bacteria": 1}), path)
    return path


@pytest.fixture
def radiographs(tmp_path):
    """A folder of pairs: two normal ones and one of bacteria whose name is no plain one."""
    root = tmp_path / "radiographs"
    for i, (folder, case) in enumerate((("normal", "n1"), ("normal", "n2"), ("bacteria", "<img src=x> 1.5"))):
        draw_pair(root / folder, case, folder, i)
    return root


def words(weights, radiographs, output, *more):
    return ["-i", radiographs, "-o", output, f"file_weights={weights}", *WORDS, *more]


def test_maps_pictures_and_table(call, weights, radiographs, tmp_path):
    output = tmp_path / "out"
    done = call(SCRIPT, *words(weights, radiographs, output, "--coverage"))
    assert done.code == 0, done.err
    assert "3 ok, 0 failed" in done.out and "scorecard.py" in done.out.splitlines()[-1]
    rows = pd.read_csv(output / "cams.csv").set_index("case")
    assert rows.status.tolist() == ["ok"] * 3 and set(rows.target) == {"predicted"}
    for case, row in rows.iterrows():
        found = np.load(output / row.folder / f"{case}.cam.npy")
        assert found.shape == (100, 120) and found.dtype == np.float16 and found.min() >= 0
        assert found.max() == pytest.approx(row[f"peak_{row.predicted}"], rel=2e-3)  # the raw scale
        counts = np.load(output / row.folder / f"{case}.coverage.npy")
        assert counts.max() <= 5 and (found[counts == 0] == 0).all()
        picture = cv2.imread(str(output / row.folder / f"{case}.cam.png"))
        assert picture.shape[0] > 100 and (np.ptp(picture.astype(int), axis=2) > 40).any()  # colours on the radiograph
    left = {path.name.split(".")[-1] for path in output.rglob("*.*")}
    assert left == {"npy", "png", "csv", "json"}  # no temporary file, no journal
    assert json.loads((output / "report.json").read_text())["settings"]["target"] == "predicted"


def test_the_row_is_the_vote(call, weights, radiographs, tmp_path):
    """Probabilities are those of the patches that predict.py lets vote."""
    call(SCRIPT, *words(weights, radiographs, tmp_path / "out"))
    rows = pd.read_csv(tmp_path / "out" / "cams.csv").set_index("case")
    settings = config.load(header, [*WORDS, f"file_weights={weights}"])[0]
    model, used, names, _ = classifier.open_classifier(weights, settings)
    image, lung = dataset.prepare(*pairs.load(radiographs / "normal", "n1"), 96)
    tally = predict.tally(predict.predict_image(model, image, lung, used, "n1", torch.device("cpu"))[0])
    assert rows.loc["n1", "predicted"] == NAMES[tally["predicted"]]
    assert rows.loc["n1", "p_normal"] == pytest.approx(tally["p"][0], abs=2e-6)


def test_all_classes_and_names_that_no_file_could_have(call, weights, radiographs, tmp_path):
    output = tmp_path / "out"
    assert call(SCRIPT, *words(weights, radiographs, output, "--target", "all")).code == 0
    names = sorted(path.name for path in (output / "normal").iterdir())
    assert names == sorted(
        f"{case}.{end}" for case in ("n1", "n2") for end in ("normal.cam.npy", "a%2Fb%2Ec.cam.npy", "cam.png")
    )
    single = tmp_path / "single"
    assert call(SCRIPT, *words(weights, radiographs, single, "--target", "a/b.c")).code == 0
    np.testing.assert_array_equal(
        np.load(single / "normal" / "n1.cam.npy"), np.load(output / "normal" / "n1.a%2Fb%2Ec.cam.npy")
    )


def test_unknown_class_offers_the_known(call, weights, radiographs, tmp_path):
    done = call(SCRIPT, *words(weights, radiographs, tmp_path / "out", "--target", "bacteria"))
    assert done.code == 1 and "normal, a/b.c, or predicted, or all" in done.err
    assert not (tmp_path / "out").exists()


def test_a_bad_pair_is_a_row_and_stops_nothing(call, weights, radiographs, tmp_path):
    output = tmp_path / "out"
    (radiographs / "normal" / "n1.image.npy").write_bytes(b"not an array")
    (radiographs / "normal" / "n2.mask.npy").unlink()
    done = call(SCRIPT, *words(weights, radiographs, output))
    assert done.code == 1 and "1 ok, 2 failed" in done.out
    rows = pd.read_csv(output / "cams.csv").set_index("case")
    assert rows.status[["n1", "n2"]].tolist() == ["failed"] * 2 and "n2.mask.npy" in rows.reason["n2"]
    draw_pair(radiographs / "normal", "n1", "normal", 0)
    draw_pair(radiographs / "normal", "n2", "normal", 1)
    done = call(SCRIPT, *words(weights, radiographs, output))
    assert done.code == 0 and "3 ok, 0 failed (1 were finished before)" in done.out


def test_finished_cases_are_skipped_and_others_refused(call, weights, radiographs, tmp_path):
    output = tmp_path / "out"
    call(SCRIPT, *words(weights, radiographs, output))
    file, lost = output / "normal" / "n1.cam.npy", output / "normal" / "n2.cam.png"
    before = file.stat().st_mtime_ns
    lost.unlink()
    assert "(2 were finished before)" in call(SCRIPT, *words(weights, radiographs, output)).out
    assert file.stat().st_mtime_ns == before and lost.exists()
    refused = call(SCRIPT, *words(weights, radiographs, output, "seed=1"))
    assert refused.code == 1 and "seed" in refused.err and file.stat().st_mtime_ns == before
    assert "(0 were finished before)" in call(SCRIPT, *words(weights, radiographs, output, "seed=1", "--overwrite")).out
    assert file.stat().st_mtime_ns != before


def test_killed_and_run_again(call, weights, radiographs, tmp_path):
    """The files are written behind the network: a row must not come before them, and a finished case have its row."""
    whole, output = tmp_path / "whole", tmp_path / "out"
    call(SCRIPT, *words(weights, radiographs, whole))
    (tmp_path / "killer.py").write_text(KILLER)
    dead = run(tmp_path / "killer.py", "n2", ROOT / SCRIPT, *words(weights, radiographs, output))
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    for module in ("sklearn", "scipy.stats", "matplotlib.figure"):  # what only labelled predictions need
        assert module not in dead.stderr
    lines = [json.loads(line) for line in (output / "cams.0.jsonl").read_text().splitlines()]
    assert [row["case"] for row in lines] == ["<img src=x> 1.5", "n1"]  # in the order of the cases
    assert not (output / "normal" / "n2.cam.npy").exists()
    done = call(SCRIPT, *words(weights, radiographs, output))
    assert "3 ok, 0 failed (2 were finished before)" in done.out
    for path in (path for path in whole.rglob("*.*") if path.name != "report.json"):
        assert path.read_bytes() == (output / path.relative_to(whole)).read_bytes()


def test_what_cannot_be_written_ends_the_run(call, weights, radiographs, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "normal").write_text("a file where the folder should be")
    done = call(SCRIPT, *words(weights, radiographs, output))
    assert done.code == 1 and f"{output / 'normal'}: a file lies where a folder is needed" in done.err
    rows = [json.loads(line) for line in (output / "cams.0.jsonl").read_text().splitlines()]
    assert [row["folder"] for row in rows] == ["bacteria"]


@pytest.mark.slow
def test_two_processes_write_what_one_does(weights, radiographs, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for output, processes in ((one, 1), (two, 2)):
        done = run(SCRIPT, *words(weights, radiographs, output), processes=processes)
        assert done.returncode == 0, done.stderr
    assert (one / "cams.csv").read_text() == (two / "cams.csv").read_text()
    for path in one.rglob("*.npy"):
        np.testing.assert_array_equal(np.load(path), np.load(two / path.relative_to(one)))


def test_float16_keeps_what_it_can(tmp_path):
    maps.save(tmp_path / "x.npy", np.array([[1e9, 0.25, 1e-12]], np.float32))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.array([[65504, 0.25, 0]], np.float16))


def test_picture_of_nothing_and_of_one_spot():
    image, mask = np.full((60, 400), 128, np.float32), np.zeros((60, 400), np.uint8)
    mask[10:50, 100:300] = 1
    values = np.zeros((2, 60, 400), np.float32)
    values[1, 20:40, 190:210] = 7
    picture = overlay.draw(image, mask, values, ["none\nat all", "x" * 200], ["p = 0.00", "p = 1.00"])
    top, side, gap = overlay.HEADER, overlay.SIDE, overlay.MARGIN
    first, second = (picture[top : top + 96, left : left + side].astype(int) for left in (gap, 2 * gap + side))
    assert (np.ptp(first, axis=2) == 0).all()  # grey: no colour where the map is zero
    assert np.ptp(second, axis=2)[48, 320] > 60 and np.ptp(second, axis=2)[48, 40] == 0
    assert (first[0, :90] == 128).all() and first[14:18, 320].max() > 200  # the radiograph, and the lungs' outline
    nothing = overlay.draw(image, mask, values[:1], ["none"], ["p"])
    assert nothing.shape[0] == picture.shape[0] and nothing.shape[1] < picture.shape[1]


@pytest.mark.parametrize("found", ["it cannot be read.", {"refused": "it is no radiograph."}])
def test_no_map_outlives_its_row(tmp_path, found):
    settings = config.replace(config.load(header, [])[0], target="all")
    case = dataset.Case("x", "f", tmp_path, None)
    files = [*maps.files(case, NAMES, "all"), f"x{maps.PICTURE}", f"x{maps.COVERAGE}"]
    (tmp_path / "f").mkdir()
    for name in [*files, "y.cam.npy"]:
        (tmp_path / "f" / name).write_bytes(b"")
    row = maps.finish(case, found, settings, NAMES, tmp_path, True)
    assert row["status"] == ("failed" if isinstance(found, str) else "refused") and row["reason"].startswith("it ")
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["y.cam.npy"]
