"""Names of radiographs that no table could hold, or that two files share."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, TINY

from cxr import pairs
from cxr.errors import BadRun
from cxr.run import lock

SEGMENT = "segmentation/inference.py"


@pytest.fixture
def segment(trained, radiographs, tmp_path, call):
    """Segment radiographs named by bytes, from tmp_path/in to tmp_path/out: the process, and masks.csv."""
    radiographs = sorted((radiographs / "JSRT").iterdir())

    def start(*names, given="in", words=()):
        (tmp_path / given).mkdir(parents=True, exist_ok=True)
        for name, radiograph in zip(names, radiographs, strict=False):
            shutil.copy(radiograph, tmp_path / given / os.fsdecode(name))
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


def swap(folder, one, other):
    """Give two radiographs each other's names."""
    (folder / one).rename(folder / "kept")
    (folder / other).rename(folder / one)
    (folder / "kept").rename(folder / other)


def test_a_case_is_finished_only_for_the_radiograph_weights_and_settings_that_made_it(segment, tmp_path):
    done, before = segment(b"0001.png", b"0002.png", b"0003.png")
    swap(tmp_path / "in", "0001.png", "0002.png")  # replaced under the same name
    done, rows = segment()
    assert done.code == 0 and "2 cases are segmented again" in done.out and "(1 were finished before)" in done.out
    assert rows.digest.tolist() == before.digest[[1, 0, 2]].tolist()

    hospital = tmp_path / "hospital" / "in"  # numbers alike, into the same output
    hospital.mkdir(parents=True)
    shutil.copy(tmp_path / "in" / "0002.png", hospital / "0001.png")
    table = (tmp_path / "out" / "masks.csv").read_bytes()
    done, _ = segment(given="hospital/in")
    assert done.code == 1 and "1 outputs were made from other radiographs, for example in/0001" in done.err
    assert (tmp_path / "out" / "masks.csv").read_bytes() == table
    shutil.copy(tmp_path / "in" / "0001.png", hospital / "0001.png")  # the same radiograph elsewhere is the same case
    done, _ = segment(given="hospital/in")
    assert done.code == 0 and "(1 were finished before)" in done.out

    # A part made anew with other settings leaves the rest to be made anew too.
    done, rows = segment(given="hospital/in", words=["gamma=0.7", "--overwrite"])
    assert done.code == 0 and rows.made.nunique() == 2
    done, rows = segment(words=["gamma=0.7"])
    assert done.code == 0 and "(1 were finished before)" in done.out and rows.made.nunique() == 1

    (tmp_path / "in" / "0003.png").write_bytes(b"no image any more")  # a case that now fails leaves no old pair
    done, rows = segment(words=["gamma=0.7"])
    assert done.code == 1 and rows.status[2] == "failed"
    assert pairs.find(tmp_path / "out" / "in") == ["0001", "0002"]

    # A table of before tells nothing of what made its rows.
    rows.drop(columns=["digest", "made"]).assign(file="in/some.png").to_csv(tmp_path / "out" / "masks.csv", index=False)
    done, rows = segment(words=["gamma=0.7"])
    assert "2 cases are segmented again" in done.out and rows.made.nunique() == 1


def test_two_files_that_differ_in_their_suffix_are_two_cases(segment, tmp_path):
    done, rows = segment(b"same.png", b"same.PNG", b"good.png")
    assert done.code == 0 and rows.case.tolist() == ["good", "same.PNG", "same.png"]
    assert pairs.find(tmp_path / "out" / "in") == rows.case.tolist()


def test_a_file_whose_name_clashes_with_a_later_one_keeps_its_case(segment, tmp_path):
    segment(b"same.png")
    done, rows = segment(b"same.png", b"same.PNG")
    assert done.code == 0 and "(1 were finished before)" in done.out
    assert rows.case.tolist() == ["same", "same.PNG"] and rows.digest.nunique() == 2
    (tmp_path / "in" / "same.png").unlink()
    done, rows = segment()
    assert "(1 were finished before)" in done.out and rows.case.tolist() == ["same", "same.PNG"]


def test_a_second_start_ends_with_who_holds_the_output(segment, tmp_path):
    """The first one is another process, which is killed then: what it leaves holds nobody up."""
    code = "import sys, time; from cxr.run import lock; lock.take(sys.argv[1]); print(flush=True); time.sleep(60)"
    words = [sys.executable, "-c", code, tmp_path / "out" / ".lock"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        with pytest.raises(FileNotFoundError):  # no masks.csv to read: nothing was written
            segment(b"a.png")
        with pytest.raises(BadRun, match=f"another run works in .*out .process {first.pid} on .* since .*: -c "):
            lock.take(tmp_path / "out" / ".lock")
        first.kill()
    assert (tmp_path / "out" / ".lock").exists()
    done, rows = segment(b"a.png")
    assert done.code == 0 and rows.case.tolist() == ["a"] and not (tmp_path / "out" / ".lock").exists()
