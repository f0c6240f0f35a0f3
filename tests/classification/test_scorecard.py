"""scorecard.py: its table, summary and figure on drawn pairs."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import checkpoint, draw_pair
from PIL import Image

from classification import header
from classification.cases.finder import Case
from classification.map_scores import casescore, criteria, summary
from classification.model import backbone, classifier
from cxr.run import engine
from cxr.settings import config

SCRIPT = "classification/scorecard.py"
WORDS = ["device=cpu", "img_size=96", "patch_size=48", "repeat=8", "repeat_val=2", "num_batch_test=8", "num_workers=1"]
WORDS += ["refuse=0"]  # drawn pairs are no radiographs


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint of a network that was never trained and calls everything bacterial."""
    path = tmp_path_factory.mktemp("weights") / "best.pt"
    torch.manual_seed(0)
    model = backbone.build("squeezenet1_1", 2)
    with torch.no_grad():
        model.classifier[1].bias[:] = torch.tensor([0.0, 3.0])
    settings = config.as_dict(config.load(header, WORDS)[0])
    engine.save(checkpoint(model, settings, ["normal", "bacterial"], {"normal": 0, "bacteria": 1}), path)
    return path


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory):
    """Pairs of normal and bacteria, and lesions of two of the latter, on the pairs' grid."""
    root = tmp_path_factory.mktemp("radiographs")
    for i, (folder, case) in enumerate((("normal", "n"), ("bacteria", "b1"), ("bacteria", "b2"), ("bacteria", "b3"))):
        draw_pair(root / "pairs" / folder, case, folder, i)
    (root / "lesions" / "bacteria").mkdir(parents=True)
    for case in ("b1", "b2"):
        lesion = np.zeros((100, 120), np.uint8)
        lesion[40:55, 25:40] = 255
        cv2.imwrite(str(root / "lesions" / "bacteria" / f"{case}.png"), lesion)
    return root


def words(weights, radiographs, output, *more):
    own = [f"file_weights={weights}", f"dir_split={radiographs / 'none'}", *WORDS]
    return ["-i", radiographs / "pairs", "-o", output, *own, *more]


def test_rows_summary_and_figure(call, weights, radiographs, tmp_path):
    output = tmp_path / "out"
    done = call(
        SCRIPT, *words(weights, radiographs, output, "--lesions", radiographs / "lesions", "--steps", 2, "--draws", 2)
    )
    assert done.code == 0, done.err
    assert "3 scored, 1 misclassified, 0 failed" in done.out
    rows = pd.read_csv(output / "scorecard.csv").set_index("case")
    assert rows.status.to_dict() == {"b1": "ok", "b2": "ok", "b3": "ok", "n": "wrong"}
    for null in ("saliency", "centre", "lung", "coverage", "noise"):
        for score in ("pointing", "mass_lesion"):
            assert rows[f"{score}_{null}"].notna().tolist() == [True, True, False, False]
        for score in ("deletion", "insertion"):
            assert rows[f"{score}_{null}"][:3].between(0, 1).all()
    assert (rows.mass_lung_lung[:3] == 1).all() and rows.mass_lung_saliency[:3].between(0.1, 1).all()
    assert rows.mass_lesion_lung["b1"] == pytest.approx(rows.lesion_fraction["b1"], rel=0.01)
    assert {f"agreement_saliency_{k}" for k in (1, 2, 4, 8)} <= set(rows.columns)
    assert rows.agreement_saliency_8[:3].between(-1, 1).all() and rows["similarity_three_quarters"][:3].notna().any()
    found = json.loads((output / "scorecard.json").read_text())
    assert found["focal"] == ["bacterial"] and found["counts"] == {"ok": 3, "wrong": 1, "refused": 0, "failed": 0}
    focal = found["groups"]["focal"]
    assert focal["cases"] == focal["patients"] == 3
    gap = focal["compared"]["mass_lesion"]["better_than"]["lung"]
    assert gap["cases"] == 2 and gap["low"] <= gap["value"] <= gap["high"]
    expected = (rows.mass_lesion_saliency - rows.mass_lesion_lung).mean()
    assert gap["value"] == pytest.approx(expected, abs=1e-6)
    deletion = focal["compared"]["deletion"]["better_than"]["centre"]["value"]
    assert deletion == pytest.approx((rows.deletion_centre - rows.deletion_saliency).mean(), abs=1e-6)
    assert "noise" not in focal["compared"]["mass_lung"]["better_than"]
    assert cv2.imread(str(output / "scorecard.png")).shape[1] > 1000
    again = call(
        SCRIPT, *words(weights, radiographs, output, "--lesions", radiographs / "lesions", "--steps", 2, "--draws", 2)
    )
    assert again.code == 0 and "(4 were finished before)" in again.out
    assert json.loads((output / "scorecard.json").read_text()) == found
    refused = call(SCRIPT, *words(weights, radiographs, output, "--lesions", radiographs / "lesions", "--steps", 3))
    assert refused.code == 1 and "steps" in refused.err


