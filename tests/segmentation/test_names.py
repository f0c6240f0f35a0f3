"""Names of radiographs that no table could hold, or that two files share."""

import os
import shutil

import pandas as pd
import pytest
from conftest import TINY

from cxr import pairs

SEGMENT = "segmentation/inference.py"


@pytest.fixture
def segment(trained, films, tmp_path, call):
    """Segment radiographs named by bytes, from tmp_path/in to tmp_path/out: the process, and masks.csv."""
    films = sorted((films / "JSRT").iterdir())

    def start(*names, given="in", words=()):
        (tmp_path / given).mkdir(parents=True, exist_ok=True)
        for name, film in zip(names, films, strict=False):
            shutil.copy(film, tmp_path / given / os.fsdecode(name))
        weights = f"file_weights={trained.run / 'best.pt'}"
        done = call(SEGMENT, "-i", tmp_path / given, "-o", tmp_path / "out", *TINY, weights, "overlays=False", *words)
        return done, pd.read_csv(tmp_path / "out" / "masks.csv", dtype=str, keep_default_na=False)

    return start


def test_a_name_that_is_not_utf8_is_a_case_like_any_other(segment, tmp_path):
    for before in (0, 2):
        done, rows = segment(b"M\xfcller.png", b"good.png")
        assert done.code == 0, done.err
        assert f"({before} were finished before)" in done.out
        assert rows.case.tolist() == ["M%FCller", "good"] and rows.file[0].endswith("in/M%FCller.png")
        assert pairs.find(tmp_path / "out" / "in") == ["M%FCller", "good"]
