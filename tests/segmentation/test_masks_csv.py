"""masks.csv: rows kept through journals, forgotten when their cases are segmented anew."""

from segmentation import masks_csv


def row(folder, case, status="ok", **more):
    return {"case": case, "folder": folder, "file": f"{folder}/{case}.png", "status": status, "reason": "", **more}


def test_newest_row_counts_and_forgotten_rows_go(tmp_path):
    with masks_csv.journal(tmp_path, 0) as write:
        write(row("a", "007", "failed"))
        write(row("b", "NA", height=512))
    with masks_csv.journal(tmp_path, 1) as write:
        write(row("a", "007", height=256))
    rows = masks_csv.merge(tmp_path)
    assert list(zip(rows.folder, rows.case, rows.status, rows.height, strict=True)) == [
        ("a", "007", "ok", 256),
        ("b", "NA", "ok", 512),
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "masks.csv"]
    assert list(masks_csv.merge(tmp_path, {("a", "007")}).case) == ["NA"]
    assert masks_csv.merge(tmp_path, {("b", "NA")}).empty
    assert masks_csv.finished(tmp_path) == set()


def test_a_line_cut_short_by_a_kill_is_passed_over(tmp_path):
    with masks_csv.journal(tmp_path, 0) as write:
        write(row("a", "whole"))
    with open(tmp_path / "masks.0.jsonl", "a") as file:
        file.write('{"case": "ha')
    assert list(masks_csv.merge(tmp_path).case) == ["whole"]
