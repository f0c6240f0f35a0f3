"""Files are written whole or not at all."""

import json
import os

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr import writing


def test_each_kind_reads_back(tmp_path):
    place = tmp_path / "new" / "folder"
    writing.text(place / "a.txt", "grün\n")
    writing.json(place / "a.json", {"a": [1, None]})
    writing.csv(place / "a.csv", pd.DataFrame({"case": ["007", "NA"]}))
    writing.array(place / "a.npy", np.arange(6.0).reshape(2, 3))
    writing.picture(place / "a.png", np.full((4, 5, 3), (200, 30, 10), np.uint8))
    assert (place / "a.txt").read_bytes() == "grün\n".encode()
    assert json.loads((place / "a.json").read_text()) == {"a": [1, None]}
    assert (place / "a.csv").read_text() == "case\n007\nNA\n"
    assert np.load(place / "a.npy").shape == (2, 3)
    assert cv2.imread(str(place / "a.png"))[0, 0].tolist() == [10, 30, 200]
    assert len(list(place.iterdir())) == 5


def test_a_name_that_is_no_utf8_is_written_legibly(tmp_path):
    name = os.fsdecode(b"ward_\xfc")
    writing.text(tmp_path / "a.html", name)
    writing.csv(tmp_path / "a.csv", pd.DataFrame({"folder": [name]}))
    assert (tmp_path / "a.html").read_text() == "ward_%FC" and (tmp_path / "a.csv").read_text() == "folder\nward_%FC\n"


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, fails):
    file = tmp_path / "a.json"
    writing.json(file, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    if fails != "write":
        monkeypatch.setattr(os, fails, full)  # a disk cannot be filled in a test
    with pytest.raises(TypeError if fails == "write" else OSError):
        writing.json(file, object() if fails == "write" else "new")
    assert json.loads(file.read_text()) == "old" and list(tmp_path.iterdir()) == [file]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda number: done.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    writing.text(tmp_path / "a", "x")
    assert done == ["fsync", "replace"]
