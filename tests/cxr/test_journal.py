"""A table and its journals: thrown away together, and nothing beside them."""

from cxr.run import journal


def test_cleared_tables_leave_no_row_of_a_killed_run(tmp_path):
    table, other = tmp_path / "cams.csv", tmp_path / "cams2.csv"
    for path in (table, other):
        for rank in range(2):
            with journal.writer(path, rank) as write:
                write({"folder": "a", "case": str(rank), "p": 0.5})
        journal.merge(path, ("folder", "case"))
        with journal.writer(path, 3) as write:  # what a kill leaves
            write({"folder": "a", "case": "left", "p": 0.5})
    journal.clear(table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cams2.3.jsonl", "cams2.csv"]
    assert journal.merge(table, ("folder", "case")).empty and not table.exists()
    assert list(journal.merge(other, ("folder", "case")).case) == ["0", "1", "left"]
    journal.clear(tmp_path / "none" / "cams.csv")  # nothing there is nothing to do
