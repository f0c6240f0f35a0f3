"""The benchmark of growth, and that of loaders: what they run and what they make of it."""

import argparse
import json
import sys

import pytest
import torch

from benchmarks import bench, growth, inputs, sides, waits

SIZE = bench.SHORT


def test_growth_as_a_person_runs_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["growth", "3", "-o", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        growth.main()
    found = json.loads((tmp_path / "growth.json").read_text())
    assert not ended.value.code and [row["cases"] for row in found] == [3, 3]
    assert min(row["busy"] for row in found) > 0.5  # seconds: imports alone take more
    assert "| segmentation/inference.py | 3 | " in capsys.readouterr().out


def test_further_cases_are_compared_with_the_count_before():
    made = [
        {"script": script, "cases": cases, "seconds": 5 + each * cases, "busy": cases, "bytes": 10 * cases}
        for cases in (10, 110)
        for script, each in (("s", 0.5), ("c", 0.25))
    ]
    growth.compare(made)
    assert [row["seconds_more"] for row in made[2:]] == [0.5, 0.25]
    assert made[2]["bytes_more"] == 10 and made[2]["busy_more"] == 1


def test_what_grows_is_seen():
    flat = [
        {"script": "s", "cases": 10**i, "peak_bytes": 100, "seconds_more": 0.1, "busy_more": 0.1, "bytes_more": 5}
        for i in range(4)
    ]
    assert growth.growing(flat) == []
    said = growth.growing([*flat[:3], flat[3] | {"seconds_more": 0.2, "busy_more": 0.15}])
    assert "s: seconds a further case grow from 0.1 to 0.2 at 1000 cases." in said and len(said) == 1
    assert not growth.growing([*flat[:3], flat[3] | {"seconds_more": 0.2}])  # another program took the processors
    assert growth.growing([*flat[:3], flat[3] | {"bytes_more": 7}])
    assert growth.growing([*flat[:3], flat[3] | {"peak_bytes": 200}])


def test_loaders_wait_where_the_training_is(tmp_path):
    inputs.radiographs(None, tmp_path, SIZE.radiographs, SIZE.radiograph)
    classifier = inputs.classifier_weights(None, tmp_path)[0]
    options = argparse.Namespace(input=None, short=True, device="nowhere")
    with pytest.raises(sides.Failed, match="device=nowhere"):
        bench.wait(options, SIZE, tmp_path, classifier)
    with pytest.raises(SystemExit, match="device=nowhere"):
        waits.segmentation(tmp_path, 1, SIZE.network, "nowhere")
    with pytest.raises(SystemExit, match="device=nowhere"):
        waits.classification(tmp_path, classifier, 1, "nowhere")


def test_a_gpu_s_first_epoch_is_not_counted(monkeypatch):
    clock, asked = iter(range(100)), []  # a second between any two looks: batch after batch, half of it spent waiting
    monkeypatch.setattr(waits.time, "perf_counter", lambda: next(clock))

    def batches(epoch):
        asked.append(epoch)
        return range(4)

    assert waits._share(batches, lambda batch: torch.tensor(0.0), torch.device("cpu")) == 0.5 and asked == [1]
    assert waits._share(batches, lambda batch: torch.tensor(0.0), torch.device("cuda")) == 0.5 and asked == [1, 1, 2]
