"""Two machines with a process each, here two torchrun over the loopback, train as one with two processes does."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CLASSIFYING, ROOT, environment, run
from killed_runs import assert_same_run

TRAIN = "classification/train.py"


@pytest.mark.slow
def test_two_nodes_train_as_one_with_two_processes(split_pairs, tmp_path):
    words = [*CLASSIFYING, f"dir_split={split_pairs}", f"dir_checkpoint={tmp_path}", "epoch_max=1"]
    one = run(TRAIN, *words, "test_name=one", processes=2)
    assert one.returncode == 0, one.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [Path(sys.executable).with_name("torchrun"), "--nnodes=2", "--nproc-per-node=1"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    nodes = [
        subprocess.Popen(
            [*torchrun, f"--node-rank={rank}", ROOT / TRAIN, *words, "test_name=two"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [node.communicate(timeout=600)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], told
    assert_same_run(tmp_path / "one", tmp_path / "two")
