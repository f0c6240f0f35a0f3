"""The steps of make.py, and what packing must never do: touch a source."""

import shutil

import pytest
from conftest import run

from cxr.errors import BadData
from weights import pack


def test_steps_are_listed_without_being_run(radiographs, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(radiographs, data)
    (data / "MontgomerySet").mkdir(exist_ok=True)
    (data / "cohort.csv").write_text("path,class,patient\n")
    done = run("weights/make.py", "--data", data, "--work", tmp_path / "work", "--dry-run", "--minutes", 10)
    assert done.returncode == 0, done.stderr
    assert "1/" in done.stdout and "segmentation/train.py test_name=jsrt" in done.stdout
    assert "weights/card.py" in done.stdout and "min to do" in done.stdout
    assert not (tmp_path / "work").exists()


def test_packing_leaves_sources_alone_wherever_they_lie(radiographs, tmp_path):
    data, outside = tmp_path / "data", tmp_path / "elsewhere" / "x.png"
    shutil.copytree(radiographs / "JSRT", data / "JSRT")
    shutil.copytree(radiographs / "SCR", data / "SCR")
    source = next((radiographs / "cohort" / "normal").iterdir())
    outside.parent.mkdir()
    shutil.copyfile(source, outside)
    before = outside.read_bytes()
    images, masks = data / "MontgomerySet" / "CXR_png", data / "MontgomerySet" / "ManualMask"
    images.mkdir(parents=True)
    shutil.copyfile(source, images / "MCUCXR_0001_0.png")
    for side in ("leftMask", "rightMask"):
        (masks / side).mkdir(parents=True)
        shutil.copyfile(next((radiographs / "masks" / "normal").iterdir()), masks / side / "MCUCXR_0001_0.png")
    (data / "cohort.csv").write_text("file;class\nx.png;normal\n")
    with pytest.raises(BadData, match="cohort.csv has no column path"):
        pack.pack(data, tmp_path / "small")
    (data / "cohort.csv").write_text(f"path;class;patient\n{outside};normal;1\n../elsewhere/x.png;normal;2\n")
    assert "MB" in pack.pack(data, tmp_path / "small")
    assert outside.read_bytes() == before
    listed = (tmp_path / "small" / "cohort.csv").read_text().splitlines()[1:]
    copies = [tmp_path / "small" / line.split(",")[0] for line in listed]
    assert len(set(copies)) == 2 and all(copy.is_file() for copy in copies)
