"""The recipe of the weights that ship: who is left out, what is matched, a run that goes on, the file it ends in."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import checkpoint
from safetensors.torch import load_file

from classification import header
from classification.model import backbone, origin
from classification.model import weightfile as weights
from cxr import pairs
from cxr.run import engine, runfolder
from cxr.settings import config
from weights import distil, teach

SCRIPT = "weights/make_classification.py"
SMALL = ["img_size=96", "patch_size=64", "num_batch_train=2", "device=cpu", "num_workers=1"]
CLASSES = ["normal", "bacterial", "tuberculosis", "viral"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A folder with pairs of the cohort, its split, more pairs, and a teacher that tells its classes."""
    root = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(1)
    mask = np.zeros((96, 96), np.uint8)
    mask[20:80, 15:40] = mask[20:80, 55:80] = 1

    def write(folder, *cases):
        for case in cases:
            pairs.save(root / folder, case, rng.uniform(0, 255, mask.shape), mask, image_dtype="uint8")

    rows = [
        ("a", "normal", "X:1", "train", "1"),
        ("b", "normal", "X:2", "test", "2"),
        ("c", "virus", "X:2", "train", "3"),
        ("d", "virus", "X:4", "val", "4"),
        ("e", "virus", "X:5", "train", "4"),
        ("f", "virus", "X:6", "train", "6"),
        ("person7_virus_1", "virus", "CoronaHack:person7", "test", "7"),
    ]
    for case, folder, *_ in rows:
        write(f"own/{folder}", case)
    write("own/virus", "unlisted")
    write("more/Virus", "person7_virus_2", "person8_virus_3")
    write("more/Normal", "b", "IM-0001-0001")
    table = pd.DataFrame(rows, columns=["case", "folder", "patient", "part", "group"]).assign(source="X")
    (root / "split").mkdir()
    table.to_csv(root / "split" / "split.csv", index=False)
    engine.seed_torch(1)
    model = backbone.build("efficientnet_lite0", 4)
    settings = {"net_label": "efficientnet_lite0", "dir_split": "x"}
    folders = {name: i for i, name in enumerate(CLASSES)}
    engine.save(checkpoint(model, settings, CLASSES, folders, "lite"), root / "teacher.pt")
    return root


def words(cohort, run):
    pairs = ["--pairs", cohort / "own", "--pairs", cohort / "more", "--split", cohort / "split"]
    return ["distil", "--teacher", cohort / "teacher.pt", *pairs, "--run", run, "--steps", 3, *SMALL]


def test_patients_and_duplicates_of_validation_and_test_teach_nothing(cohort):
    settings, _ = config.load(header, [])
    cases, groups, left_out = teach.find_cases([cohort / "own", cohort / "more"], cohort / "split", settings)
    # c: patient of a test case; e: group of a validation case; person7_virus_2: patient; b: name of a test case
    assert [case.case for case in cases] == ["a", "f", "IM-0001-0001", "person8_virus_3"]
    assert left_out == 8
    assert [groups[case.label] for case in cases] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_features_that_look_at_the_same_pixels_are_compared():
    resnet, lite = backbone.build("resnet18", 2), backbone.build("efficientnet_lite0", 2)
    place = torch.arange(49.0).view(1, 1, 7, 7)
    ours, theirs = teach.same_places(place, place, resnet, lite)
    assert torch.equal(ours - theirs, torch.full((1, 1, 6, 6), 8.0))  # a row and a column further
    theirs, ours = teach.same_places(place, place, lite, resnet)
    assert torch.equal(ours - theirs, torch.full((1, 1, 6, 6), 8.0))
    assert teach.same_places(place, place, resnet, resnet)[0].shape == (1, 1, 7, 7)


def test_unexplained_is_none_for_the_same_and_all_for_nothing():
    maps = teach.standardise(torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(1)) * 5 + 3)
    assert maps.mean().abs() < 1e-5 and abs(maps.var() - 1) < 0.05
    assert teach.unexplained(maps, maps) == 0
    assert teach.unexplained(torch.zeros_like(maps), maps) == 1


