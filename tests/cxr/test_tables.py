"""Tables between scripts, as spreadsheets and accidents leave them: read, or named with line and remedy."""

import pytest

from cxr import tables
from cxr.errors import BadData
from cxr.run import journal

ROWS = 'folder,case,status,reason,p\nin,é 007,ok,"a, b",0.5\nin,NA,ok,,\n'
REMEDY = "correct it, or move it away and run the script that writes it again."


@pytest.mark.parametrize(
    "held",
    [
        ROWS.encode(),
        ROWS.replace("\n", "\r\n").encode("utf-8-sig"),
        ROWS.encode("cp1252"),
        ROWS.replace('"a, b"', "a, b").replace(",", "\t").replace("a\t", "a,").encode("utf-16"),
        b"sep=;\n" + ROWS.replace('"a, b"', "a, b").replace(",", ";").replace("a; b", "a, b").encode(),
        ROWS.replace('"a, b"', "a§ b").replace(",", ";").replace("§", ",").replace("0.5", "0,5").encode("cp1252"),
    ],
    ids=["ours", "UTF-8 of Windows", "Latin-1", "Unicode text", "told separator", "semicolons and decimal commas"],
)
def test_what_a_spreadsheet_saves_is_read(tmp_path, held):
    (tmp_path / "t.csv").write_bytes(held)
    rows = journal.read(tmp_path / "t.csv", ("case", "folder", "status", "reason"))
    assert rows.case.tolist() == ["é 007", "NA"] and rows.reason.tolist() == ["a, b", ""]
    assert rows.p.fillna(-1).tolist() == [0.5, -1]


@pytest.mark.parametrize(
    "held,told",
    [
        (b"", "t.csv is empty"),
        (b"\n\n", "t.csv is empty"),
        (b"folder,p\nin,1\n", "t.csv has no column case"),
        (b"folder,case,case\nin,a,b\n", "t.csv has the column 'case' twice"),
        (b'folder,case,p\nin,"a,1\nin,b,2\n', "t.csv, line 3 is damaged"),
        (b"folder,case,p\nin,a,1\nin,b\n", "t.csv, line 3 has 2 cells for 3 columns"),
        (b"folder,case,p\nin,a,1\nin,b,often\n", "t.csv, row 3, column p: 'often' is not a number"),
        (b"\0\1\2", "t.csv is not a table of text"),
    ],
)
def test_a_damaged_table_is_named_with_line_and_remedy_and_kept(tmp_path, held, told):
    table = tmp_path / "t.csv"
    table.write_bytes(held)
    with journal.writer(table, 0) as write:
        write({"folder": "in", "case": "new", "p": 1})
    with pytest.raises(BadData) as fault:
        journal.merge(table, ("case", "folder"))
    assert told in str(fault.value) and str(fault.value).endswith(REMEDY)
    assert table.read_bytes() == held and (tmp_path / "t.0.jsonl").exists()


@pytest.mark.parametrize(
    "held,told",
    [
        (b'{\n"a": 1,\n}', "t.json, line 3 is damaged"),
        (b"", "line 1 is damaged"),
        (b"[1]", "holds a list and not a dict"),
    ],
)
def test_damaged_json_is_named_with_line_and_remedy(tmp_path, held, told):
    (tmp_path / "t.json").write_bytes(held)
    with pytest.raises(BadData) as fault:
        tables.json(tmp_path / "t.json")
    assert told in str(fault.value) and str(fault.value).endswith(REMEDY)
