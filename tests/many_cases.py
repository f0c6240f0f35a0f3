"""A large cohort through every script that takes one: one pair in a hundred is damaged, each script is killed once.

    python -m tests.many_cases FOLDER --count 20000 --kill 60

Draws small pairs of four classes into FOLDER, splits them, trains a small network for an epoch, predicts, maps,
measures, audits and writes the page. Each script gets SIGKILL after some seconds, then the same command once more. It
must give every pair one row, `failed` for the damaged ones alone, and it tells its time and its greatest memory.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import pandas as pd
from conftest import CLASSIFYING, ROOT, command, draw_pair, environment

CLASSES = ("normal", "bacteria", "virus", "COVID-19")
BAD = 100  # one pair in so many


def name(number: int) -> tuple[str, str]:
    """Folder and name of a pair: three images a patient, all of one class."""
    return CLASSES[number // 3 % 4], f"p{number // 3:05d}-{number % 3}"


def draw(folder: Path, count: int) -> set[str]:
    """Draw the pairs and damage some, each in one of five ways; the names of these."""
    damaged = set()
    for number in range(count):
        kind, case = name(number)
        place = folder / kind
        if not (place / f"{case}.image.npy").exists():
            draw_pair(place, case, kind, number)
        if number % BAD == BAD - 1:
            damage(place / f"{case}.image.npy", place / f"{case}.mask.npy", number // BAD % 5)
            damaged.add(case)
    return damaged


def damage(image: Path, mask: Path, way: int) -> None:
    held = image.read_bytes()
    if way == 0:
        image.write_bytes(b"")
    elif way == 1:
        image.write_bytes(held[: len(held) // 2])
    elif way == 2:
        image.write_bytes(bytes(len(held)))
    elif way == 3:
        np.save(image, np.full((100, 120), np.nan, np.float32))
    else:
        mask.unlink(missing_ok=True)


def run(words: list[str], log: Path, kill: float | None) -> tuple[int, float, float]:
    """The exit code of a script, its seconds and its greatest memory in MB; killed after some seconds if given."""
    began = time.perf_counter()
    with log.open("w") as said:
        process = subprocess.Popen(
            words, env=environment(), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        if kill is not None:
            try:
                process.wait(kill)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        status, used = os.wait4(process.pid, 0)[1:] if process.returncode is None else (0, None)
    code = os.waitstatus_to_exitcode(status) if used else process.returncode
    return code, time.perf_counter() - began, used.ru_maxrss / 1024 if used else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--kill", type=float, default=60, metavar="SECONDS", help="after which a script is killed")
    parser.add_argument("--only", nargs="+", default=[""], help="scripts whose names hold one of these words")
    options = parser.parse_args()
    out, pairs = options.folder.absolute(), options.folder.absolute() / "pairs"
    began = time.perf_counter()
    damaged = draw(pairs, options.count)
    patients = pd.DataFrame([name(number) for number in range(options.count)], columns=["class", "case"])
    patients.assign(patient=patients.case.str[:-2]).to_csv(out / "patients.csv", index=False)
    print(f"{options.count} pairs, {len(damaged)} damaged, drawn in {time.perf_counter() - began:.0f} s", flush=True)
    two = [*CLASSIFYING, f"dir_pairs={pairs}", f"dir_split={out / 'split'}", f"dir_checkpoint={out / 'runs'}"]
    two += [f"file_metadata={out / 'patients.csv'}", f"dir_save={out / 'saved'}", "test_name=run"]
    two += ["epoch_max=1", "repeat=3", "num_batch_train=64", "num_workers=1"]
    predicted, given = out / "predicted", ["-i", pairs]
    commands = {
        "classification/split.py": two,
        "classification/train.py": two,
        "classification/inference.py": [*given, *two, "-o", predicted],
        "classification/visualize_cnn.py": [*given, *two, "-o", predicted / "cams"],
        "classification/biomarkers.py": [*given, *two],
        "classification/audit.py": [
            *given,
            *two,
            "-p",
            predicted / "predictions.csv",
            "--parts",
            "outside",
            "patients",
        ],
        "classification/report.py": ["-i", predicted, *two, "--pairs", pairs],
    }
    tables = {"inference": "predicted/predictions.csv", "visualize_cnn": "predicted/cams/cams.csv"}
    tables |= {"biomarkers": "pairs/biomarkers/biomarkers.csv", "split": "split/split.csv"}
    for script, words in commands.items():
        if not any(word in script for word in options.only):
            continue
        stem, log = Path(script).stem, out / f"{Path(script).stem}.log"
        first = run(command(script, *words), log, options.kill)
        code, seconds, memory = run(command(script, *words), log, None)
        assert code in (0, 1) and "Traceback" not in log.read_text(), f"{script}: {code}; see {log}"
        print(
            f"{script}: killed after {first[1]:.0f} s ({first[0]}), then {seconds:.0f} s, {memory:.0f} MB", flush=True
        )
        if stem in tables:
            table = pd.read_csv(out / tables[stem], keep_default_na=False)
            failed = set(table.case[table.status == "failed"]) if "status" in table else damaged
            good = set(table.case) - failed
            assert table.case.is_unique and good | damaged == set(patients.case), f"{script}: rows are missing"
            assert failed == damaged, f"{script}: {sorted(failed ^ damaged)[:5]}"


if __name__ == "__main__":
    main()
