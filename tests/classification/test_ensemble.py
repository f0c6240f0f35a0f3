"""Several networks that vote together: their answers are those of each, pooled; members that differ are refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CLASSIFYING

from classification import header
from classification.cases import finder
from classification.cases.classes import class_map
from classification.model import backbone, weightfile
from classification.trust import subject
from classification.voting import predict
from cxr.run import caselist, engine, runreport
from cxr.settings import config

NAMES = ["normal", "bacterial", "viral"]
P, VOTES = [f"p_{name}" for name in NAMES], [f"votes_{name}" for name in NAMES]

USED = [word for word in CLASSIFYING if not word.startswith("net_label")]  # the files tell theirs


@pytest.fixture(scope="module")
def members(split_pairs, tmp_path_factory):
    """Two networks of different kinds, which have seen two test cases, as the runs of a cross-validation leave them."""
    root = tmp_path_factory.mktemp("runs") / "cv"
    settings, _ = config.load(header, CLASSIFYING)
    seen = finder.find([split_pairs / "test" / "virus"]).cases[:2]
    for fold, label in ((1, "squeezenet1_1"), (2, "efficientnet_lite0")):
        engine.seed_torch(fold)
        about = list(map(finder.about, seen))
        parts = {"train": about[:1] if fold == 1 else [], "val": about if fold == 2 else []}
        state = {"model": backbone.build(label, 3).state_dict(), "settings": config.as_dict(settings), "classes": NAMES}
        state |= {"folders": class_map(settings.classes, [])[1], caselist.NAME: caselist.listing(parts)}
        engine.save(state | {"input_scaling": "raw" if fold == 1 else "lite"}, root / f"fold{fold}-407" / "best.pt")
    return sorted(root.glob("*/best.pt"))


@pytest.fixture
def three(members, split_pairs, tmp_path, call):
    """A script run with each of two weights and with both: its three outputs, and what the last run said."""

    def start(script, *words):
        outputs = [tmp_path / name for name in ("a", "b", "both")]
        for output, weights in zip(outputs, [*members, ",".join(map(str, members))], strict=True):
            words = *words, *USED, "repeat=4", "-i", split_pairs / "test" / "virus", "-o", output
            done = call(script, *words, f"file_weights={weights}")
            assert done.code == 0, done.err
        return *outputs, done

    return start


def test_votes_are_pooled_and_probabilities_averaged(three, members):
    a, b, both, done = three("classification/inference.py")
    one, other, pooled = (pd.read_csv(folder / "predictions.csv") for folder in (a, b, both))
    assert (pooled.case == one.case).all() and not (one[P].round(2) == other[P].round(2)).all(axis=None)
    np.testing.assert_allclose(pooled[P], (one[P] + other[P]) / 2, atol=2e-6)
    assert (pooled[VOTES] == one[VOTES] + other[VOTES]).all(axis=None) and (pooled.patches == 8).all()
    assert (pooled.coverage == one.coverage).all()
    told = json.loads((both / "report.json").read_text())
    assert told["weights"]["members"] == [{"file": str(path), "sha256": runreport.digest(path)} for path in members]
    assert told["weights"]["file"] == str(members[0].parents[1])
    assert told["settings"]["net_label"] == "squeezenet1_1+efficientnet_lite0"
    assert "Note: 2 of 3 were trained on (1 to train, 1 to choose the epoch)" in done.out
    assert f"{members[1]} (2 networks, named by file_weights)" in done.out


def test_maps_are_averaged(three):
    a, b, both, _ = three("classification/visualize_cnn.py", "--target", "viral")
    for path in sorted((both / "virus").glob("*.cam.npy")):
        one, other, pooled = (np.load(folder / "virus" / path.name).astype(float) for folder in (a, b, both))
        assert pooled.max() > 0
        np.testing.assert_allclose(pooled, (one + other) / 2, atol=2e-3 * pooled.max())
    assert len(list((both / "virus").glob("*.cam.npy"))) == 3


def test_the_scorecard_takes_them(members, split_pairs, tmp_path, call):
    words = [*USED, "repeat=4", "repeat_val=1", "-i", split_pairs / "test", "--scores", "agreement", "layers"]
    done = call("classification/scorecard.py", *words, "-o", tmp_path, f"file_weights={members[0].parents[1]}")
    assert done.code == 0, done.err
    rows = pd.read_csv(tmp_path / "scorecard.csv")
    rows = rows[rows.status == "ok"]
    assert len(rows) and rows[["agreement_saliency_4", "similarity_all"]].notna().all(axis=None)


def test_the_audit_knows_what_several_have_seen(members, split_pairs, tmp_path, call):
    words = [*USED, "repeat=1", f"file_weights={members[0]},{members[1]}"]
    virus = split_pairs / "test" / "virus"
    assert call("classification/inference.py", *words, "-i", virus, "-o", tmp_path).code == 0

    def seen(*more):
        about = config.load(header, [*words, *more])[0], torch.device("cpu"), [virus], tmp_path / "predictions.csv"
        return [*subject.gather(*about)[0].predictions.seen]

    assert seen() == ["train", "val", ""]
    listless = engine.load(members[1])
    engine.save({key: value for key, value in listless.items() if key != caselist.NAME}, tmp_path / "listless.pt")
    assert set(seen(f"file_weights={members[0]},{tmp_path / 'listless.pt'}")) == {"unknown"}


def test_the_audit_asks_the_network_that_made_the_predictions(members, split_pairs, tmp_path, call):
    """And not the run of test_name, which knows the same classes."""
    virus, run = split_pairs / "test" / "virus", members[1].parent
    words = [*USED, "repeat=1", f"dir_checkpoint={run.parent}", f"test_name={run.name}"]
    done = call("classification/inference.py", *words, f"file_weights={members[0]}", "-i", virus, "-o", tmp_path)
    assert done.code == 0, done.err

    def asked(*more):
        about = config.load(header, [*words, *more])[0], torch.device("cpu"), [virus], tmp_path / "predictions.csv"
        found, weights, notes = subject.gather(*about)
        assert (found.model is None) == (weights is None)
        return weights, [*found.predictions.seen], " ".join(notes)

    unknown = ["unknown"] * 3
    assert asked()[:2] == (members[0], ["train", "", ""])
    weights, seen, notes = asked(f"file_weights={members[1]}")
    assert (weights, seen) == (members[1], unknown) and "is not the one that made the predictions" in notes
    report = json.loads((tmp_path / "report.json").read_text())
    report["weights"]["sha256"] = "of other weights"
    (tmp_path / "report.json").write_text(json.dumps(report))
    weights, seen, notes = asked()
    assert weights is None and seen == unknown and "that of the predictions is not known, or gone" in notes


def test_the_error_of_the_draw_is_that_of_the_places():
    p = np.random.default_rng(0).dirichlet([1, 1], 5)
    alone, twice = predict.tally(p), predict.tally(np.concatenate([p, p]), members=2)
    assert twice["standard_error"] == alone["standard_error"] and (twice["votes"] == 2 * alone["votes"]).all()


def test_members_that_differ_are_refused(members, tmp_path, call):
    saved = engine.load(members[1])
    saved["settings"] |= {"patch_size": 64}
    engine.save(saved, tmp_path / "other.pt")
    words = [*(word for word in USED if not word.startswith("patch_size")), "-i", tmp_path]
    (tmp_path / "a").mkdir()
    done = call("classification/inference.py", *words, f"file_weights={members[0]},{tmp_path / 'other.pt'}")
    assert done.code == 1 and len(done.err.splitlines()) == 1
    assert "other.pt differ in patch_size (48, 64), and cannot vote together; leave one out." in done.err


def test_files_and_folders_that_stand_for_several(members, tmp_path, monkeypatch):
    def found(typed):
        return weightfile.find_weights(config.load(header, [f"file_weights={typed}"])[0])[0]

    folder = members[0].parents[1]
    assert found(folder) == found(f"['{members[0]}', '{members[1]}']") == found(f"{members[0]},{folder}") == members
    assert found(members[0]) == found(f"{members[0]},{members[0]}") == members[0]
    with pytest.raises(ValueError, match="holds no run of a cross-validation"):
        found(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.pt").touch()
    assert found("a,b.pt") == tmp_path / "a,b.pt"
    settings, _ = config.load(header, [f"file_weights={members[0]},{members[1]}"])
    again, _ = config.load(header, config.command("x", settings, ["file_weights"]).split()[2:])
    assert again.file_weights == settings.file_weights


def test_of_a_cross_validation_all_runs_vote_or_none(members, tmp_path):
    folder, split = shutil.copytree(members[0].parents[1], tmp_path / "cv"), tmp_path / "folds"
    settings, _ = config.load(header, [f"file_weights={folder}"])
    trained = config.as_dict(settings) | {"epoch_max": 2, "dir_split": str(split / "fold1")}

    def leave(fold, epoch):
        state = {"epoch": epoch, "risen": epoch, "best_epoch": epoch, "settings": trained}
        engine.save(state, folder / f"fold{fold}-407" / "last.pt")

    leave(1, 2), leave(2, 2)
    assert len(weightfile.find_weights(settings)[0]) == 2
    leave(2, 1)
    (split / "fold3" / "train").mkdir(parents=True)  # which was never begun
    (folder / "fold4-407").mkdir()  # which has no epoch yet
    with pytest.raises(ValueError, match="not finished without fold2-407, fold3-407, fold4-407: run classification"):
        weightfile.find_weights(settings)


def test_a_segmentation_takes_one(members):
    from segmentation import header as stage1
    from segmentation import weights

    with pytest.raises(ValueError, match="takes the weights of one network, not 2"):
        weights.find_weights(config.load(stage1, [f"file_weights={members[0]},{members[1]}"])[0])


def test_the_order_of_files_changes_no_digest(members):
    assert runreport.digest(members) == runreport.digest(members[::-1]) != runreport.digest(members[0])
