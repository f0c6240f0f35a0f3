"""cohort.read: metadata.xls and tables of one's own, and whose radiograph each is."""

import csv
import io

import numpy as np
import pytest
import xlwt
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr import cohort
from cxr.errors import BadTable
from cxr.patients import kermany_patient
from data.thorax import cases, formats

FACTS = ROOT.parent / "shared" / "cxr" / "cohort.csv"
RADIOGRAPH = "F051E018-DAD1-4506-AD43-BE4CA29E960B"  # stands under two sources


def write_csv(path, names, *rows):
    text = io.StringIO()
    csv.writer(text).writerows([names, *rows])
    path.write_text(text.getvalue())
    return path


def sheet_row(source, filename, **more):
    return {**dict.fromkeys(formats.COLUMNS), "source": source, "filename": filename, "Class": "Normal", **more}


@pytest.fixture(scope="module")
def published():
    return cohort.read(ROOT / "metadata.xls")


def test_published_cohort(published):
    """The counts of the released table, and the 118 patients behind 179 COVID-19 images."""
    assert tuple(published.columns) == cohort.COLUMNS
    assert published.map(lambda cell: isinstance(cell, str)).all(axis=None)
    assert published["class"].value_counts().to_dict() == {
        "normal": 192,
        "COVID-19": 179,
        "Tuberculosis": 58,
        "bacteria": 54,
        "virus": 20,
    }
    assert published.groupby("class").patient.nunique()["COVID-19"] == 118
    assert not published.attrs["paths"] and published.attrs["notes"] == []
    assert published.case.nunique() == 502
    twice = published[published.case == RADIOGRAPH]
    assert list(twice.source) == ["Cohen et al", "CoronaHack"] and set(twice.patient) == {"Cohen et al:38"}
    assert all(
        len(row["case"]) < 120 and not row["case"].endswith((".png", ".jpg", ".IMG", ".jpeg"))
        for row in published.to_dict("records")
    )


def test_jsrt_rows_are_the_normals_of_the_official_test(published):
    names = [f"JPCLN{i:03d}" for i in range(1, 155)] + [f"JPCNN{i:03d}" for i in range(1, 94)]
    order = list(range(247))
    np.random.RandomState(407).shuffle(order)
    normals = [names[i] for i in order[-50:] if names[i].startswith("JPCNN")]
    jsrt = published[published.source == "JSRT"]
    assert list(jsrt.case) == normals
    assert list(jsrt.patient) == [f"JSRT:{case}" for case in normals]


@pytest.mark.skipif(not FACTS.exists(), reason="needs the table that metadata.xls was made from")
def test_metadata_holds_the_facts(published, tmp_path):
    facts = list(csv.DictReader(FACTS.open()))
    key = {"class": "Class", "file": "filename"}
    for name in ("file", "source", "view", "sex", "finding", "license"):
        assert sorted(published[name]) == sorted(row[key.get(name, name)] for row in facts), name
    by_path = cohort.read(FACTS)
    assert by_path.attrs["paths"] and len(by_path.attrs["notes"]) == 1
    substitutes = by_path[by_path.file == "CoronaHack/IM-0379-0001.jpg"]
    assert substitutes.patient.item() == "CoronaHack:IM-0379" and substitutes.case.item() == "IM-0379-0001"
    assert (by_path.file == "").sum() == 1


def test_make_metadata_gives_the_same_bytes(call, tmp_path):
    names = list(formats.COLUMNS)
    facts = write_csv(
        tmp_path / "facts.csv",
        [*names, "note"],
        ["Cohen et al", "a.jpeg", "2.0", "0.5", "M", "65.0", "COVID-19", "COVID-19", "AP", "", "free"],
        ["JSRT", "JPCNN001.IMG", "", "", "", "", "Normal", "Normal", "PA", "", "more"],
    )
    for name in ("one.xls", "my two.xls"):
        done = call("data/make_metadata.py", facts, "-o", tmp_path / name)
        assert done.code == 0, done.err
    assert f"--metadata '{tmp_path / 'my two.xls'}' -i DOWNLOADS" in done.out
    written = (tmp_path / "one.xls").read_bytes()
    assert written == (tmp_path / "my two.xls").read_bytes()
    assert b"COVID-19" in written and b"free" not in written
    first, second = cohort.read(tmp_path / "one.xls").to_dict("records")
    assert first == {
        "case": "a",
        "class": "COVID-19",
        "patient": "Cohen et al:2",
        "source": "Cohen et al",
        "file": "a.jpeg",
        "view": "AP",
        "sex": "M",
        "age": "65",
        "offset": "0.5",
        "finding": "COVID-19",
        "license": "",
    }
    assert second["patient"] == "JSRT:JPCNN001" and second["age"] == ""
    write_csv(facts, names[:-1], ["JSRT"] * 9)
    done = call("data/make_metadata.py", facts, "-o", tmp_path / "three.xls")
    assert done.code == 1 and "no column license" in done.err and not (tmp_path / "three.xls").exists()


