"""The factors of the arg-max: a bias of the network is found on validation, kept with the weights, and used."""

import json
import shutil

import pytest
import torch

from cxr.labels import HEART
from cxr.run import runreport
from cxr.run.engine import load, save
from cxr.settings import config
from cxr.stats import overlap
from segmentation import class_factors, fcdensenet, header, weights


def soft(target, widen):
    """(1, 4, H, W) probabilities whose edges lie outside the target's by a blur, the heart's more than the lungs'."""
    one_hot = torch.nn.functional.one_hot(target, 4).permute(2, 0, 1).float()[None]
    blurred = torch.nn.functional.avg_pool2d(one_hot, 9, 1, 4)
    factors = torch.tensor([1.0, widen * 2, widen, widen])[:, None, None]
    return blurred * factors / (blurred * factors).sum(1, keepdim=True)


@pytest.fixture
def target():
    labels = torch.zeros(64, 64, dtype=torch.int64)
    labels[16:48, 8:24], labels[16:48, 40:56], labels[36:50, 26:38] = 3, 2, HEART
    return labels


def test_a_bias_is_found(target):
    image = torch.zeros(1, 64, 64)
    found = class_factors.fit(lambda images: soft(target, 4.0), [(image, target)])
    assert found[0] >= 2 and found[1] < 1 and found[2:] == [1.0, 1.0]
    labels = class_factors.apply(soft(target, 4.0), found).argmax(1)[0]
    plain = soft(target, 4.0).argmax(1)[0]
    for organ in (1, 2, 3):
        better = overlap.jaccard(labels == organ, target == organ)
        assert better > overlap.jaccard(plain == organ, target == organ) and better > 0.8


def test_nothing_to_gain_changes_nothing(target):
    exact = torch.nn.functional.one_hot(target, 4).permute(2, 0, 1).float()[None]
    assert class_factors.fit(lambda images: exact, [(torch.zeros(1, 64, 64), target)]) == [1.0, 1.0, 1.0, 1.0]
    assert class_factors.apply(exact, [1.0] * 4) is exact


def test_weighed_probabilities_sum_to_one():
    given = torch.rand(2, 4, 8, 8).softmax(1)
    weighed = class_factors.apply(given, [4.0, 0.5, 1.0, 1.0])
    assert torch.allclose(weighed.sum(1), torch.ones(2, 8, 8))
    assert torch.allclose(weighed[:, 2] / weighed[:, 0], given[:, 2] / given[:, 0] / 4)


def test_training_keeps_them_and_inference_takes_them(trained, tmp_path):
    best = load(trained.run / "best.pt")
    assert best["decision"][2:] == [1.0, 1.0] and best["decision"][0] in class_factors.BACKGROUND
    save(best | {"decision": [4.0, 0.5, 1.0, 1.0]}, tmp_path / "best.pt")
    settings = config.load(header, [])[0]
    _, used, notes = weights.open_network(tmp_path / "best.pt", settings)
    assert used.decision == [4.0, 0.5, 1.0, 1.0] and any(note.startswith("decision=[4.0, 0.5") for note in notes)
    typed = config.load(header, ["decision=[1.0,1.0,1.0,1.0]"])[0]
    assert weights.open_network(tmp_path / "best.pt", typed)[1].decision == [1.0] * 4


@pytest.mark.parametrize("words", ["decision=[1.0,1.0]", "decision=[1.0,0.0,1.0,1.0]"])
def test_factors_that_are_none(trained, words):
    with pytest.raises(ValueError, match="4 factors above 0"):
        weights.open_network(trained.run / "best.pt", config.load(header, [words])[0])


def test_a_training_refuses_them_and_an_unknown_schedule_before_anything_is_thrown_away(trained, tmp_path, call):
    run = tmp_path / "kept"
    shutil.copytree(trained.run, run)
    before = (run / "best.pt").read_bytes()
    for word, told in (("decision=[1.0,1.0]", "4 factors above 0"), ("schedule=onecylce", "is unknown")):
        words = [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=kept", "restart=True", word]
        done = call("segmentation/train.py", *words)
        assert done.code == 1 and told in done.err and (run / "best.pt").read_bytes() == before


def test_weights_of_other_classes_are_refused(tmp_path):
    save({"model": fcdensenet.build("fcdensenet56", 1, 2).state_dict()}, tmp_path / "two.pt")
    with pytest.raises(ValueError, match="two.pt knows 2 classes; here they are four"):
        weights.open_network(tmp_path / "two.pt", config.load(header, [])[0])


def test_results_made_before_the_setting_was_known_go_on(tmp_path):
    weights, report = tmp_path / "w.pt", tmp_path / "report.json"
    weights.write_bytes(b"weights")
    settings = config.load(header, [])[0]
    (tmp_path / "masks.csv").write_text("case,folder\n")
    report.write_text(json.dumps({"settings": {"gamma": 0.5}, "weights": {"sha256": runreport.digest(weights)}}))
    runreport.check(report, settings, weights, ("gamma", "decision"))
    report.write_text(report.read_text().replace("0.5", "0.7"))
    with pytest.raises(ValueError, match="other gamma"):
        runreport.check(report, settings, weights, ("gamma", "decision"))
    (tmp_path / "masks.csv").unlink()  # a folder that holds no case is no reason to refuse
    runreport.check(report, settings, weights, ("gamma", "decision"))
