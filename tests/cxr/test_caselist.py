"""Which cases a network was trained on: told by the image, wherever it lies and whatever it is called."""

import json

import pytest
import torch
from safetensors.torch import save_file

from cxr.errors import BadData
from cxr.run import caselist


@pytest.fixture
def files(tmp_path):
    found = [tmp_path / f"{i}.image.npy" for i in range(4)]
    for i, file in enumerate(found):
        file.write_bytes(bytes(300_000) + bytes([i]) + bytes(300_000))  # alike but for one byte in the middle
    return found


def test_the_image_tells_and_not_its_name(files, tmp_path):
    listed = caselist.listing({"train": [("a", "ill", files[0])], "val": [("b", "ill", files[1])]})
    torch.save({"model": {}, caselist.NAME: listed}, tmp_path / "best.pt")
    cases = [("x", "new", files[0]), ("b", "ill", files[1]), ("a", "ill", files[2]), ("y", "ill", files[3])]
    found, notes = caselist.seen(tmp_path / "best.pt", [*cases, ("gone", "ill", tmp_path / "gone.npy")])
    assert found == {("new", "x"): "train", ("ill", "b"): "val"}
    assert notes[0].startswith("2 of 5 were trained on (1 to train, 1 to choose the epoch)")
    assert notes[1].startswith("1 of 5 have the folder and name of a case trained on, but another image file")


def test_what_the_start_has_seen_counts_too(files, tmp_path):
    lists = [caselist.listing({"train": [("a", "ill", file)], "val": []}) for file in files[:2]]
    torch.save({caselist.NAME: lists[0], "start": {caselist.NAME: lists[1]}}, tmp_path / "best.pt")
    cases = [(str(i), "new", file) for i, file in enumerate(files)]
    assert set(caselist.seen(tmp_path / "best.pt", cases)[0]) == {("new", "0"), ("new", "1")}


def test_weights_that_are_given_away_name_nobody(files, tmp_path):
    listed = caselist.nameless(caselist.listing({"train": [("somebody", "ill", files[0])], "val": []}))
    assert "somebody" not in json.dumps(listed)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {caselist.NAME: json.dumps(listed)})
    assert caselist.seen(tmp_path / "a.safetensors", [("x", "", files[0])])[0] == {("", "x"): "train"}
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    assert caselist.unseen(tmp_path / "a.safetensors") == ""


def test_weights_that_keep_no_list_say_so(files, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    told = {caselist.NAME: json.dumps(caselist.listing({"train": [("x", "ill", files[0])], "val": []}))}
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors", told)
    both = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    found, notes = caselist.seen(both, [("x", "ill", file) for file in files[:2]])
    assert found == {("ill", "x"): "train"} and "do not tell which cases they were trained on" in notes[0]
    assert caselist.unseen(both) == "unknown" and caselist.seen(both[0], []) == ({}, notes[:1])


def test_the_same_cases_elsewhere(files):
    one, other = (caselist.listing({"train": [("a", folder, files[0])], "val": []}) for folder in ("here", "there"))
    assert caselist.same(one, other)
    assert not caselist.same(one, caselist.listing({"train": [("a", "here", files[1])], "val": []}))


def test_what_a_training_was_left_with(files):
    def kept(image, mask):
        return caselist.kept({"train": [("a", "ill", files[image])], "val": []}, [files[mask]])

    state = kept(0, 1)
    assert caselist.unchanged(state, kept(0, 1)) and caselist.unchanged({}, state)
    assert not caselist.unchanged(state, kept(2, 1)) and not caselist.unchanged(state, kept(0, 2))
    assert caselist.unchanged({caselist.NAME: state[caselist.NAME]}, kept(0, 2))  # of before there were digests
    with pytest.raises(BadData, match="nowhere cannot be read"):
        caselist.kept({"train": [("a", "ill", files[0].with_name("nowhere"))], "val": []}, [])
