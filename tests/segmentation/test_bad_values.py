"""Settings and files that no result could follow from: one sentence, and nothing lost or left behind."""

import shutil

import pandas as pd
import pytest
import torch
from conftest import ROOT, TINY

from cxr.settings import config
from segmentation import batches, header, masks_csv, segment

SEGMENT = "segmentation/inference.py"


@pytest.mark.parametrize(
    "word,told",
    [
        ("num_batch_test=0", "num_batch_test=0 is too small; give 1 or more."),
        ("num_batch_test=-1", "num_batch_test=-1 is too small"),
        ("resize_height=10", "resize_height=10 is too small; give 32 or more."),
        ("gamma=-1.0", "gamma=-1.0 must be above 0"),
        ("image_dtype=int8", "image_dtype='int8' is unknown; it is float32 or uint8."),
        ("decision=[1.0,0.0,1.0,1.0]", "is not 4 factors above 0"),
    ],
)
def test_values_that_give_no_mask_stop_before_anything_is_written(radiographs, tmp_path, call, word, told):
    done = call(SEGMENT, "-i", radiographs / "cohort", "-o", tmp_path / "out", word)
    assert done.code == 1 and told in done.err and len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    if word != "num_batch_test=0":
        return
    done = call("segmentation/train.py", f"dir_data_root={radiographs}", f"dir_checkpoint={tmp_path / 'ck'}", word)
    assert done.code == 1 and told in done.err and not (tmp_path / "ck").exists()


def test_a_mistyped_scaling_loses_no_prediction(split_pairs, tmp_path, call):
    words = [
        "-i",
        split_pairs / "test" / "virus",
        "-o",
        tmp_path,
        *"device=cpu img_size=128 patch_size=32 repeat=2".split(),
        f"file_weights={ROOT / 'weights' / 'phantom.safetensors'}",
    ]
    assert call("classification/inference.py", *words).code == 0
    before = (tmp_path / "predictions.csv").read_bytes()
    done = call("classification/inference.py", *words, "--overwrite", "input_scaling=foo")
    assert done.code == 1 and "input_scaling='foo' is unknown; it is auto or" in done.err
    assert (tmp_path / "predictions.csv").read_bytes() == before
    assert call("classification/inference.py", *words).code == 0


def test_a_seed_below_zero_is_refused(capsys):
    for words in (["seed=-1"], ["split_seed=-407"]):
        with pytest.raises(SystemExit) as end:
            config.load(header, words)
        assert end.value.code == 2 and "takes a whole number from 0 on" in capsys.readouterr().err


def test_a_name_too_long_for_its_outputs_stops_nothing_else(trained, radiographs, tmp_path, call):
    radiograph = next((radiographs / "JSRT").iterdir())
    (tmp_path / "in").mkdir()
    shutil.copy(radiograph, tmp_path / "in" / f"{'m' * 246}.png")
    shutil.copy(radiograph, tmp_path / "in" / "zz.png")
    done = call(
        SEGMENT, "-i", tmp_path / "in", "-o", tmp_path / "out", *TINY, f"file_weights={trained.run / 'best.pt'}"
    )
    rows = pd.read_csv(tmp_path / "out" / "masks.csv", keep_default_na=False)
    assert done.code == 1 and "the names of its outputs would be too long" in done.out
    assert rows.status.tolist()[0] == "failed" and rows.case.tolist()[1] == "zz" and rows.status[1] != "failed"
    assert sorted(p.name for p in (tmp_path / "out" / "in").iterdir()) == sorted(
        f"zz{end}" for end in (".image.npy", ".mask.npy", ".labels.npy", ".overlay.png")
    )


def test_a_network_that_returns_nan_fails_the_case(radiographs, tmp_path):
    settings = config.load(header, [])[0]
    radiograph = next((radiographs / "JSRT").iterdir())
    job = masks_csv.Job(radiograph, "a", "case", tmp_path / "a")
    row = batches.finish(job, segment.prepare(radiograph, settings), torch.full((4, 8, 8), torch.nan), settings)
    assert row["status"] == "failed" and "the network returns NaN or Inf; try precision=32-true." in row["reason"]
    assert not (tmp_path / "a").exists()


def test_an_overlay_that_cannot_be_written_is_no_success(radiographs, tmp_path):
    settings = config.load(header, [])[0]
    radiograph = next((radiographs / "JSRT").iterdir())
    job = masks_csv.Job(radiograph, "a", "case", tmp_path / "a")
    (tmp_path / "a" / f"case{masks_csv.OVERLAY}").mkdir(parents=True)  # a folder where the picture should be
    p = torch.zeros(4, 8, 8)
    p[0], p[2, 2:6, 5:7], p[3, 2:6, 1:3] = 0.5, 1.0, 1.0
    with pytest.raises(OSError, match="overlay.png"):
        batches.finish(job, segment.prepare(radiograph, settings), p, settings)