@pytest.mark.parametrize(
    ("cells", "written", "told"),
    [
        ({"age": "inf", "patientid": "1e400"}, lambda text: text.encode(), "inf"),
        ({"age": "nan", "patientid": "1" * 400}, lambda text: text.encode(), "nan"),
        ({"source": "Müller", "age": "60,5"}, lambda text: ("sep=;\n" + text).encode("cp1252"), "60.5"),
        ({"source": "Müller", "age": "60,5"}, lambda text: text.replace(";", "\t").encode("utf-16"), "60.5"),
        ({}, lambda text: text.split("\n")[0].encode(), "holds no row"),
        ({"finding": "x" * 200_000}, lambda text: text.encode(), "line 2 is damaged"),
        ({"finding": "x" * 40_000}, lambda text: text.encode(), "cannot hold these rows"),
        ({"source": "a/b"}, lambda text: text.encode(), "cannot hold these rows"),
    ],
)
def test_make_metadata_of_odd_tables(call, tmp_path, cells, written, told):
    row = dict.fromkeys(formats.COLUMNS, "") | {"source": "JSRT", "filename": "a.png", "Class": "Normal"} | cells
    (tmp_path / "facts.csv").write_bytes(written("\n".join(map(";".join, (row, row.values())))))
    done = call("data/make_metadata.py", tmp_path / "facts.csv", "-o", tmp_path / "one.xls")
    if done.code:
        assert told in done.err and "\n" not in done.err.strip() and not (tmp_path / "one.xls").exists()
    else:
        (read,) = cohort.read(tmp_path / "one.xls").to_dict("records")
        assert read["age"] == told and read["source"] == row["source"]


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person1597_bacteria_4190.jpeg", "person1597"),
        ("person1597_virus_7.jpeg", "person1597"),
        ("IM-0147-0001.jpeg", "IM-0147"),
        ("IM-0033-0001-0002.jpeg", "IM-0033"),
        ("train/NORMAL/NORMAL2-IM-0441-0001.jpeg", "NORMAL2-IM-0441"),
        ("BACTERIA-1008087-0001.jpeg", "BACTERIA-1008087"),
        (f"{RADIOGRAPH}.jpeg", None),
        ("IMG_0001.png", None),
        ("personal_1.png", None),
        ("", None),
    ],
)
def test_kermany_patient(name, patient):
    assert kermany_patient(name) == patient


def test_rules_of_the_sources(tmp_path):
    formats.write_metadata(
        tmp_path / "t.xls",
        [
            sheet_row("Cohen et al", "a.png", patientid=3),
            sheet_row("Cohen et al", "b.png", patientid="3"),
            sheet_row("CoronaHack", "IM-0001-0001.jpeg", patientid=3),
            sheet_row("NLM(MC)", "MCUCXR_0001_0.png"),
            sheet_row("North", "n.png", patientid=3),
            sheet_row("North", "m.png"),
        ],
    )
    rows = cohort.read(tmp_path / "t.xls")
    assert dict(zip(rows.case, rows.patient, strict=True)) == {
        "a": "Cohen et al:3",
        "b": "Cohen et al:3",
        "IM-0001-0001": "CoronaHack:IM-0001",
        "MCUCXR_0001_0": "NLM(MC):MCUCXR_0001_0",
        "n": "North:3",
        "m": "North:m",
    }
    assert rows.attrs["notes"] == [
        "t.xls tells no patient for 1 of 6 radiographs: each of these counts as a patient of its own"
    ]


def test_own_table(tmp_path):
    """A stranger's table: any class names, patients where known."""
    path = write_csv(
        tmp_path / "mine.csv",
        ["\ufeffPath", "CLASS", "Patient", "age"],
        ["x/1.png", "effusion", "7.0", "64.0"],
        ["x/2.dcm", "TB", "7", ""],
        ["", "", "", ""],
        ["x/1.2.840.1", "effusion", "", ""],
    )
    rows = cohort.read(path)
    assert list(rows.case) == ["1", "2", "1.2.840.1"]
    assert list(rows["class"]) == ["effusion", "TB", "effusion"]
    assert list(rows.patient) == ["7", "7", "1.2.840.1"] and list(rows.age) == ["64", "", ""]
    again = rows.assign(source="Kermany")
    again["patient"] = "Kermany:" + rows.patient
    again.to_csv(tmp_path / "again.csv", index=False)
    assert list(cohort.read(tmp_path / "again.csv").patient) == ["CoronaHack:" + p for p in again.patient]
    told = [[source, "1.png", "TB"] for source in ("NLM(MC)", "North", "")]
    rows = cohort.read(write_csv(tmp_path / "sources.csv", ["source", "filename", "Class"], *told))
    assert list(rows["class"]) == ["Tuberculosis", "TB", "TB"]  # the published spelling is that of its sources alone
    rows = cohort.read(write_csv(tmp_path / "paths.csv", ["path"], ["well/1.png"], ["sick/1.png"]))
    assert list(rows["class"]) == ["well", "sick"]


