"""shift.py: a row a case and shift, from the radiographs that masks.csv names; and one sentence where it names none."""

import numpy as np
import pandas as pd

from classification.cases import finder
from classification.trust import shifted

SHIFT = "classification/shift.py"


def test_who_changes_class(trained, radiographs, classified, tmp_path, call):
    pairs = tmp_path / "pairs"
    words = [*trained.words, "test_name=whole", "overlays=False"]
    folders = [radiographs / "cohort" / name for name in ("normal", "bacteria")]
    done = call("segmentation/inference.py", "-i", *folders, "-o", pairs, *words)
    assert done.code == 0, done.err
    weights = [
        f"file_weights={classified.run / 'best.pt'}",
        "device=cpu",
        f"dir_pairs={pairs}",
        f"file_metadata={radiographs / 'metadata.xls'}",
    ]
    done = call(
        SHIFT, "-i", pairs, *weights, "repeat=3", "-o", tmp_path / "out", "--shift", "resampled to 384", "rotation 10"
    )
    assert done.code == 0, done.err
    rows = pd.read_csv(tmp_path / "out" / "shift.csv")
    assert rows["shift"].value_counts().to_dict() == {"none": 2, "resampled to 384": 2, "rotation 10": 2}
    assert set(rows.label) == {"normal", "bacterial"}
    summary = pd.read_csv(tmp_path / "out" / "shift_summary.csv").set_index("shift")
    assert summary.consistency["none"] == 1 and summary.mean_change_of_p["none"] == 0
    assert summary.consistency.between(0, 1).all()

    # A mask corrected by hand counts, also where an older label map lies beside it.
    case = next(iter(files := sorted(pairs.rglob("*.mask.npy"))))
    mask = np.load(case)
    mask[: mask.shape[0] // 2] = 0
    np.save(case, mask)
    about = finder.Case(case.name.removesuffix(".mask.npy"), case.parent.name, case.parent, None)
    assert len(files) == 2 and ((shifted.lung_labels(about, mask.shape) >= 2) == mask).all()

    (pairs / "masks.csv").unlink()
    done = call(SHIFT, "-i", pairs, *weights, "-o", tmp_path / "other")
    assert done.code == 1 and "name it with --masks" in done.err
