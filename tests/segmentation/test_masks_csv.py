"""masks.csv: rows kept through journals, forgotten when their cases are segmented anew."""

from PIL import Image

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


def test_classes_that_are_given_one_by_one_and_get_lost_are_told(tmp_path):
    for case in ("normal/p1/a", "normal/p2/b", "ill/p1/c", "ill/d"):
        (tmp_path / case).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / f"{case}.png")

    def told(*inputs):
        jobs, _ = masks_csv.plan(list(inputs), tmp_path / "out")
        return masks_csv.nested(list(inputs), jobs)

    (note,) = told(tmp_path / "normal", tmp_path / "ill")
    assert "are sorted by these, as p1, and not by normal and ill: if those are the classes, give" in note
    assert told(tmp_path) == told(tmp_path / "normal") == told(tmp_path / "ill" / "d.png", tmp_path / "normal") == []
    assert told(tmp_path / "normal" / "p1", tmp_path / "ill" / "p1") == []
