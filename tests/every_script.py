"""Every script a user runs, in order, on inputs of seconds: what the tests of faults that any script may meet share."""

import dicom_files
from conftest import CLASSIFYING, TINY

from cxr.reading import radiograph

CANARY = "Canary^Zwölfhundert", "CANARY-4711"  # a patient's name and number, which no output may hold


def inputs(phantom, folder):
    """The folder of the phantom's cohort as DICOM files whose headers tell of a patient."""
    for file in sorted((phantom / "cohort").rglob("*.png")):
        pixels = radiograph.read(file).pixels
        header = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": CANARY[0], "PatientID": CANARY[1]}
        place = folder / file.parent.name / f"{file.stem}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        dicom_files.save(place, dicom_files.dataset(pixels, 8 * pixels.itemsize, ViewPosition="PA", **header))
    return folder


def commands(phantom, cohort, pairs, out):
    """{script: words}, each of which needs those before it. phantom: a folder of data/make_phantom.py; cohort: class
    folders of radiographs; pairs: class folders of pairs, enough to split; out: where everything goes."""
    one = [*TINY, f"dir_data_root={phantom}", f"dir_checkpoint={out / 'one'}", "num_workers=0", "dropout=0"]
    two = [*CLASSIFYING, f"dir_split={out / 'split'}", f"dir_checkpoint={out / 'two'}", "test_name=run", "epoch_max=2"]
    two += [f"file_metadata={phantom / 'metadata.xls'}", f"dir_pairs={out / 'masks'}"]
    given = ["-i", out / "masks"]
    return {
        "data/make_phantom.py": ["-o", out / "phantom", "--jsrt", 1, "--per-class", 1, "--size", 128, "--workers", 1],
        "data/arrange.py": ["-i", phantom, "--metadata", phantom / "metadata.xls", "-o", out / "arranged", "--copy"],
        "segmentation/train.py": [*one, "test_name=run", "epoch_max=2", "num_batch_train=3"],
        "segmentation/inference.py": ["-i", cohort, "-o", out / "masks", *one, "test_name=run", "num_batch_test=2"],
        "segmentation/evaluate.py": ["-o", out / "evaluated", *one, "test_name=run"],
        "segmentation/shift.py": ["-o", out / "shifted", *one, "test_name=run", "--shift", "JPEG 30"],
        "classification/split.py": [*two, f"dir_pairs={pairs}"],
        "classification/train.py": two,
        "classification/inference.py": [*given, *two, "-o", out / "predicted"],
        "classification/visualize_cnn.py": [*given, *two, "-o", out / "predicted" / "cams"],
        "classification/scorecard.py": [*given, *two, "-o", out / "scored", "--scores", "lung"],
        "classification/shift.py": [*given, *two, "-o", out / "votes", "--shift", "JPEG 30"],
        "classification/biomarkers.py": [*given, *two],
        "classification/report.py": ["-i", out / "predicted", *two, "--pairs", out / "masks"],
    }
