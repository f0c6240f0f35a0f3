"""The same command started twice on one output: the second ends with who holds it, whichever script it is. A file in
the place of the output ends it as well."""

import shutil
import subprocess
import sys

from conftest import ROOT
from report_runs import write_run

HOLD = "import sys, time; from cxr.run import lock; [*map(lock.take, sys.argv[1:])]; print(flush=True); time.sleep(60)"


def test_a_second_start(radiographs, trained, classified, tmp_path, call):
    write_run(tmp_path)
    out = tmp_path / "out"
    measuring = ["-o", out, *trained.words, "test_name=whole"]
    commands = {
        "data/arrange.py": ["-i", radiographs / "cohort", "--metadata", radiographs / "metadata.xls", "-o", out],
        "segmentation/evaluate.py": measuring,
        "segmentation/shift.py": measuring,
        "classification/split.py": [f"dir_pairs={tmp_path / 'pairs'}", f"dir_split={out}", "classes=[]"],
        "classification/inference.py": ["-o", out, *classified.words, "test_name=whole"],
        "classification/biomarkers.py": ["-i", tmp_path / "pairs", "-o", out],
        "classification/report.py": ["-i", tmp_path / "run", "-o", out / "page.html"],
    }
    commands |= {
        "segmentation/train.py": [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=out"],
        "classification/train.py": [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=out"],
        "classification/calibrate.py": [f"file_weights={classified.run / 'best.pt'}", "-o", out / "best.pt"],
    }
    held = [out / ".lock", tmp_path / "out.lock", out / "page.html.lock"]
    with subprocess.Popen([sys.executable, "-c", HOLD, *held], cwd=ROOT, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        for script, words in commands.items():
            done = call(script, *words)
            assert done.code == 1 and f"another run works in {out}" in done.err, f"{script}: {done.err}"
        assert sorted(out.iterdir()) == sorted([held[0], held[2]])
        first.kill()

    shutil.rmtree(out)
    out.touch()  # a place that cannot be written is told before there is anything to write
    for script, words in commands.items():
        done = call(script, *words)
        assert done.code == 1 and str(out) in done.err and "cases:" not in done.err, f"{script}: {done.err}"