def test_phantom(radiographs):
    """The synthetic cohort's table: every radiograph on the disk, and the patients by which it was drawn."""
    rows = cohort.read(radiographs / "metadata.xls")
    on_disk = {(file.parent.name, file.name) for file in (radiographs / "cohort").glob("*/*")}
    assert set(zip(rows["class"], rows.file, strict=True)) == on_disk and on_disk
    assert all(":" in patient for patient in rows.patient)


def test_phantom_patients(tmp_path):
    plan = [case for folder in cases.CLASSES for case in cases.plan_class(folder, 30, 256, 407)]
    formats.write_metadata(tmp_path / "metadata.xls", [cases.describe(case, 407) for case in plan])
    rows = cohort.read(tmp_path / "metadata.xls").set_index("case").loc[[case.name for case in plan]]
    assert 60 < rows.patient.nunique() < len(plan)
    assert rows.patient.nunique() == len({case.patient for case in plan})
    assert rows.patient.nunique() == len(set(zip(rows.patient, [case.patient for case in plan], strict=True)))


CASES = st.sampled_from(["a", "b", "c", RADIOGRAPH, RADIOGRAPH.lower(), "00000000-0000-0000-0000-000000000000"])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["Cohen et al", "North", "South"]),
        CASES,
        st.sampled_from(["1", "2.0", "3"]),
        st.sampled_from(["Normal", "Virus"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_radiographs_and_ids_never_part(tmp_path_factory, rows):
    """Two rows have one patient if and only if a chain of shared ids and shared images leads from one to the other."""
    path = write_csv(tmp_path_factory.mktemp("t") / "t.csv", ["source", "case", "patientid", "Class"], *rows)

    def linked(one, two):
        radiograph = one[1].lower() == two[1].lower() if len(one[1]) == 36 else (one[1], one[3]) == (two[1], two[3])
        return radiograph or (one[0], one[2]) == (two[0], two[2])

    try:
        patients = list(cohort.read(path).patient)
    except BadTable:
        clash = [1 for one in rows for two in rows if linked(one, two) and one[0] == two[0] and one[2] != two[2]]
        assert clash
        return
    for start, row in enumerate(rows):
        reached, more = {start}, [row]
        while more:
            here = more.pop()
            new = [i for i, other in enumerate(rows) if i not in reached and linked(here, other)]
            reached.update(new)
            more += [rows[i] for i in new]
        assert {i for i, patient in enumerate(patients) if patient == patients[start]} == reached


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "none of the columns"),
        (b"name;class\n1.png;a\n", "separate columns by commas"),
        (b"case,class\n", "no rows"),
        (b"case,class\na,b,c\n", "row 2 has 3 cells"),
        (b"case,case\na,b\n", "twice"),
        (b"case,class\n,b\n", "row 2 names no radiograph"),
        (b"case,class\na,../b\n", "'../b' cannot be the name of a class"),
        (b"case,class\na,..\n", "cannot be the name of a class"),
        (b"case,class\n\xff\xfe,b\n", "UTF-8"),
        (b'case,class\n"a,b\n', "not a table of text"),
        (b"case,class,patient\na,b,1\na,b,2\n", "patients 1 and 2"),
        (b"PK\x03\x04rest", ".xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "not a workbook"),
    ],
)
def test_bad_tables(tmp_path, content, says):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(BadTable) as error:
        cohort.read(path)
    sentence = str(error.value)
    assert says in sentence and str(path) in sentence and "\n" not in sentence and ";" in sentence


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 7000), st.binary(max_size=40))
def test_a_damaged_workbook_is_one_sentence(tmp_path_factory, place, noise):
    folder = tmp_path_factory.mktemp("xls")
    formats.write_metadata(folder / "t.xls", [sheet_row("North", f"{i}.png", patientid=i) for i in range(5)])
    content = bytearray((folder / "t.xls").read_bytes())
    content[8 + place : 8 + place + len(noise)] = noise
    (folder / "t.xls").write_bytes(content)
    try:
        assert len(cohort.read(folder / "t.xls"))
    except BadTable as error:
        assert str(folder) in str(error)


def test_no_table_and_no_radiograph(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no table"):
        cohort.read(tmp_path / "none.xls")
    book = xlwt.Workbook()
    book.add_sheet("empty")
    book.save(str(tmp_path / "empty.xls"))
    with pytest.raises(BadTable, match="no rows"):
        cohort.read(tmp_path / "empty.xls")


@pytest.mark.parametrize("word", ["", "nan", "NaN", "NA", "n/a", "unknown", "None", "-", "?"])
def test_a_patient_whom_nobody_knows_is_nobody(tmp_path, word):
    rows = [("a.png", "well", word), ("b.png", "well", word), ("c.png", "well", "7")]
    found = cohort.read(write_csv(tmp_path / "t.csv", ["case", "class", "patient"], *rows))
    assert found.patient.tolist() == ["a", "b", "7"]
    assert "tells no patient for 2 of 3 radiographs" in found.attrs["notes"][0]
