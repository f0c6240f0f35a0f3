"""What masks.csv tells of a pair: found by where the pair lies, whatever folder was given; of a split in its pairs."""

import pandas as pd
from drawn_pairs import write

from classification import header
from classification.cases import finder
from classification.splitting import known
from cxr.settings import config


def told(given, *words):
    """{case: reason} by the masks.csv of the pairs in a folder, and notes."""
    rows, notes = known.masks(finder.find([given]).cases, [given], config.load(header, [*words])[0])
    return {case: row["reason"] for (_, case), row in rows.items()}, notes


def test_a_row_is_found_from_any_folder_and_is_never_a_namesake_s(tmp_path):
    out = tmp_path / "out"
    rows = [("004", "siteA/normal", "of A"), ("004", "normal", "another"), ("005", "normal", "gone")]
    for case, folder, _ in rows[:2]:
        write(out / folder, case)
    write(out / "siteB" / "normal", "005")
    pd.DataFrame(rows, columns=["case", "folder", "reason"]).assign(status="flagged").to_csv(out / "masks.csv")
    for given in ("siteA", "siteA/normal"):
        assert told(out / given) == ({"004": "of A"}, [])
    found, (note,) = told(out / "siteB")
    assert not found and note.startswith(f"{out / 'masks.csv'} knows none of the cases in {out / 'siteB'}")
    write(tmp_path / "split" / "test" / "siteA" / "normal", "004")
    words = [f"dir_split={tmp_path / 'split'}", f"dir_pairs={out}"]
    for given in ("test", "test/siteA"):
        assert told(tmp_path / "split" / given, *words) == ({"004": "of A"}, [])


def test_a_split_remembers_its_pairs(tmp_path, call):
    """So that no later command need name them; one that does is heard."""
    cases = [(str(i), folder) for folder in ("normal", "virus") for i in range(3)]
    for i, (case, folder) in enumerate(cases):
        write(tmp_path / "pairs" / folder, case, seed=i)
    rows = pd.DataFrame(cases, columns=["case", "folder"]).assign(status="flagged", reason="mine")
    rows.to_csv(tmp_path / "pairs" / "masks.csv", index=False)
    words = [f"dir_pairs={tmp_path / 'pairs'}", f"file_metadata={tmp_path / 'who.csv'}", "classes=[]", "folds=3"]
    (tmp_path / "who.csv").write_text("case\nx\n")
    done = call("classification/split.py", f"dir_split={tmp_path / 'split'}", *words)
    assert done.code == 0, done.err
    found, notes = told(tmp_path / "split" / "fold2" / "test")
    assert set(found.values()) == {"mine"} and not notes
    assert told(tmp_path / "split" / "fold2" / "test", f"dir_pairs={tmp_path / 'other'}") == ({}, [])
