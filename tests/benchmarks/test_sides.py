"""Both sides of every benchmark agree, at small sizes, in one process; their times are no matter here."""

import argparse
import json
import sys

import numpy as np
import pytest
import torch
from torch._dynamo import register_backend

from benchmarks import agree, bench, inputs, plain_segment, plain_side, project_side, rates, record, rows, sides, work
from segmentation import fast_forward, fcdensenet

SIZE = bench.SHORT


@pytest.fixture(scope="module")
def arguments(radiographs, tmp_path_factory):
    """What every stage is given, on two radiographs of the tests' synthetic set."""
    output = tmp_path_factory.mktemp("benchmark")
    files = inputs.radiographs(radiographs / "JSRT", output, SIZE.radiographs, SIZE.radiograph)
    classifier, net_label, scaling = inputs.classifier_weights(None, output)
    folder = inputs.pair(files[0], output, SIZE.side)
    return {
        "file": files[0],
        "radiographs": files,
        "weights": inputs.segmentation_weights(None, output),
        "size": SIZE.network,
        "class_weights": [0.5, 1, 1, 1],
        "learning_rate": 1e-4,
        "classifier": classifier,
        "net_label": net_label,
        "scaling": scaling,
        "folder": folder,
        "case": inputs.CASE,
        "side": SIZE.side,
        "patch": SIZE.patch,
        "output": output,
        "target": 0,
        "settings": [],
        "device": "cpu",
        "centres": project_side.centres(folder, inputs.CASE, SIZE.side, SIZE.repeat).tolist(),
    }


@pytest.mark.parametrize("stage", ["equalise", "network", "step", "vote", "dense", "saliency"])
def test_sides_agree(arguments, stage):
    plain, project = (getattr(side, stage)(**arguments)()() for side in (plain_side, project_side))
    words, same = getattr(agree, stage)(plain, project, True)
    assert same or (stage == "dense" and same is None), words


def test_a_compiled_step_is_compiled(arguments, monkeypatch):
    seen = []

    @register_backend(name="counting")
    def counting(graph, inputs):
        seen.append(graph)
        return graph.forward

    small = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 1), torch.nn.LogSoftmax(1))  # fcdensenet103 takes half a minute
    monkeypatch.setattr(project_side.train, "new_network", lambda settings, fresh: small)
    found = project_side.step(**arguments | {"settings": ["compile=counting"]})()()
    assert seen and set(found) == {"loss", "0.weight", "0.bias"}


def test_whole_stage_1_agrees(arguments, call, monkeypatch, tmp_path):
    files, weights = arguments["radiographs"], arguments["weights"]
    words = [*files, "--weights", weights, "--size", SIZE.network, "-o", tmp_path / "plain"]
    monkeypatch.setattr(sys, "argv", ["plain_segment", *map(str, words)])
    plain_segment.main()
    sizes = [f"resize_height={SIZE.network}", f"resize_width={SIZE.network}", "crop_border=False", "device=cpu"]
    words = ["-i", *files, "-o", tmp_path / "project", f"file_weights={weights}", *sizes]
    done = call("segmentation/inference.py", *words)
    assert done.code == 0, done.out + done.err
    words, same = agree.masks(files, tmp_path / "plain", tmp_path / "project", True)
    assert same, words


def test_processes_in_turn_and_the_table(arguments, tmp_path, call):
    known = {name: value if isinstance(value, (int, list)) else str(value) for name, value in arguments.items()}
    known["radiographs"] = list(map(str, arguments["radiographs"]))
    found = sides.in_turn("equalise", known, {"plain": [], "float32": []}, 2, tmp_path)
    assert [len(found[side]["seconds"]) for side in ("plain", "float32")] == [2, 2]
    measured = {"gflops": 100.0, "gbytes": 10.0, "threads": 1}
    row = rows.row("equalise", "float32", [], found, ("work", 0, 1e6))
    row["floor_s"] = work.floor(*row.pop("amount"), measured)
    told = {"rows": [row], "rates": measured, "machine": "m", "date": "d", "load": [0, 1], "data": "x"}
    told |= {"versions": "v", "losses": {"plain": [1.0]}, "waits": {"segmentation": 0.01}}
    (tmp_path / "bench.json").write_text(json.dumps(told))
    done = call("benchmarks/table.py", tmp_path / "bench.json")
    lines = done.out.splitlines()
    assert row["agree"] and lines[5].startswith("| equalise and gamma, float32 | work |")
    assert len(set(line.count("|") for line in lines if line.startswith("|"))) == 1


def test_a_side_that_ends_is_told_of(tmp_path):
    with pytest.raises(sides.Failed, match="has no attribute 'nothing'"):
        sides.in_turn("nothing", {}, {"plain": []}, 1, tmp_path)