def test_without_lesions_and_with_faulty_ones(call, weights, radiographs, tmp_path):
    done = call(SCRIPT, *words(weights, radiographs, tmp_path / "a", "--scores", "lesion", "lung"))
    assert done.code == 0, done.err
    rows = pd.read_csv(tmp_path / "a" / "scorecard.csv")
    assert "pointing_saliency" not in rows and "deletion_saliency" not in rows and "mass_lung_saliency" in rows
    found = json.loads((tmp_path / "a" / "scorecard.json").read_text())
    assert found["focal"] == [] and set(found["groups"]) == {"all", "class bacterial"}
    lesions = shutil.copytree(radiographs / "lesions", tmp_path / "drawn")
    asked = words(weights, radiographs, tmp_path / "d", "--scores", "lesion", "--lesions", lesions)
    assert call(SCRIPT, *asked).code == 0
    cv2.imwrite(str(lesions / "bacteria" / "b1.png"), np.tri(100, 120, dtype=np.uint8))  # drawn anew
    done = call(SCRIPT, *asked)
    assert "Note: 1 cases are done again" in done.out and "(3 were finished before)" in done.out
    case, about = Case("b2", "bacteria", radiographs / "pairs" / "bacteria", None), Image.Exif()
    about[274] = 3
    upright = casescore.read_lesion(lesions, case, 96)
    file = lesions / "bacteria" / "b2.png"
    Image.open(file).rotate(180).save(file, exif=about)
    assert np.array_equal(casescore.read_lesion(lesions, case, 96), upright)
    other = tmp_path / "lesions" / "bacteria"
    other.mkdir(parents=True)
    cv2.imwrite(str(other / "b1.png"), np.zeros((10, 10), np.uint8))
    (other / "b2.png").write_bytes(b"no picture")
    done = call(SCRIPT, *words(weights, radiographs, tmp_path / "b", "--scores", "lesion", "--lesions", other.parent))
    assert done.code == 1 and "1 scored, 1 misclassified, 2 failed" in done.out and "b1.png" in done.out
    done = call(SCRIPT, *words(weights, radiographs, tmp_path / "c", "--lesions", radiographs / "nowhere"))
    assert done.code == 1 and "nowhere" in done.err and not (tmp_path / "c").exists()


def test_settings_without_effect_are_told_and_refuse_nothing(call, weights, radiographs, tmp_path):
    """The whole image is asked once, so that repeat decides nothing; the seed draws the null maps still."""
    few = ["--scores", "lung", "approach=global"]
    done = call(SCRIPT, *words(weights, radiographs, tmp_path / "a", *few, "vote=mean", "seed=3"))
    assert done.code == 0, done.err
    assert "repeat, repeat_val, vote typed without effect: approach=global" in done.out
    assert f"weights: {weights} (named by file_weights)" in done.out
    again = call(SCRIPT, *words(weights, radiographs, tmp_path / "a", *few, "repeat=5", "seed=3"))
    assert again.code == 0 and "(4 were finished before)" in again.out, again.err
    refused = call(SCRIPT, *words(weights, radiographs, tmp_path / "a", *few, "seed=4"))
    assert refused.code == 1 and "other seed" in refused.err


def test_networks_are_asked_with_their_channels_last(call, weights, radiographs, tmp_path, monkeypatch):
    """As convolutions are fastest; those with layers drawn anew are no others for it."""
    seen = []
    ask = casescore.score

    def spy(model, networks, *arguments):
        seen.append((model, networks))
        return ask(model, networks, *arguments)

    monkeypatch.setattr(casescore, "score", spy)
    done = call(SCRIPT, *words(weights, radiographs, tmp_path / "a", "--scores", "layers"))
    assert done.code == 0, done.err
    model, networks = seen[0]
    plain = classifier.open_classifier(weights, config.load(header, WORDS)[0])[0]
    drawn = criteria.randomised(plain, config.load(header, WORDS)[0].seed)
    assert len(networks) == len(drawn) == 5
    for network, same in ((model, plain), *((networks[name], drawn[name]) for name in drawn)):
        kernels = [weight for weight in network.parameters() if weight.ndim == 4 and min(weight.shape[1:]) > 1]
        assert kernels and all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
        for weight, expected in zip(network.parameters(), same.parameters(), strict=True):
            assert torch.equal(weight, expected)


def test_interval_is_over_patients():
    values = np.array([0.0] * 50 + [1.0] * 50)
    two = summary.interval(values, ["a"] * 50 + ["b"] * 50, seed=0)
    many = summary.interval(values, list(range(100)), seed=0)
    assert two["value"] == many["value"] == 0.5
    assert (two["low"], two["high"]) == (0, 1)  # two patients tell little, however many radiographs each has
    assert 0.38 < many["low"] < 0.43 and 0.57 < many["high"] < 0.62
    assert summary.interval([np.nan, 2.0], ["a", "b"], 0) == {"value": 2.0, "low": None, "high": None, "cases": 1}
    assert summary.interval([np.nan], ["a"], 0)["value"] is None
