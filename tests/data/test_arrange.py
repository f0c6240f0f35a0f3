"""data/arrange.py: radiographs found in the layouts of the downloads, linked by class, and every fault told."""

import os
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from conftest import run
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr import cohort
from cxr.reading.radiograph import case_of
from data import downloads
from data.thorax import formats

RADIOGRAPH = "F051E018-DAD1-4506-AD43-BE4CA29E960B.jpeg"
TABLE = [  # source, filename, Class, patientid
    ("Cohen et al", "covid-a.jpeg", "COVID-19", 2),
    ("Cohen et al", "covid-b.png", "COVID-19", 2),
    ("Cohen et al", RADIOGRAPH, "Normal", 38),
    ("CoronaHack", RADIOGRAPH, "Normal", 5251),
    ("CoronaHack", "IM-0001-0001.jpeg", "Normal", 7),
    ("CoronaHack", "person1_bacteria_1.jpeg", "bacteria", 8),
    ("JSRT", "JPCNN001.IMG", "Normal", None),
    ("NLM(MC)", "MCUCXR_0001_0.png", "Normal", None),
    ("NLM(MC)", "MCUCXR_0104_1.png", "TB", None),
]
DOWNLOADS = {
    "Cohen": "covid-chestxray-dataset-master/images/covid-a.jpg covid-chestxray-dataset-master/images/covid-b.png "
    f"covid-chestxray-dataset-master/images/{RADIOGRAPH} covid-chestxray-dataset-master/metadata.csv "
    "covid-chestxray-dataset-master/annotations/lungs/covid-a.png",
    "Kermany": f"Coronahack-Chest-XRay-Dataset/Coronahack-Chest-XRay-Dataset/train/{RADIOGRAPH} "
    "Coronahack-Chest-XRay-Dataset/Coronahack-Chest-XRay-Dataset/test/IM-0001-0001.jpeg "
    "Coronahack-Chest-XRay-Dataset/Coronahack-Chest-XRay-Dataset/train/person1_bacteria_1.jpeg "
    "__MACOSX/train/person1_bacteria_1.jpeg Coronahack-Chest-XRay-Dataset/train/._IM-0001-0001.jpeg",
    "JSRT": "JSRT/JPCNN001.IMG JSRT/CLNDAT.TXT SCR/fold1/masks/heart/JPCNN001.gif",
    "Montgomery": "MontgomerySet/CXR_png/MCUCXR_0001_0.png MontgomerySet/CXR_png/MCUCXR_0104_1.png "
    "MontgomerySet/ManualMask/leftMask/MCUCXR_0001_0.png "
    "MontgomerySet/ManualMask/rightMask/MCUCXR_0001_0.png "
    "MontgomerySet/ClinicalReadings/MCUCXR_0001_0.txt",
}


def put(file, content=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content or str(file))  # arrange.py never looks into a radiograph
    return file


@pytest.fixture
def downloaded(tmp_path):
    """Folder with all four sets as their providers pack them, and the published kind of table beside them."""
    for files in DOWNLOADS.values():
        for name in files.split():
            put(tmp_path / "sets" / name)
    formats.write_metadata(
        tmp_path / "metadata.xls",
        [
            {**dict.fromkeys(formats.COLUMNS), "source": source, "filename": name, "Class": label, "patientid": patient}
            for source, name, label, patient in TABLE
        ],
    )
    return tmp_path / "sets"


