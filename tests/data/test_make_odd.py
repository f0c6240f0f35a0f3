"""Images that no one should classify: what cannot be copied is named, and the next command works as it stands."""

import shlex

import cv2
import numpy as np
import pytest


@pytest.fixture
def odd(call, monkeypatch):
    """make_odd.py without the photographs, which take a second."""
    monkeypatch.setattr("data.make_odd.PHOTOGRAPHS", [])
    return lambda *words: call("data/make_odd.py", *words)


def test_a_damaged_radiograph_is_named_and_the_others_are_copied(tmp_path, odd):
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(4096, dtype=np.uint8).reshape(64, 64))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    done = odd(tmp_path / "my odd", "--of", tmp_path / "a.png", tmp_path / "b.png", "--count", 0)
    assert done.code == 1 and "failed: " in done.out and "b.png" in done.out and "Wrote 5 images." in done.out
    assert sorted(path.name for path in (tmp_path / "my odd").glob("*/*.png")) == ["a.png"] * 3 + [
        "black.png",
        "grey.png",
    ]
    place = str(tmp_path / "my odd")
    following = ["python", "segmentation/inference.py", "-i", place, "-o", f"{place}-pairs"]
    assert shlex.split(done.out.splitlines()[-1].split("Next: ")[1]) == following


@pytest.mark.parametrize(
    "words,told",
    [(["--of", "nowhere"], "nowhere does not exist"), (["--seed", -1], "from 0 on"), (["--count", -1], "from 0 on")],
)
def test_what_cannot_be_drawn_says_why(tmp_path, odd, words, told):
    done = odd(tmp_path / "odd", *words)
    assert done.code and told in done.err
    assert not (tmp_path / "odd").exists()