def test_a_teacher_becomes_known_by_its_labels(cohort):
    """A student with the teacher's own network, and a perfect projection, has nothing left to learn but hard labels."""
    teacher = teach.open_teacher(cohort / "teacher.pt")
    student = teach.Student("efficientnet_lite0", 4, [teacher], [2]).eval()
    student.network = teacher.model
    with torch.no_grad():
        student.projections[0].weight.copy_(torch.eye(1280)[:, :, None, None])
        student.projections[0].bias.zero_()
        patches = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
        teacher = teacher._replace(input_scaling="imagenet")  # the student's
        args = patches, torch.zeros(3, dtype=torch.long), torch.tensor([0, 1, 1]), 2.0
        same = teach.losses(student, student.network, [teacher], *args)
        said = teach.losses(student, student.network, [teacher._replace(classes=None)], *args)
    assert same["soft"].abs() < 1e-5 and same["labels"] > 0 and said["soft"] == 0


def test_a_killed_run_goes_on_to_the_same_weights(cohort, tmp_path, call, monkeypatch):
    monkeypatch.setattr(distil, "ROUND", 2)
    whole = call(SCRIPT, *words(cohort, tmp_path / "whole"))
    assert whole.code == 0, whole.err
    plain = distil.teach_round

    def killed(*arguments):
        if arguments[-2] == 2:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(distil, "teach_round", killed)
    assert call(SCRIPT, *words(cohort, tmp_path / "cut")).code == 130
    monkeypatch.setattr(distil, "teach_round", plain)
    assert call(SCRIPT, *words(cohort, tmp_path / "cut")).code == 0
    one, other = (load_file(tmp_path / run / "student.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert [row["step"] for row in runfolder.read_log(tmp_path / "cut" / "log.jsonl")] == [2, 3]

    name, _, saved = weights.read(tmp_path / "whole" / "student.safetensors")
    assert (name, saved["classes"], saved["input_scaling"]) == ("resnet18", CLASSES, "imagenet")
    start = SimpleNamespace(
        seed=1,
        net_label="resnet18",
        start_weights=tmp_path / "whole" / "student.safetensors",
        pretrained="none",
        input_scaling="auto",
    )
    model, scaling, note = origin.start(start, 4, CLASSES)
    assert scaling == "imagenet" and "anew" not in note
    assert torch.equal(model.fc.weight, one["fc.weight"])

    other = call(SCRIPT, *words(cohort, tmp_path / "cut"), "--rate", 0.1)
    assert other.code == 1 and "rate: 0.001 -> 0.1" in other.err


def test_settings_that_are_not_read_are_refused(cohort, tmp_path, call):
    done = call(SCRIPT, *words(cohort, tmp_path / "run"), "learning_rate=1")
    assert done.code == 1 and "does not read learning_rate" in done.err and not (tmp_path / "run").exists()
    done = call(SCRIPT, *words(cohort, tmp_path / "run"), "patch_size=8")
    assert done.code == 1 and "patch_size=8 is too small" in done.err and not (tmp_path / "run").exists()


def test_export_halves_and_tells_the_training(cohort, tmp_path, call):
    done = call(SCRIPT, "export", cohort / "teacher.pt", "-o", tmp_path / "shipped.safetensors")
    assert done.code == 0, done.err
    assert load_file(tmp_path / "shipped.safetensors")["classifier.weight"].dtype == torch.float16
    name, _, saved = weights.read(tmp_path / "shipped.safetensors")
    assert name == "efficientnet_lite0" and saved["classes"] == CLASSES and saved["input_scaling"] == "lite"
    assert saved["settings"] == {"net_label": "efficientnet_lite0"}


def test_export_replaces_no_file_unasked(cohort, tmp_path, call, monkeypatch):
    """Least of all the one that ships, which is where it writes unless told otherwise."""
    shipped = tmp_path / "classification.safetensors"
    shipped.write_bytes(b"what ships")
    monkeypatch.setattr(weights, "SHIPPED", shipped)
    done = call(SCRIPT, "export", cohort / "teacher.pt")
    assert done.code == 1 and f"{shipped} is there already" in done.err and "--overwrite" in done.err
    assert shipped.read_bytes() == b"what ships"
    assert call(SCRIPT, "export", cohort / "teacher.pt", "-o", tmp_path / "mine.safetensors").code == 0
    shipped.with_suffix(".md").write_bytes("Prüfung".encode("cp1252"))
    done = call(SCRIPT, "export", cohort / "teacher.pt", "-o", shipped, "--overwrite")
    assert done.code == 1 and "is not the card of" in done.err and shipped.read_bytes() == b"what ships"
    shipped.with_suffix(".md").unlink()
    done = call(SCRIPT, "export", cohort / "teacher.pt", "-o", shipped, "--overwrite")
    assert done.code == 0 and weights.read(shipped)[0] == "efficientnet_lite0"
