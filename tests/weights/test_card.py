"""The model card: its sections in order, what is not known said so, and no figures of other weights."""

import json

import pandas as pd
import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file

from cxr.errors import BadData
from cxr.run import runreport
from weights import card, measured


@pytest.fixture
def file(tmp_path):
    """A small weights file that tells little of itself."""
    path = tmp_path / "mine.safetensors"
    about = {"settings": json.dumps({"seed": 408, "split_by": "patient"}), "classes": '["a", "b"]', "start": "null"}
    about["calibration"] = json.dumps({"temperature": 1.25, "thresholds": {"a": 0.5, "b": 1.0}, "cases": 50})
    about |= {"trained_on": json.dumps([["", "", "train", "x"]] * 5 + [["", "", "val", "y"]] * 2)}
    save_file({"w": torch.zeros(3, 4).half()}, path, about | {"network": "resnet18"})
    return path


def sections(text):
    return {part.split("\n")[0]: part for part in text.split("\n## ")[1:]}


def test_what_is_known_and_what_is_not(file):
    text = card.write(file).read_text()
    found = sections(text)
    order = list(found)
    assert order.index("Intended use") < order.index("Ground truth") < order.index("Split") < order.index("Evaluation")
    assert order.index("Evaluation") < order.index("Failures") < order.index("Limitations")
    assert "| images trained on | 5 |" in found["Split"] and "| images that chose the epoch | 2 |" in found["Split"]
    assert "| started from | none |" in found["Training"] and "| seed | 408 |" in found["Training"]
    assert "| numbers | 12, half precision |" in found["Model"]
    assert (
        "| temperature | 1.250 |" in found["Evaluation"] and "| thresholds | a 0.500, b 1.000 |" in found["Evaluation"]
    )
    assert found["Ground truth"].strip().endswith("not recorded") and found["Subgroups"].strip().endswith(
        "not measured"
    )


def test_figures_notes_and_audit(file):
    (file.parent / "notes").mkdir()
    notes = file.parent / "notes" / "mine.md"
    notes.write_text("## Ground truth\n\nTwo readers.\n")
    figures = file.parent / "figures"
    for name in ("inference", "audit"):
        (figures / name).mkdir(parents=True)
        told = {"weights": {"sha256": runreport.digest(file)}, "settings": {"repeat": 9}}
        (figures / name / "report.json").write_text(json.dumps(told))
    entry = {"value": 1.0, "low": 0.398, "high": 1.0}
    classes = {"a": {"cases": 4, "patients": 4, "sensitivity": entry}}
    scores = {"cases": 4, "patients": 4, "overall": {"accuracy": entry}, "per_class": classes}
    scores |= {"classes": ["a", "b"], "confusion": [[4, 0], [0, 0]]}
    (figures / "inference" / "metrics.json").write_text(json.dumps(scores))
    one = {"name": "accuracy: size", "value": 0.7, "low": None, "high": None, "cases": 4, "patients": 4}
    part = {"title": "Can size tell?", "verdict": "It can.", "accused": True, "missing": "Age.", "figures": [one]}
    (figures / "audit" / "audit.json").write_text(json.dumps({"parts": {"outside": part}}))
    found = sections(card.describe(file, figures))
    assert "Two readers." in found["Ground truth"] and "not recorded" not in found["Ground truth"]
    assert "9 patches vote, 4 images of 4 patients" in found["Evaluation"]
    assert "| a | 4 | 4 | 1.000 (0.398 to 1.000) |" in found["Subgroups"]
    assert "evidence of a shortcut: It can. Not tested: Age." in found["Lungs or hospital"]
    assert "| accuracy: size | 0.700 | 4 | 4 |" in found["Lungs or hospital"] and "| a | 4 | 0 |" in found["Failures"]

    notes.write_text("## Grund truth\n")
    with pytest.raises(ValueError, match="have the section 'Grund truth'"):
        card.describe(file, figures)
    notes.unlink()
    told = {"weights": {"sha256": "of others"}}
    (figures / "audit" / "report.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="does not tell of these weights"):
        card.describe(file, figures)


def test_no_other_text_is_replaced(file):
    file.with_suffix(".md").write_text("# Mine\n")
    with pytest.raises(ValueError, match="is not the card of mine.safetensors"):
        card.write(file)


def test_masks_by_set(tmp_path):
    folder = tmp_path / "evaluate-montgomery"
    folder.mkdir()
    rows = [("all", "jaccard_lungs_union", 9, 0.9, 0.8, 1.0), ("tuberculosis", "jaccard_lungs_union", 4, 0.7, 0.6, 0.8)]
    pd.DataFrame(rows, columns=["group", "metric", "n", "mean", "low", "high"]).to_csv(folder / "summary.csv")
    pd.DataFrame({"organ": ["heart"], "case": ["x"], "jaccard": [0.1]}).to_csv(folder / "worst.csv")
    (folder / "report.json").write_text('{"weights": {"sha256": "s"}}')
    for name in ("summary.csv", "worst.csv"):  # as a spreadsheet saves them
        held = (folder / name).read_text()
        (folder / name).write_text(held.replace(",", ";").replace(".", ","), encoding="utf-16")
    found = measured.sections(tmp_path, {"settings": {"train_sets": ["montgomery"]}}, "s")
    assert (
        "| Montgomery (80 % of it trained on), all | lungs, union | 9 | 0.900 (0.800 to 1.000) |"
        in found["Evaluation"][0]
    )
    assert "tuberculosis" in found["Subgroups"][0] and "| heart | x | 0.100 |" in found["Failures"][0]


@pytest.mark.parametrize(
    "file,held",
    [
        ("report.json", '{"weights": [1]}'),
        ("summary.csv", "group,figure,n,mean,low,high\n"),
        ("summary.csv", 'group,metric,n,mean,low,high\nall,"jaccard_heart,9,1,1,1\n'),
        ("worst.csv", ""),
        ("shift_summary.csv", "shift,n,jaccard_lungs_union,low,high,worst_5_percent,change,flagged\n"),
        ("shift_summary.csv", "shift,n,jaccard_lungs_union,low,high\nnone,9,1,1,1\n"),
        ("metrics.json", '{"overall": {}, "cases": 9, "patients": 9, "per_class": [1]}'),
        ("audit.json", '{"parts": {"a": {"accused": "x"}}}'),
    ],
)
def test_damaged_figures_are_named(tmp_path, file, held):
    folder = {"shift_summary.csv": "shift-jsrt", "metrics.json": "inference", "audit.json": "audit"}
    folder = tmp_path / folder.get(file, "evaluate-jsrt")
    folder.mkdir()
    (folder / "report.json").write_text('{"weights": {"sha256": "s"}, "settings": {"repeat": 9}}')
    (folder / file).write_text(held)
    with pytest.raises(BadData, match=str(folder / file)):
        measured.sections(tmp_path, {}, "s")


@pytest.mark.parametrize("name", ["segmentation", "segmentation-wide", "classification"])
def test_the_cards_that_ship_are_of_the_files_that_ship(name):
    file = ROOT / "weights" / f"{name}.safetensors"
    shipped = file.with_suffix(".md").read_text(encoding="utf-8")
    assert runreport.digest(file) in shipped and list(sections(shipped)) == list(sections(card.describe(file)))
