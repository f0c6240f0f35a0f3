"""Averaging weights with those that a training started from."""

import pytest
import torch

from cxr.run import caselist, engine, runreport
from weights.make_segmentation import average


def test_the_average_lies_between_start_and_end():
    start = {"w": torch.zeros(3), "n": torch.tensor(1)}
    end = {"w": torch.ones(3), "n": torch.tensor(7)}
    found = average(start, end, 0.3)
    torch.testing.assert_close(found["w"], torch.full((3,), 0.7))
    assert found["n"] == 7  # a count is the training's own
    assert torch.equal(average(start, end, 0.0)["w"], end["w"])
    assert torch.equal(average(start, end, 1.0)["w"], start["w"])
    for wrong, share in (({"w": torch.zeros(3)}, 0.3), (start, 1.5)):
        with pytest.raises(ValueError, match="same network"):
            average(wrong, end, share)


def test_an_export_has_its_card(trained, tmp_path, call):
    file = tmp_path / "my own.safetensors"
    best = trained.run / "best.pt"
    done = call("weights/make_segmentation.py", best, "-o", file, "--average", best, "--share", 0.2)
    assert done.code == 0, done.err
    card = file.with_suffix(".md").read_text()
    for told in ("images trained on | 9 |", "images that chose the epoch | 2 |", "| started from | none |"):
        assert told in card
    assert f"| averaged with | 0.2 of best.pt, sha256 `{runreport.digest(best)}` |" in card
    assert f"Next: python segmentation/evaluate.py 'file_weights={file}'" in done.out
    file.with_suffix(".md").write_bytes("Prüfung".encode("cp1252"))
    before = file.read_bytes()
    done = call("weights/make_segmentation.py", best, "-o", file, "--overwrite")
    assert done.code == 1 and "is not the card of" in done.err and file.read_bytes() == before
    assert "| kept | epoch " in card and "torch " in card and str(tmp_path) not in card


def test_only_cases_of_public_sets_keep_their_names(trained, tmp_path, call):
    held = engine.load(trained.run / "best.pt")
    public, private = ["JPCLN001", "JSRT", "train", "a" * 32], ["DOE-JOHN", "ward 7", "train", "b" * 32]
    held |= {"start": {"file": "earlier.pt", "sha256": "0", caselist.NAME: [private]}, caselist.NAME: [public]}
    engine.save(held, tmp_path / "best.pt")
    assert call("weights/make_segmentation.py", tmp_path / "best.pt", "-o", tmp_path / "a.safetensors").code == 0
    assert sorted(caselist.read(tmp_path / "a.safetensors")) == [["", "", *private[2:]], public]
    assert b"DOE" not in (tmp_path / "a.safetensors").read_bytes()