@pytest.fixture
def arranged(call, tmp_path):
    """Run arrange.py into tmp_path/out: its code, out, err, table by source and file, files by folder."""

    def start(*words, metadata=tmp_path / "metadata.xls"):
        done = call("data/arrange.py", "--metadata", metadata, "-o", tmp_path / "out", *words)
        listed = tmp_path / "out" / "arrange.csv"
        done.table = pd.read_csv(listed, dtype=str, keep_default_na=False) if listed.exists() else None
        done.status = (
            {} if done.table is None else {(row.source, row.file): row.status for row in done.table.itertuples()}
        )
        done.files = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").glob("*/*")}
        return done

    return start


ALL = {
    "COVID-19/covid-a.jpg",
    "COVID-19/covid-b.png",
    f"normal/{RADIOGRAPH}",
    "normal/IM-0001-0001.jpeg",
    "bacteria/person1_bacteria_1.jpeg",
    "normal/JPCNN001.IMG",
    "normal/MCUCXR_0001_0.png",
    "Tuberculosis/MCUCXR_0104_1.png",
}


def test_downloads_in_their_own_layouts(downloaded, arranged, tmp_path, monkeypatch):
    """Everything is found once, no mask nor shadow file is taken, the radiograph under two sources is linked once. The
    commands that come next are a line each and hold from anywhere."""
    monkeypatch.chdir(tmp_path)
    done = arranged("-i", downloaded, "-o", "out", metadata="metadata.xls")
    assert done.code == 0 and done.files == ALL, done.out + done.err
    assert done.status.pop(("CoronaHack", RADIOGRAPH)) == "same radiograph" and set(done.status.values()) == {"linked"}
    assert f"same radiograph: CoronaHack, {RADIOGRAPH} (as {RADIOGRAPH} of Cohen et al)" in done.out
    for name in ALL:
        assert (tmp_path / "out" / name).samefile(
            next(
                file
                for file in downloaded.rglob(name.split("/")[1])
                if not {"ManualMask", "__MACOSX"} & set(file.parts) and "leftMask" not in str(file)
            )
        )
    told = [
        f"python segmentation/inference.py -i {' '.join(str(tmp_path / 'out' / f) for f in CLASS_ORDER)}",
        f"python classification/split.py file_metadata={tmp_path / 'metadata.xls'}",
    ]
    assert done.out.splitlines()[-2:] == told and done.out.splitlines()[-3].endswith("Next:")
    again = arranged("-i", downloaded)
    assert again.code == 0 and again.files == ALL and "8 present, 1 same radiograph" in again.out
    assert cohort.read(tmp_path / "out" / "arrange.csv").patient.tolist() == done.table.patient.tolist()


CLASS_ORDER = ["COVID-19", "normal", "bacteria", "Tuberculosis"]  # as they come in the table, sheets by source


def test_missing_files_are_all_told(downloaded, arranged):
    (downloaded / "covid-chestxray-dataset-master/images/covid-b.png").unlink()
    for file in (downloaded / "MontgomerySet/CXR_png").iterdir():
        file.unlink()  # the masks of that name must not take its place
    done = arranged("-i", downloaded)
    assert done.code == 1
    assert "missing: Cohen et al, covid-b.png (no such file" in done.out
    assert "missing: all 2 radiographs of NLM(MC)" in done.out
    assert done.status["NLM(MC)", "MCUCXR_0001_0.png"] == done.status["Cohen et al", "covid-b.png"] == "missing"
    assert len(done.files) == len(ALL) - 3


def test_copies_that_differ_are_ambiguous(downloaded, arranged, tmp_path):
    """Twice the same bytes is one file; two that differ are neither guessed at nor linked."""
    one = next(downloaded.rglob("train/person1_bacteria_1.jpeg"))
    images = downloaded / "covid-chestxray-dataset-master/images"
    twin = put(downloaded / "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg", one.read_text())
    other = put(downloaded / "Cohen/images/covid-a.jpg", "another")
    done = arranged("-i", downloaded)
    assert done.code == 1 and done.files == ALL - {"COVID-19/covid-a.jpg"}
    assert done.status["CoronaHack", "person1_bacteria_1.jpeg"] == "linked" and twin.exists()
    line = next(line for line in done.out.splitlines() if line.startswith("ambiguous: "))
    assert "covid-a" in line and str(other) in line and str(images / "covid-a.jpg") in line
    other.unlink()
    assert arranged("-i", downloaded).code == 0


def test_exact_name_and_own_set_come_first(downloaded, arranged, tmp_path):
    """A PNG copy beside the .IMG, an image of that name in another set's folder or in the phantom: none is a rival."""
    put(downloaded / "JSRT/JPCNN001.png", "copy")
    put(downloaded / "unsorted/covid-a.png", "small")
    put(downloaded / "MontgomerySet/CXR_png/IM-0001-0001.png", "wrong")
    put(downloaded / "phantom/phantom.json", "{}")
    put(downloaded / "phantom/JSRT/JPCNN001.IMG", "drawn")
    done = arranged("-i", downloaded)
    assert done.code == 0 and done.files == ALL
    assert "JSRT" in (tmp_path / "out/normal/JPCNN001.IMG").read_text()


def test_what_lies_there_is_never_replaced(downloaded, arranged, tmp_path):
    mine = put(tmp_path / "out/COVID-19/covid-b.dcm", "mine")  # of another suffix, yet the same case
    put(tmp_path / "out/normal/JPCNN001.IMG", next(downloaded.rglob("JPCNN001.IMG")).read_text())
    broken = tmp_path / "out/bacteria/person1_bacteria_1.jpeg"
    broken.parent.mkdir()
    broken.symlink_to(tmp_path / "gone")
    done = arranged("-i", downloaded)
    assert done.code == 1 and mine.read_text() == "mine" and "COVID-19/covid-b.png" not in done.files
    assert done.status["Cohen et al", "covid-b.png"] == done.status["CoronaHack", broken.name] == "conflict"
    assert f"{mine} is another file" in done.out and done.status["JSRT", "JPCNN001.IMG"] == "present"


def test_copy_and_symbolic_links(downloaded, arranged, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("Invalid cross-device link")

    assert arranged("-i", downloaded, "--copy").code == 0
    copied = tmp_path / "out/COVID-19/covid-a.jpg"
    assert copied.stat().st_nlink == 1 and not copied.is_symlink() and copied.read_text().endswith("covid-a.jpg")
    copied.unlink()
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.chdir(downloaded)
    assert arranged("-i", "covid-chestxray-dataset-master", ".").status["Cohen et al", "covid-a.jpeg"] == "linked"
    assert copied.is_symlink() and os.path.isabs(os.readlink(copied)) and copied.exists()
    copied.unlink()
    monkeypatch.setattr(os, "symlink", refuse)
    assert arranged("-i", downloaded).status["Cohen et al", "covid-a.jpeg"] == "copied"
    assert not copied.is_symlink() and not list((tmp_path / "out").rglob("*.part"))


def test_own_table_by_path(arranged, tmp_path):
    """A .csv with paths: found beside the table or below -i, renamed by `case`, same names told apart."""
    for name in ("a/front.png", "b/front.png", "c/front.png", "d/1.2.840.10008"):
        put(tmp_path / "own" / name)
    put(tmp_path / "more/e/late.dcm")
    table = tmp_path / "own/list.csv"
    table.write_text(
        "path,class,patient,case\na/front.png,well,1,\nb/front.png,sick,2,\nc/front.png,well,1,third\n"
        "d/1.2.840.10008,well,3,\ne/late.dcm,sick,2,\n,well,9,lost\nx/gone.png,well,9,\n"
    )
    done = arranged("-i", tmp_path / "more", metadata=table)
    assert done.code == 1 and done.files == {
        "well/front.png",
        "sick/front.png",
        "well/third.png",
        "well/1.2.840.10008",
        "sick/late.dcm",
    }
    assert "missing: lost (the table names no file)" in done.out and "missing: x/gone.png (no such" in done.out
    assert done.table.patient.tolist()[:5] == ["1", "2", "1", "3", "2"]
    table.write_text("path,class,patient\na/front.png,new,1\nc/front.png,new,1\n")
    done = arranged(metadata=table)
    assert done.code == 1 and list(done.table.status) == ["linked", "conflict"]
    assert "a/front.png has the same name" in done.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give the folders to search with -i"),
        (["-i", "nowhere"], "there is no folder nowhere"),
        (["-i", ".", "--metadata", "none.xls"], "There is no table none.xls"),
        (["-i", ".", "--metadata", "plain.csv"], "add a column class"),
    ],
)
def test_errors_are_sentences(downloaded, call, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    Path("plain.csv").write_text("filename,patient\na.png,1\n")
    done = call("data/arrange.py", "--metadata", "metadata.xls", "-o", "out", *words)
    assert done.code == 1 and done.err.startswith("data/arrange.py: ") and says in done.err, done.err
    assert not Path("out").exists()


def test_as_a_process(downloaded, tmp_path):
    """The command a person types, with the published table: of its 503 rows those stand there that were found."""
    done = run("data/arrange.py", "-i", downloaded, "-o", tmp_path / "out")
    assert done.returncode == 1 and not done.stderr, done.stderr
    rows = pd.read_csv(tmp_path / "out/arrange.csv")
    assert len(rows) == 503
    assert set(rows.file[rows.status == "linked"]) == {
        RADIOGRAPH,
        "IM-0001-0001.jpeg",
        "MCUCXR_0001_0.png",
        "MCUCXR_0104_1.png",
    }
    assert set(rows.status) == {"linked", "missing", "same radiograph"}
    assert "missing: all 20 radiographs of JSRT" in done.stdout
    assert "file_metadata" not in done.stdout  # the published table needs no naming


NAMES = st.sampled_from(["covid-a.jpg", "covid-a.png", "JPCNN001.IMG", "IM-0001-0001.jpeg", "other.png"])
FOLDERS = st.sampled_from(
    [
        "JSRT",
        "Cohen/images",
        "CoronaHack/train",
        "MontgomerySet/CXR_png",
        "x",
        "SCR/masks",
        "MontgomerySet/ManualMask/leftMask",
        "x/Cohen/JSRT",
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.tuples(FOLDERS, NAMES), max_size=10), st.sampled_from(["Cohen et al", "jsrt", "Kermany", "North"]), NAMES
)
def test_only_radiographs_of_that_name_and_source(tmp_path_factory, files, source, wanted):
    """Whatever lies about: never another name, never a mask, never a file that a folder gives to another set."""
    root = tmp_path_factory.mktemp("sets")
    for folder, name in files:
        put(root / folder / name, "x")
    found = downloads.by_name(wanted, source, downloads.index([root]))
    own = {"Cohen et al": "Cohen/images", "jsrt": "JSRT", "Kermany": "CoronaHack/train", "North": "x"}[source]
    for file in found:
        folder = str(file.parent.relative_to(root))
        assert case_of(file.name) == case_of(wanted)
        assert folder in (own, "x") or (folder, source) == ("x/Cohen/JSRT", "jsrt")
    if (own, wanted) in files:
        assert root / own / wanted in found


def test_two_sources_that_number_alike_are_no_same_radiograph(arranged, tmp_path):
    table = tmp_path / "own" / "list.csv"
    lines = ["path,class,patient,source"]
    for source in "ABC":
        put(tmp_path / "own" / source / "0001.png", content="A" if source == "C" else source)
        lines.append(f"{source}/0001.png,normal,{source}-1,{source}")
    table.write_text("\n".join(lines))
    done = arranged(metadata=table)
    assert done.code == 1 and list(done.table.status) == ["linked", "conflict", "same radiograph"]
    assert "A/0001.png has the same name; give the cases different names in a column case" in done.out


def test_names_in_other_letters_and_a_told_separator(arranged, tmp_path):
    table = tmp_path / "own" / "list.csv"
    put(tmp_path / "own" / unicodedata.normalize("NFD", "Pérez") / "Scan 1.PNG")
    table.write_text("sep=;\npath;class;patient\nPÉREZ/scan 1.png;well;1\nperez/scan 2.png;well;2\n", encoding="utf-8")
    done = arranged(metadata=table)
    assert list(done.table.status) == ["linked", "missing"] and done.files == {"well/scan 1.PNG"}
