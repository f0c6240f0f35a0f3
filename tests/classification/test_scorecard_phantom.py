"""Whether the maps find what is there: scorecard.py on a phantom whose lesions are known, with a network taught it."""

import json

import pytest
from conftest import ROOT, run

from classification.map_scores.nullmaps import NULLS
from weights import make_phantom

WEIGHTS = ROOT / "weights" / "phantom.safetensors"
SEED = 407  # not the seed of what the network was taught (make_phantom.py's default): no patient of it is here
COUNTS = {"normal": 4, "bacteria": 34, "Tuberculosis": 26, "virus": 4, "COVID-19": 4}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Fresh patients' pairs by their true masks, and their lesions, whose contrasts the seed settles before any map."""
    root = tmp_path_factory.mktemp("phantom")
    make_phantom.draw(root, COUNTS, 384, SEED, {}, "test")
    return root


@pytest.fixture(scope="module")
def found(phantom, tmp_path_factory):
    """What scorecard.json says."""
    if not WEIGHTS.exists():
        pytest.fail(f"there is no {WEIGHTS.name}; the recipe is in weights/make_phantom.py")
    card = tmp_path_factory.mktemp("card")
    # By a majority patches without a lesion outvote those with one: the mean of their probabilities is asked.
    words = [f"file_weights={WEIGHTS}", f"dir_split={phantom / 'split'}", f"file_metadata={phantom / 'patients.csv'}"]
    words += ["--lesions", phantom / "lesions", "--scores", "lesion", "-o", card]
    done = run("classification/scorecard.py", *words, *"vote=mean repeat=40 device=cpu num_workers=1".split())
    assert done.returncode == 0, done.stderr
    return json.loads((card / "scorecard.json").read_text())


@pytest.mark.slow
def test_maps_find_focal_lesions(found):
    """On held-out patients with a focal disease the maps point into the lesion, and hold more of their sum in it, than
    every null map: the 95 % interval of the mean difference, over patients, begins above zero."""
    assert found["focal"] == ["Tuberculosis", "bacteria"]
    focal = found["groups"]["focal"]
    assert focal["cases"] >= 30 and focal["patients"] >= 15
    for score in ("pointing", "mass_lesion"):
        gaps = focal["compared"][score]["better_than"]
        assert set(gaps) == set(NULLS)
        for null, gap in gaps.items():
            assert gap["cases"] == focal["cases"] and gap["low"] > 0, (score, null, gap)
