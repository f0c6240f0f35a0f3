"""Every script a user runs, in order, on inputs of seconds: what the tests of faults that any script may meet share.

Of weights/ card.py and make.py are missing: they write what ships."""

import shutil

import dicom_files
from conftest import CLASSIFYING, TINY

from cxr.reading import radiograph
from data.thorax import formats

CANARY = "Canary^Zwölfhundert", "CANARY-4711"  # a patient's name and number, which no output may hold
MARKUP = "<img src=x onerror=alert(1)>"
HOSTILE = f"{MARKUP}'\"`touch a`$(touch b);\n..%s{{0}}\u202e=1+1"  # of a folder and of a file in it


def inputs(phantom, folder):
    """The folder of the phantom's cohort as DICOM files whose headers tell of a patient, one more under a hostile name
    behind links; beside it the facts of one."""
    for file in sorted((phantom / "cohort").rglob("*.png")):
        pixels = radiograph.read(file).pixels
        header = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": CANARY[0], "PatientID": CANARY[1]}
        place = folder / file.parent.name / f"{file.stem}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        dicom_files.save(place, dicom_files.dataset(pixels, 8 * pixels.itemsize, ViewPosition="PA", **header))
    outside = folder.with_name("outside")
    outside.mkdir()
    shutil.copy(place, outside / f"{HOSTILE}.dcm")
    (outside / "loop").symlink_to(folder)
    (folder / "normal" / HOSTILE).symlink_to(outside)
    facts = {"source": "phantom", "filename": "a.png", "Class": "normal"}
    lines = [formats.COLUMNS, [facts.get(name, "") for name in formats.COLUMNS]]
    folder.with_suffix(".csv").write_text("".join(f"{','.join(line)}\n" for line in lines))
    return folder


def commands(phantom, cohort, pairs, out):
    """{script: words}, each of which needs those before it. phantom: a folder of data/make_phantom.py; cohort: class
    folders of radiographs; pairs: class folders of pairs, enough to split; out: where everything goes."""
    one = [*TINY, f"dir_data_root={phantom}", f"dir_checkpoint={out / 'one'}", "num_workers=0", "dropout=0"]
    two = [*CLASSIFYING, f"dir_split={out / 'split'}", f"dir_checkpoint={out / 'two'}", "test_name=run", "epoch_max=2"]
    two += [f"file_metadata={phantom / 'metadata.xls'}", f"dir_pairs={out / 'masks'}", f"dir_save={out / 'saved'}"]
    given = ["-i", out / "masks"]
    taught, frontal = out / "taught", ["--pairs", pairs, "--pairs", out / "taught/split/train"]
    few = ["--n", 4, "--draws", 1, "epoch_max=1"]
    folds = [*two, "test_name=cv", "folds=2", "epoch_max=1", f"dir_split={out / 'folds'}", f"dir_pairs={pairs}"]
    export = ["export", out / "two/run/best.pt", "-o", out / "two.safetensors", "--overwrite"]
    return {
        "data/make_phantom.py": ["-o", out / "phantom", "--jsrt", 1, "--per-class", 1, "--size", 128, "--workers", 1],
        "data/make_odd.py": [out / "odd", "--of", phantom / "cohort", "--count", 1],
        "data/make_metadata.py": [cohort.with_suffix(".csv"), "-o", out / "metadata.xls"],
        "data/arrange.py": ["-i", phantom, "--metadata", phantom / "metadata.xls", "-o", out / "arranged", "--copy"],
        "segmentation/train.py": [*one, "test_name=run", "epoch_max=2", "num_batch_train=3"],
        "segmentation/inference.py": ["-i", cohort, "-o", out / "masks", *one, "test_name=run", "num_batch_test=2"],
        "segmentation/report.py": ["-i", out / "masks"],
        "segmentation/evaluate.py": ["-o", out / "evaluated", *one, "test_name=run"],
        "segmentation/shift.py": ["-o", out / "shifted", *one, "test_name=run", "--shift", "JPEG 30"],
        "segmentation/compare.py": [out / "evaluated", out / "evaluated", "-o", out / "compared"],
        "segmentation/curve.py": [*one, "test_name=n", *few],
        "weights/make_segmentation.py": [out / "one/run/best.pt", "-o", out / "one.safetensors", "--overwrite"],
        "classification/split.py": [*two, f"dir_pairs={pairs}"],
        "classification/train.py": two,
        "classification/calibrate.py": [*two, "repeat=5"],
        "classification/inference.py": [*given, *two, "-o", out / "predicted"],
        "classification/visualize_cnn.py": [*given, *two, "-o", out / "predicted" / "cams"],
        "classification/scorecard.py": [*given, *two, "-o", out / "scored", "--scores", "lung"],
        "classification/shift.py": [*given, *two, "-o", out / "votes", "--shift", "JPEG 30"],
        "classification/biomarkers.py": [*given, *two],
        "classification/audit.py": [*given, *two, "-p", out / "predicted" / "predictions.csv"],
        "classification/compare.py": [out / "predicted", out / "predicted"],
        "classification/curve.py": [*two, "test_name=n", *few],
        "classification/crossval.py": folds,
        "weights/make_classification.py": export,
        "weights/make_phantom.py": [taught, "--per-class", 4, "--val", 0, "--size", 128, "--workers", 1],
        "weights/make_frontal.py": [*frontal, "-o", out / "frontal.safetensors"],
        "classification/report.py": ["-i", out / "predicted", *two, "--pairs", out / "masks"],
    }