def test_operations_are_the_papers():
    assert work.segmentation(256) == pytest.approx(52.09e9, rel=0.01)
    assert work.classification("resnet18", 224) == pytest.approx(3.63e9, rel=0.01)
    assert work.floor(2e9, 3e9, {"gflops": 1.0, "gbytes": 1.0}) == pytest.approx(5.0)


def test_batches_have_no_part_in_an_image(arguments):
    """The inference forward writes into shared memory: neighbours in a batch and odd sizes must not show."""
    torch.manual_seed(0)
    model = fcdensenet.build("fcdensenet56").eval()
    x = torch.rand(3, 1, 40, 51) * 255
    with torch.inference_mode():
        wanted = model(x)
        forward = fast_forward.forward_of(model)
        torch.testing.assert_close(forward(x), wanted, atol=1e-4, rtol=1e-5)  # random weights: values to 110
        torch.testing.assert_close(forward(x[1:2]), wanted[1:2], atol=1e-4, rtol=1e-5)


def test_peak_memory_is_the_process_s_own(tmp_path):
    ours = np.ones(40_000_000)  # 320 MB, which a child must not be charged with
    _, peak = sides.process(["-c", "import time; time.sleep(0.3)"], tmp_path / "log")
    assert 0 < peak < ours.nbytes / 4 or not sides.peak_bytes()
    _, peak = sides.process(["-c", "import time; b = bytearray(b'1') * 300_000_000; time.sleep(0.3)"], tmp_path / "log")
    assert peak > 290_000_000 or not sides.peak_bytes()


def test_the_better_rate_counts():
    one, other = {"gflops": 3.0, "gbytes": 1.0}, {"gflops": 2.0, "gbytes": 5.0}
    assert rates.best(one, other) == {"gflops": 3.0, "gbytes": 5.0}


def stopped(*_):
    raise KeyboardInterrupt


def test_the_benchmark_as_a_person_runs_it(tmp_path, monkeypatch, capsys):
    """Whole processes, waits, rates, the table, cut short after one stage; sides in turn have a test above."""
    words = ["bench", "--short", "--stages", "inference", "waits", "-o", tmp_path, "--fastest"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="130"):
        patch.setattr(bench, "wait", stopped)
        bench.main()
    assert "segmentation/inference.py, float32" in (tmp_path / "bench.md").read_text()
    monkeypatch.setattr(bench, "inference", stopped)  # it is not measured again
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--resume"])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    found = json.loads((tmp_path / "bench.json").read_text())
    assert not ended.value.code, found["rows"]
    (row,) = found["rows"]
    assert (row["stage"], row["setting"]) == ("segmentation/inference.py", "float32")
    assert row["floor_s"] > 0 and min(row["peak_bytes"]) > 1e8
    assert set(found["waits"]) == {"segmentation", "segmentation, augmented", "classification"}
    assert "wanted below 5 %" in capsys.readouterr().out


def test_settings_beside_float32(monkeypatch):
    def settings(stage, typed, *installed, bf16=False):
        monkeypatch.setattr(bench, "find_spec", lambda name: name in installed)
        monkeypatch.setattr(rates, "has_bf16", lambda device: bf16)
        return bench.fastest(stage, argparse.Namespace(fastest=typed, device="cpu"))

    assert settings("network", None) == settings("dense", None, bf16=True) == settings("vote", None, "openvino") == []
    assert settings("network", None, "openvino") == ["backend=openvino"]
    assert settings("vote", None, "openvino", bf16=True) == ["precision=bf16-mixed"]
    assert settings("vote", ["backend=openvino"]) == [] and settings("inference", ["mirror=True"]) == ["mirror=True"]


@pytest.mark.parametrize("held", ["[]", '{"rates": ', '{"rates": null}', "{}"])
def test_a_damaged_bench_json_is_named(tmp_path, call, held):
    (tmp_path / "bench.json").write_text(held)
    done = call("benchmarks/table.py", tmp_path / "bench.json")
    assert done.code == 1 and f"{tmp_path / 'bench.json'}" in done.err and "\n" not in done.err.strip()
    options = argparse.Namespace(input="", segmentation="", classifier="", device="", fastest="", resume=True)
    if held != "[]":  # of the same run as asked for, so that only what it measured is damaged
        (tmp_path / "bench.json").unlink()
        found = record.begin(options, SIZE, {"machine": "m", "data": "d", "rates": {"gflops": 1.0}}, tmp_path)
        (tmp_path / "bench.json").write_text(json.dumps(found | {"rates": None}) if held[-1] == "}" else held)
    with pytest.raises(ValueError, match=r"bench.json.* (holds a list|is damaged|does not hold)"):
        record.begin(options, SIZE, {"machine": "m", "data": "d", "rates": {"gflops": 1.0}}, tmp_path)


def test_a_folder_without_radiographs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no radiograph"):
        inputs.radiographs(tmp_path, tmp_path, 1, 256)
