"""The report page: all that a run has, nothing that runs or fetches, and a sensible page for a run that lacks much."""

import base64
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import draw_pair
from PIL import Image
from report_runs import CLASSES, FAILED, HOSTILE, SHA, write_run

from classification.cases.finder import Case
from classification.page import findings, pictures, render
from cxr import digest, pairs

REPORT = "classification/report.py"
CAUTION = "Research use, not for clinical decisions"


class Read(HTMLParser):
    """The elements of a page with their attributes, the text of each script, and the text that is shown."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.shown, self._open = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append([dict(attributes), ""])
        self._open = tag

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1][1] += data
        elif self._open != "style":
            self.shown += data

    def data(self, name):
        return next(json.loads(text) for attributes, text in self.scripts if attributes.get("id") == name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    return SimpleNamespace(root=root, rows=write_run(root))


@pytest.fixture
def read(call, tmp_path):
    """Write the report of a run with these words, and read it: its process and the page."""

    def make(run, *words):
        done = call(REPORT, "-i", run, "-o", tmp_path / "report.html", "dir_split=nowhere", "dir_pairs=nowhere", *words)
        text = (tmp_path / "report.html").read_text(encoding="utf-8") if done.code == 0 else ""
        return done, Read(text)

    return make


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole.root, tmp_path / "copy")
    return tmp_path / "copy"


def test_one_file_that_holds_everything(whole, read):
    done, found = read(whole.root / "run")
    assert done.code == 0 and "Note" not in done.out and "22 cases" in done.out and "pictures inside" in done.out
    held = found.data("data")
    assert held["names"] == CLASSES
    assert [(one["folder"], one["case"]) for one in held["cases"]] == list(
        zip(whole.rows.folder, whole.rows.case, strict=True)
    )
    for one, row in zip(held["cases"], whole.rows.to_dict("records"), strict=True):
        failed = row["status"] == "failed"
        assert one["right"] == (None if failed or not row["label"] else row["label"] == row["predicted"])
        assert one["votes"] == (None if failed else [row[f"votes_{name}"] for name in CLASSES])
        assert failed or set(one["markers"]) >= {"ctr", "lung_mean", "area_lungs_mm2"}
        assert one["mask"] == ("unknown" if failed else "flagged" if one["case"][-2:] == "-1" else "ok")
        assert one["set"] == row["set"] and (failed or one["set"].replace("|", ", ") in found.shown)
        assert one["view"] == ("" if failed or one["case"][-2:] == "-0" else "PA")
    assert next(m["name"] for m in held["markers"]) == "lung_fraction"
    metrics = json.loads((whole.root / "run" / "metrics.json").read_text())
    for entry in (metrics["overall"]["accuracy"], metrics["per_class"]["normal"]["auroc"]):
        assert f"{entry['value']:.2f}" in found.shown and f"{entry['low']:.2f}–{entry['high']:.2f}" in found.shown
    cells = [
        f"{n} of {truth} predicted {said}"
        for truth, row in zip(CLASSES, metrics["confusion"], strict=True)
        for said, n in zip(CLASSES, row, strict=True)
    ]
    assert cells == [a["aria-label"] for tag, a in found.elements if tag == "button" and "data-predicted" in a]
    assert found.shown.count(CAUTION) == 3
    for text in (SHA, SHA[::-1], "weights/mine.pt", "torch 2.13", "patch_size", "drawn", "2026-01-02T03:04:05+00:00"):
        assert text in found.shown


def test_the_audit_of_the_predictions_is_shown(copy, read):
    figure = {"name": f"AUROC {HOSTILE}", "value": 0.81, "low": 0.72, "high": 0.88}
    figure |= {"cases": 9, "patients": 8, "note": ""}
    gap = figure | {"name": "gap", "value": -0.1, "low": None, "high": None}
    part = {"title": "Is it?", "means": "Bad.", "verdict": f"It is {HOSTILE}.", "missing": "", "figures": [figure, gap]}
    parts = {str(word): part | {"accused": word} for word in (True, False, None)}
    (copy / "run" / "audit").mkdir()
    (copy / "run" / "audit" / "audit.json").write_text(json.dumps({"cases": 19, "patients": 10, "parts": parts}))
    done, found = read(copy / "run")
    assert done.code == 0 and "Note" not in done.out
    assert found.shown.count(f"It is {HOSTILE}.") == 3 and "0.72–0.88" in found.shown and "-0.10" in found.shown
    assert [word for word in ("not accused", "not tested", "Lungs or hospital?") if word not in found.shown] == []
    (copy / "run" / "audit" / "audit.json").write_text(json.dumps({"cases": 3, "patients": 3, "parts": parts}))
    assert "the audit is of 3 cases" in read(copy / "run")[0].out
    made = {"cases": 19, "patients": 10, "parts": parts, "digest": "of others"}
    (copy / "run" / "audit" / "audit.json").write_text(json.dumps(made))
    done, found = read(copy / "run")
    assert "Note: the audit is of other predictions" in done.out and "It is" not in found.shown


def test_the_page_is_titled_by_the_network_and_tells_what_it_has_seen(copy, read):
    for file, more in (
        ("report.json", {"weights": {"file": "checkpoint/classification/tuned/best.pt", "sha256": SHA}}),
        ("metrics.json", {"trained_on": {"train": 3, "val": 1}}),
    ):
        held = json.loads((copy / "run" / file).read_text())
        (copy / "run" / file).write_text(json.dumps(held | more))
    done, found = read(copy / "run")
    assert done.code == 0 and "4 of 19 measured cases were trained on" in done.out
    assert "tuned (resnet18): radiographs classified" in found.shown
    held = json.loads((copy / "run" / "metrics.json").read_text()) | {"trained_on": None}
    (copy / "run" / "metrics.json").write_text(json.dumps(held))
    done, found = read(copy / "run")
    assert "the weights do not tell which cases they were trained on" in done.out
    assert "The weights do not tell which cases" in found.shown


def test_pairs_are_found_where_the_predictions_came_from(copy, read):
    """Also without metrics.json, which unlabelled cases do not have."""
    (copy / "run" / "metrics.json").unlink()
    shutil.move(copy / "pairs", copy / "elsewhere")
    told = json.loads((copy / "run" / "report.json").read_text())
    (copy / "run" / "report.json").write_text(json.dumps(told | {"input": [str(copy / "elsewhere")]}))
    done, _ = read(copy / "run")
    assert done.code == 0 and "have no radiograph to show" not in done.out


def test_nothing_runs_but_the_script_and_nothing_is_fetched(whole, read):
    _, found = read(whole.root / "run")
    policy = next(a["content"] for tag, a in found.elements if a.get("http-equiv"))
    code = [text for attributes, text in found.scripts if not attributes.get("type")]
    assert len(code) == 1
    digest = base64.b64encode(hashlib.sha256(code[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and policy.startswith("default-src 'none'; img-src data:;")
    assert {tag for tag, _ in found.elements} & {"iframe", "object", "embed", "base", "audio", "video"} == set()
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "img" and "src" in attributes:
            assert attributes["src"].startswith("data:image/webp;base64,")
        assert tag != "link" or attributes["href"] == "data:,"
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", " ".join(code) + found.shown)
    # A hostile name is text in the page, and cannot end the script element that holds it in JSON.
    assert found.shown.count(HOSTILE) >= 2 and FAILED in found.shown
    assert render.data({"</script><!--": "\u2028"}) == '{"\\u003c/script\\u003e\\u003c!--":"\\u2028"}'


def test_pictures_show_radiograph_outlines_and_maps(whole, read):
    _, found = read(whole.root / "run")
    cases = found.data("data")["cases"]
    for i, one in enumerate(cases):
        held = found.data(f"picture-{i}")
        if one["status"] == "failed":
            assert "radiograph" not in held and "was not found" in held["told"][0]
            continue
        image, mask = pairs.load(whole.root / "pairs" / one["folder"], one["case"])
        radiograph = cv2.imdecode(np.frombuffer(base64.b64decode(held["radiograph"].split(",")[1]), np.uint8), 0)
        assert radiograph.shape == image.shape == (held["height"], held["width"]) and held["told"] == []
        assert np.abs(radiograph - image).mean() < 8
        assert [organ for organ, _ in held["outlines"]] == ["left", "right"]
        drawn = np.zeros((1000, 1200), np.uint8)
        for _, path in held["outlines"]:
            cv2.fillPoly(drawn, [trace(path)], 1)
        large = cv2.resize(mask, (1200, 1000), interpolation=cv2.INTER_NEAREST)
        assert (drawn & large).sum() / (drawn | large).sum() > 0.96
        assert [one["name"] for one in held["maps"]] == CLASSES
        peaks = [one["peak"] for one in held["maps"]]
        top = Image.open(io.BytesIO(base64.b64decode(held["maps"][int(np.argmax(peaks))]["address"].split(",")[1])))
        shown = np.asarray(top.convert("RGBA"))
        assert shown.shape[:2] == image.shape
        if one["case"][-2:] == "-2":
            assert peaks == [0, 0, 0] and shown[..., 3].max() == 0
        else:
            np.testing.assert_allclose(peaks, one["p"], rtol=2e-3)
            assert tuple(shown[40, 90]) == (*pictures.PALETTE[-1], 255)
            assert shown[95, 5, 3] == 0 and shown[40, 90 + 10, 3] == pytest.approx(255 * np.exp(-0.25), abs=6)


def trace(path):
    """The points of an outline, in its own units."""
    start, steps = re.fullmatch(r"M(-?\d+ -?\d+)l([-\d ]+)z", path).groups()
    steps = np.array([start.split(), *np.array(steps.split()).reshape(-1, 2)], int)
    return steps.cumsum(0).astype(np.int32)


def test_outlines_of_a_mask_without_labels_and_with_a_hole():
    rows, columns = np.mgrid[:300, :400]
    ring = abs(np.hypot(rows - 150, columns - 200) - 80) < 30
    ((name, path),) = pictures.outlines(ring.astype(np.uint8), (150, 200), named=False)
    assert name == "lungs" and path.count("M") == path.count("z") == 2
    assert pictures.outlines(np.zeros((50, 50)), (50, 50), named=True) == []


def test_500_noisy_radiographs_stay_below_60_megabytes():
    rng = np.random.default_rng(1)
    for spread in (5, 20, 60, 200):
        held, size = pictures.radiograph(np.clip(rng.normal(128, spread, (1100, 1000)), 0, 255))
        assert len(pictures.embed("radiograph.webp", held)) < 100_000 and min(size) > 300
    rough = cv2.GaussianBlur(rng.random((1100, 1000)).astype(np.float32), (0, 0), 16)  # rougher than any map
    rough = (rough - rough.min()) / np.ptp(rough)
    assert len(pictures.embed("map0.png", pictures.coloured(rough, 1.0))) < 20_000


def test_predicted_maps_and_an_unlabelled_run_without_anything_else(tmp_path, read):
    write_run(tmp_path / "a", each=2, target="predicted")
    run = tmp_path / "a" / "run"
    _, found = read(run)
    held = found.data("data")
    told = [[one["name"] for one in found.data(f"picture-{i}")["maps"]] for i in range(len(held["cases"]))]
    assert told == [[] if one["status"] == "failed" else [one["predicted"]] for one in held["cases"]]
    text = (run / "predictions.csv").read_text()
    for label in CLASSES:
        text = re.sub(rf"(?m)^([^,]*,[^,]*),{re.escape(label)},", r"\1,,", text)
    (run / "predictions.csv").write_text(text)
    for path in (run / "metrics.json", run / "report.json", run / "cams" / "cams.csv"):
        path.unlink()
    for path in ("masks.csv", "biomarkers", "report.json"):
        path = tmp_path / "a" / "pairs" / path
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done, found = read(run)
    assert done.code == 0 and "there are no maps" in done.out and "there is no biomarkers.csv" in done.out
    assert "there is no masks.csv" in done.out and "9 cases have no radiograph to show; name" in done.out
    assert "name no class, so nothing can be measured" in found.shown and "Predicted classes" in found.shown
    assert "Confusion" not in found.shown and "True class" not in found.shown
    assert not [a for tag, a in found.elements if tag == "svg" and a.get("class") == "plot"]
    done, found = read(run, "--pairs", tmp_path / "a" / "pairs")
    assert sum("radiograph" in found.data(f"picture-{i}") for i in range(10)) == 9 and "no radiograph" not in done.out


def test_figures_of_other_scripts_stand_in_the_page(copy, read):
    files = [copy / "run" / "scorecard" / "scorecard.png", copy / "pairs" / "biomarkers" / "biomarkers.png"]
    files.append(copy / "checkpoint" / "curves.png")
    for number, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), 50 * number).save(file)
    made = json.loads((copy / "run" / "report.json").read_text())
    best = copy / "checkpoint" / "best.pt"
    best.write_bytes(b"weights")  # of which SHA is
    (copy / "checkpoint" / "header.json").write_text("{}")
    made["weights"]["file"] = str(best)
    (copy / "run" / "report.json").write_text(json.dumps(made))
    done, found = read(copy / "run", "--pairs", copy / "pairs")
    held = {a["alt"].split(":")[0]: a["src"] for tag, a in found.elements if tag == "img" and ":" in a.get("alt", "")}
    assert done.code == 0 and list(held) == ["Training", "Biomarkers by class", "Maps"]
    for file, name in zip(files, ("Maps", "Biomarkers by class", "Training"), strict=True):
        assert base64.b64decode(held[name].partition(",")[2]) == file.read_bytes()
    best.write_bytes(b"others")  # trained anew since
    told = {"weights": {"file": str(best), "sha256": "of others"}}
    (copy / "run" / "scorecard" / "report.json").write_text(json.dumps(told))
    done, found = read(copy / "run", "--pairs", copy / "pairs")
    assert "checkpoint has trained other weights since" in done.out
    assert "the scores of the maps are of other weights" in done.out
    held = [a["alt"].split(":")[0] for tag, a in found.elements if tag == "img" and ":" in a.get("alt", "")]
    assert held == ["Biomarkers by class"]


def test_what_is_known_of_another_cohort_of_these_names_is_not_shown(copy, read):
    """Neither where it lies in dir_pairs, nor beside pairs that are others by now; nor are its radiographs."""
    shutil.move(copy / "pairs" / "biomarkers", copy / "other" / "biomarkers")
    rows = pd.read_csv(copy / "run" / "predictions.csv").assign(digest="0123456789abcdef")
    rows.to_csv(copy / "run" / "predictions.csv", index=False)
    Image.new("L", (8, 8)).save(copy / "other" / "biomarkers" / "biomarkers.png")
    told = "there is no biomarkers.csv of these pairs"
    words = "--pairs", copy / "pairs"
    assert told in read(copy / "run", *words, f"dir_pairs={copy / 'other'}")[0].out
    shutil.move(copy / "other" / "biomarkers", copy / "pairs" / "biomarkers")
    for mask in (copy / "pairs").rglob("*.mask.npy"):
        mask.write_bytes(mask.read_bytes()[:-1] + b"\1")
    done, found = read(copy / "run", *words)
    assert told in done.out and not any(one["markers"] for one in found.data("data")["cases"])
    assert not [a for tag, a in found.elements if a.get("alt", "").startswith("Biomarkers by class")]
    for name in ("report.json", "metrics.json"):
        (copy / "run" / name).unlink()
    assert "have no radiograph to show" in read(copy / "run", f"dir_pairs={copy / 'pairs'}")[0].out


def test_votes_radiographs_and_maps_of_different_pairs_do_not_stand_together(copy, read):
    tables = [copy / "run" / name for name in ("predictions.csv", "cams/cams.csv")]
    for table in tables:
        rows = pd.read_csv(table)
        made = [digest.of_pair(copy / "pairs" / row.folder, row.case) for row in rows.itertuples()]
        rows.assign(digest=made).to_csv(table, index=False)
    words = copy / "run", "--pairs", copy / "pairs"
    assert "Note" not in read(*words)[0].out
    draw_pair(copy / "pairs" / "normal", "normal-0", "virus", 99)  # another radiograph under the same name
    done, found = read(*words)
    number = next(i for i, one in enumerate(found.data("data")["cases"]) if one["case"] == "normal-0")
    assert "Note: 1 of 22 cases have changed since they were predicted" in done.out
    assert "radiograph" not in found.data(f"picture-{number}")
    rows = pd.read_csv(tables[0]).set_index("case", drop=False)
    rows.loc["normal-0", "digest"] = digest.of_pair(copy / "pairs" / "normal", "normal-0")  # predicted again
    rows.to_csv(tables[0], index=False)
    done, found = read(*words)
    assert "Note: the maps of 1 cases are of other pairs" in done.out and "since they were" not in done.out
    held = found.data(f"picture-{number}")
    assert "radiograph" in held and held["maps"] == [] and found.data(f"picture-{number + 1}")["maps"]


def test_masks_alone(copy, call):
    """The page of stage 1: every row of masks.csv with its outlines, flagged ones first, and no word of votes."""
    rows = pd.read_csv(copy / "pairs" / "masks.csv").assign(ctr=0.5, margin=0.9, area_heart=100)
    rows.loc[0, ["status", "reason"]] = "failed", FAILED
    rows.to_csv(copy / "pairs" / "masks.csv", index=False)
    done = call("segmentation/report.py", "-i", copy / "pairs")
    assert done.code == 0 and "Note" not in done.out, done.err
    found = Read((copy / "pairs" / "report.html").read_text(encoding="utf-8"))
    cases = found.data("data")["cases"]
    assert len(cases) == len(rows) and found.shown.count("radiographs segmented") == 2
    assert [one["mask"] for one in cases] == ["flagged"] * 4 + ["unknown"] + ["ok"] * (len(rows) - 5)
    assert all(("radiograph" in found.data(f"picture-{i}")) for i, one in enumerate(cases))
    assert cases[0]["markers"] == {"ctr": 0.5, "margin": 0.9, "area_heart": 100}
    assert "0.900" in found.shown and "Margin" in found.shown and "Votes and p" not in found.shown
    assert not [a for tag, a in found.elements if a.get("onerror")]
    done = call("segmentation/report.py", "-i", copy / "run")
    assert done.code == 1 and "make it with segmentation/inference.py" in done.err


def test_without_masks_csv_the_predictions_tell_of_flags(whole):
    found = findings.cases(whole.rows.assign(mask="left lung missing"), CLASSES, {}, {})
    assert {(one["mask"], one["mask_reason"]) for one in found} == {("flagged", "left lung missing")}
    older = findings.cases(whole.rows.drop(columns=["mask", "set"]), CLASSES, {}, {})
    assert {(one["mask"], one["set"]) for one in older} == {("unknown", "")}


def test_a_labelled_run_without_metrics_or_with_those_of_other_cases(copy, read):
    file = copy / "run" / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps(metrics | {"cases": 5}))
    done, _ = read(copy / "run")
    assert "the metrics are of the 5 cases of the last run" in done.out
    file.write_text(json.dumps(metrics | {"classes": ["a", "b", "c"]}))
    done, found = read(copy / "run")
    assert "has other classes than predictions.csv" in done.out and "Confusion" not in found.shown
    file.unlink()
    done, found = read(copy / "run", "--pairs", copy / "pairs")
    assert "there is no metrics.json of these cases" in done.out and "Reliability" in found.shown
    assert len([a for tag, a in found.elements if tag == "svg" and a.get("class") == "plot"]) == 2


def test_a_run_in_which_all_failed(copy, read):
    file = copy / "run" / "predictions.csv"
    file.write_text(f"case,folder,label,patient,status,reason,predicted\nx,normal,,x,failed,{HOSTILE},\n")
    (copy / "run" / "metrics.json").unlink()
    done, found = read(copy / "run")
    assert done.code == 0 and "1 case" in found.shown and HOSTILE in found.shown


def test_maps_of_another_run_or_radiograph_or_damaged(copy, read):
    cams = copy / "run" / "cams"
    told = json.loads((cams / "report.json").read_text())
    told["settings"]["seed"] = 8
    told["weights"]["sha256"] = "other"
    (cams / "report.json").write_text(json.dumps(told))
    np.save(cams / "normal" / "normal-0.normal.cam.npy", np.zeros((7, 7), np.float16))
    (cams / "normal" / "normal-1.normal.cam.npy").write_bytes(b"\x93NUMPY")
    (cams / "normal" / "normal-3.normal.cam.npy").unlink()
    done, found = read(copy / "run")
    assert "the maps were made with other seed, weights than the predictions" in done.out
    names = [one["case"] for one in found.data("data")["cases"]]
    for case, reason in {
        "normal-0": "no map of this radiograph",
        "normal-1": "cannot be read",
        "normal-3": "cannot be read",
    }.items():
        held = found.data(f"picture-{names.index(case)}")
        assert reason in held["told"][0] and [one["name"] for one in held["maps"]] == CLASSES[1:]


def test_many_cases_have_their_pictures_beside_the_page(whole, read, tmp_path):
    done, found = read(whole.root / "run", "--embed", "21")
    beside = tmp_path / "report_files"
    assert "their pictures in" in done.out and len(list(beside.iterdir())) == 21 * (2 + 3)
    held = found.data("picture-0")
    for address in (held["radiograph"], *(one["address"] for one in held["maps"])):
        assert (tmp_path / address).is_file() and re.fullmatch(r"report_files/000000\.\w+\.\w+", address)
    assert "'self'" in next(a["content"] for _, a in found.elements if a.get("http-equiv"))
    assert (tmp_path / "report.html").stat().st_size < 200_000
    (beside / "mine.txt").write_text("kept")
    read(whole.root / "run", "--embed", "22")
    assert [path.name for path in beside.iterdir()] == ["mine.txt"]


def test_default_places(whole, call, tmp_path, monkeypatch):
    """Without a word: dir_save/test_name, its cams, and, as metrics.json names no folder that exists, the split."""
    shutil.copytree(whole.root / "run", tmp_path / "saved" / "drawn")
    shutil.copytree(whole.root / "pairs", tmp_path / "output")
    for folder in ("normal", "bacteria", "virus", "clinic"):
        shutil.copytree(whole.root / "pairs" / folder, tmp_path / "split" / "test" / folder)
    file = tmp_path / "saved" / "drawn" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"input": ["nowhere"]}))
    monkeypatch.chdir(tmp_path)
    words = ["dir_save=saved", "test_name=drawn", "dir_split=split", "dir_pairs=output"]
    done = call(REPORT, *words)
    found = Read((tmp_path / "saved" / "drawn" / "report.html").read_text(encoding="utf-8"))
    assert done.code == 0 and "Note" not in done.out, done.out
    assert {one["mask"] for one in found.data("data")["cases"]} == {"ok", "flagged", "unknown"}
    assert found.data("picture-0")["maps"] and found.data("data")["cases"][0]["markers"]["ctr"] is None
    shutil.rmtree(tmp_path / "split")
    assert "Note" not in call(REPORT, *words).out


@pytest.mark.parametrize(
    "words,told",
    [
        (["-i", "nowhere"], "predictions.csv; make it with classification/inference.py"),
        (["-o", "folder.html"], "folder.html is not a page; name a file that ends in .html."),
        (["-o", "page.pdf"], "page.pdf is not a page"),
        (["--pairs", "nowhere"], "there is no folder nowhere;"),
        (["--maps", "nowhere"], "cams.csv; make it with classification/visualize_cnn.py"),
        (["--biomarkers", "nowhere.csv"], "nowhere.csv; make it with classification/biomarkers.py"),
        (["-i", "damaged"], "metrics.json, line 1 is damaged ("),
        (["-i", "columns"], "has no column votes_normal, "),
        (["-i", "strange"], "speaks of loud, but has no such column p_"),
        (["-i", "blank"], "has another status than prediction of bacteria/bacteria-0"),
        (["-i", "votes"], "lacks a whole number of votes of bacteria/bacteria-0"),
        (["-i", "weights"], "report.json does not hold what it should (AttributeError"),
        (["-i", "overall"], "metrics.json and audit.json of "),
    ],
)
def test_what_cannot_be_reported_says_why(whole, call, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    for name in ("damaged", "columns", "strange", "blank", "votes", "weights", "overall"):
        shutil.copytree(whole.root / "run", tmp_path / name)
    (tmp_path / "damaged" / "metrics.json").write_text('{"overall": ')
    text = (whole.root / "run" / "predictions.csv").read_text()
    for name, column, value in (("blank", "predicted", ""), ("votes", "votes_normal", np.inf)):
        table = pd.read_csv(io.StringIO(text), keep_default_na=False)
        table[column] = table[column].where(table.case != "bacteria-0", value)
        table.to_csv(tmp_path / name / "predictions.csv", index=False)
    for name, file, entries in (("weights", "report.json", {"weights": [1]}), ("overall", "metrics.json", {})):
        held = json.loads((tmp_path / name / file).read_text())
        held.get("overall", {}).pop("precision", None)
        (tmp_path / name / file).write_text(json.dumps(held | entries))
    (tmp_path / "columns" / "predictions.csv").write_text(text.replace("votes_", "v_"))
    (tmp_path / "strange" / "predictions.csv").write_text(text.replace("ok,,normal,", "ok,,loud,"))
    done = call(REPORT, "-i", whole.root / "run", "-o", "report.html", "dir_split=none", "dir_pairs=none", *words)
    assert done.code == 1 and told in done.err.splitlines()[-1]
    assert not (tmp_path / "report.html").exists()


def test_a_pair_without_labels_and_one_whose_labels_do_not_fit(tmp_path):
    draw_pair(tmp_path, "one", "normal", 1)
    (tmp_path / "one.labels.npy").unlink()
    held = pictures.draw(Case("one", "x", tmp_path, None), [], pictures.embed)
    assert [organ for organ, _ in held["outlines"]] == ["lungs"] and held["maps"] == []
    np.save(tmp_path / "one.labels.npy", np.zeros((3, 3), np.uint8))
    held = pictures.draw(Case("one", "x", tmp_path, None), [], pictures.embed)
    assert "radiograph" not in held and "differ in shape" in held["told"][0]


@pytest.mark.parametrize(
    "settings,told",
    [
        ({"approach": "global"}, "The network saw each masked image whole, once."),
        (
            {"approach": "dense", "vote": "mean"},
            "Every window of the lung voted; the mean of their probabilities decided",
        ),
        ({"vote": "majority"}, "20 patches of the lung voted on each."),
    ],
)
def test_how_the_votes_came_about(copy, read, settings, told):
    file = copy / "run" / "report.json"
    held = json.loads(file.read_text())
    file.write_text(json.dumps(held | {"settings": held["settings"] | settings}))
    _, found = read(copy / "run")
    assert told in " ".join(found.shown.split())
