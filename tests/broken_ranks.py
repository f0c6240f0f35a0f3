"""Trainings and inference in 2 and 4 processes, on one machine or as two torchrun nodes: one process is killed at a
random moment, then the same command must end as if nothing had happened.

    python -m tests.broken_ranks --moments 5
    python -m tests.broken_ranks --only train --processes 2 --nodes 2
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from broken_runs import state
from conftest import CLASSIFYING, ROOT, TINY, draw_pair, environment, run
from killed_runs import assert_same_run

PATIENCE = 60  # seconds after which a node whose partner has died is ended as well, as a cluster does


def launch(script: str, words: list, processes: int, nodes: int, log) -> list[subprocess.Popen]:
    """The torchrun of each node, with the processes divided among them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [Path(sys.executable).with_name("torchrun"), f"--nnodes={nodes}"]
    torchrun += [f"--nproc-per-node={processes // nodes}", "--master-addr=127.0.0.1", f"--master-port={port}"]
    return [
        subprocess.Popen(
            [*torchrun, f"--node-rank={rank}", ROOT / script, *map(str, words)],
            env=environment(),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for rank in range(nodes)
    ]


def ended(started: list[subprocess.Popen]) -> list[int]:
    """Their exit codes; once one has failed, the others have some time left."""
    limit = None
    while any(one.poll() is None for one in started):
        if limit is None and any(one.poll() for one in started):
            limit = time.perf_counter() + PATIENCE
        if limit is not None and time.perf_counter() > limit:
            for one in started:
                if one.poll() is None:
                    for worker in children(one):  # each is a session of its own
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(worker, signal.SIGKILL)
                    os.killpg(one.pid, signal.SIGKILL)
        time.sleep(0.05)
    return [one.returncode for one in started]


def children(one: subprocess.Popen) -> list[int]:
    """The process ids of what a torchrun has started."""
    told = Path(f"/proc/{one.pid}/task/{one.pid}/children")
    return [*map(int, told.read_text().split())] if told.exists() else []


def workers(started: list[subprocess.Popen], script: str) -> list[int]:
    """The process ids of the scripts that torchrun has started."""
    lines = {child: Path(f"/proc/{child}/cmdline") for one in started for child in children(one)}
    return [child for child, line in lines.items() if line.exists() and script.encode() in line.read_bytes()]


def killed(script, words, processes: int, nodes: int, seconds: float, draw: random.Random, log) -> list[int]:
    """The exit codes of the nodes, one of whose processes is killed some seconds after all have been started."""
    started = launch(script, words, processes, nodes, log)
    while len(found := workers(started, script)) < processes and all(one.poll() is None for one in started):
        time.sleep(0.02)
    time.sleep(seconds)
    one = draw.choice(found)
    if one in workers(started, script):  # else this machine was faster
        os.kill(one, signal.SIGKILL)
    return ended(started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=5, help="of each script and number of processes and nodes (5)")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[""], help="scripts whose names hold one of these words")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        few = "--jsrt 12 --per-class 3 --size 128 --workers 1".split()
        made = run("data/make_phantom.py", "-o", root / "set", *few)
        assert made.returncode == 0, made.stderr
        for f, kind in enumerate(("normal", "bacteria", "virus", "COVID-19")):
            for part, count in (("train", 6), ("val", 2), ("test", 5)):
                for i in range(count):
                    draw_pair(root / "split" / part / kind, f"{kind}-{part}-{i}", kind, 100 * f + i)
        out, whole, before, log = root / "out", root / "whole", root / "before", root / "log.txt"
        one = [*TINY, f"dir_data_root={root / 'set'}", f"dir_checkpoint={out / 'one'}", "test_name=run"]
        one += ["num_workers=0", "resize_height=64", "resize_width=64"]
        two = [*CLASSIFYING, f"dir_split={root / 'split'}", f"dir_checkpoint={out / 'two'}", "test_name=run"]
        commands = {
            "segmentation/train.py": [*one, "epoch_max=3", "num_batch_train=1"],
            "segmentation/inference.py": ["-i", root / "set/cohort", "-o", out / "masks", *one],
            "classification/train.py": [*two, "epoch_max=3"],
            "classification/inference.py": [*two, "-o", out / "predicted"],
            "classification/visualize_cnn.py": [*two, "-o", out / "cams"],
        }
        for nodes in options.nodes:
            for processes in options.processes:
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                for script, words in commands.items():
                    shutil.rmtree(before, ignore_errors=True)
                    shutil.copytree(out, before)
                    began = time.perf_counter()
                    with log.open("w") as said:
                        codes = ended(launch(script, words, processes, nodes, said))
                    seconds = time.perf_counter() - began
                    assert not any(codes), f"{script}: {log.read_text()}"
                    shutil.rmtree(whole, ignore_errors=True)
                    shutil.copytree(out, whole)
                    count = 0
                    for _ in range(options.moments if any(word in script for word in options.only) else 0):
                        shutil.rmtree(out)
                        shutil.copytree(before, out)
                        with log.open("w") as said:
                            count += any(killed(script, words, processes, nodes, draw.uniform(0, seconds), draw, said))
                            codes = ended(launch(script, words, processes, nodes, said))
                        assert not any(codes), f"{script}: {codes}\n{log.read_text()}"
                        now, then = state(out), state(whole)
                        other = [name for name in now.keys() | then.keys() if now.get(name) != then.get(name)]
                        assert not other, f"{script}: {other}"
                        for checkpoint in whole.rglob("last.pt"):
                            assert_same_run(checkpoint.parent, out / checkpoint.parent.relative_to(whole))
                    print(
                        f"{script}, {processes} processes on {nodes} node(s): {seconds:.0f} s; {count} of "
                        f"{options.moments} ended by it; the same command ended equal",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
