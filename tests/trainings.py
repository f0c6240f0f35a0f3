"""What must hold of a training of either stage, for the tests of both: made is conftest's finished run of one."""

import json
import random
import shutil
import signal

import torch
from conftest import ROOT, run
from killed_runs import KILLER, assert_same_run, kill_after, load

FILES = {"best.pt", "last.pt", "log.jsonl", "header.json", "curves.png", "tensorboard"}
LOGGED = {"train_loss", "val_loss", "val_score", "learning_rate", "seconds"}


def rows_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def leaves_its_files(made, epochs, logged):
    """All of them, with a row an epoch, which is returned."""
    assert {p.name for p in made.run.iterdir()} == FILES
    rows = rows_of(made.run)
    assert [row["epoch"] for row in rows] == list(range(1, epochs + 1))
    assert LOGGED | logged <= set(rows[0])
    assert (made.run / "curves.png").read_bytes()[:4] == b"\x89PNG"
    return rows


def is_plain(value):
    """Whether a checkpoint's value is of tensors and plain types only."""
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return type(value) in (torch.Tensor, int, float, str, bool, type(None))


def survives_kills(script, made, tmp_path, longest, workers):
    """Killed with best.pt of an epoch written and last.pt not, then at a moment of chance, up to `longest` seconds, it
    ends with the same weights bit for bit, with another number of workers."""
    words = [*made.words, f"dir_checkpoint={tmp_path}", "test_name=killed"]
    killer, folder = tmp_path / "killer.py", tmp_path / "killed"
    killer.write_text(KILLER)
    # start: header, log; epoch 1: log, best, last, curves; epoch 2: log, then best or last; epoch_max may grow
    dead = run(killer, 8, ROOT / script, *words, "epoch_max=2")
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert load(folder / "last.pt")["epoch"] == 1 and len(rows_of(folder)) == 2

    moment = random.uniform(0, longest)
    print(f"killed {moment:.2f} s after its start")
    kill_after(script, words, folder / "header.json", moment)
    done = run(script, *words, f"num_workers={workers}")
    assert done.returncode == 0, done.stderr
    assert "epoch 1:" not in done.stdout  # it went on, and did not begin again
    assert_same_run(made.run, folder)


def two_processes_survive_a_kill(script, tmp_path, *words):
    words = [*words, f"dir_checkpoint={tmp_path}", "epoch_max=2"]
    done = run(script, *words, "test_name=whole", processes=2)
    assert done.returncode == 0, done.stderr
    (tmp_path / "killer.py").write_text(KILLER)
    dead = run(tmp_path / "killer.py", 8, ROOT / script, *words, "test_name=killed", processes=2)
    assert dead.returncode != 0 and load(tmp_path / "killed" / "last.pt")["epoch"] == 1
    done = run(script, *words, "test_name=killed", processes=2)
    assert done.returncode == 0 and "epoch 1:" not in done.stdout, done.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def refuses_other_settings(script, made, call, words, told):
    """By name, with the remedy, and changes nothing; the number of workers may be another."""
    before = {path: path.stat().st_mtime_ns for path in made.run.rglob("*")}
    done = call(script, *made.words, "test_name=whole", *words, "num_workers=1")
    assert done.code == 1
    for text in (*told, "test_name=whole-2", "restart=True"):
        assert text in done.err
    assert "num_workers" not in done.err and "Traceback" not in done.err
    assert {path: path.stat().st_mtime_ns for path in made.run.rglob("*")} == before


def stops_without_a_number(script, call, tmp_path, told, *words):
    """A step of 1e30 leaves weights that no forward pass survives; they must not be kept either."""
    done = call(script, *words, f"dir_checkpoint={tmp_path}", "test_name=broken", "learning_rate=1e30")
    assert done.code == 1 and told in done.err and "learning_rate below 1e+30" in done.err
    assert not (tmp_path / "broken" / "last.pt").exists() and not (tmp_path / "broken" / "best.pt").exists()


def stops_early_and_for_good(script, made, call, tmp_path, epochs, rose, score, better):
    """rose: where last.pt keeps the epoch that patience counts from; score, better: what is told of it."""
    shutil.copytree(made.run, tmp_path / "whole")
    torch.save(load(made.run / "last.pt") | {"best": 2.0, rose: epochs - 1}, tmp_path / "whole" / "last.pt")
    words = [*made.words, f"dir_checkpoint={tmp_path}", "test_name=whole", "epoch_max=40", "patience=2"]
    best = (tmp_path / "whole" / "best.pt").read_bytes()
    done = call(script, *words)
    assert done.code == 0 and f"No better {better} for 2 epochs: stopped early." in done.out
    assert load(tmp_path / "whole" / "last.pt")["epoch"] == epochs + 1
    assert (tmp_path / "whole" / "best.pt").read_bytes() == best
    done = call(script, *words)
    assert done.code == 0 and f"is finished: {epochs + 1} epochs, best {score} 2.0" in done.out
