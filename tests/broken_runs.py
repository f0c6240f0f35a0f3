"""Every script killed at random moments, or run on a disk that is full or read-only; then the same command must end as
if nothing had happened.

    python -m tests.broken_runs --moments 50                  SIGKILL, SIGTERM and SIGINT in turn
    python -m tests.broken_runs --disk --moments 6            as root: a tmpfs with little room left, or read-only
    python -m tests.broken_runs --only shift split            scripts whose names hold one of these words
"""

import argparse
import contextlib
import hashlib
import importlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import every_script
from conftest import ROOT, draw_pair
from killed_runs import assert_same_run

from cxr.run import trainings

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TRIES = 5  # for each run that a signal shall end, since the script may be faster
ROOM = "/sbin:/usr/sbin:" + os.environ["PATH"]


def module(script):
    return importlib.import_module(script.removesuffix(".py").replace("/", "."))


def start(script, words, told=None):
    """Run a script in a process forked from this one, which spares it the imports. What it says goes to a file, `told`;
    with that it and what it starts are a group of their own."""
    sys.stdout.flush()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # no script is met in a fork
    if child := os.fork():
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        return child
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if told:
            os.setpgid(0, 0)
            with open(told, "w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
        sys.argv = [script, *map(str, words)]
        try:
            module(script).main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
    finally:
        os._exit(code)


def inside(line):
    """trainings.call(), for what curve.py and crossval.py start, without the imports."""
    child = start(str(Path(line[1]).relative_to(ROOT)), line[2:])
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.waitpid(child, 0)  # the signal was its as well
        raise


def run(script, words, told):
    """The exit code of a script, and what it said."""
    code = os.waitstatus_to_exitcode(os.waitpid(start(script, words, told), 0)[1])
    return code, Path(told).read_text(errors="replace")


def killed(script, words, told, seconds, number):
    """The same, of a run that gets a signal after some seconds, and how long it was there at most."""
    gone, held = os.pipe()
    told.unlink(missing_ok=True)
    child = start(script, words, told)
    os.close(held)
    while not told.exists():  # from then on the group is there
        time.sleep(0.001)
    began, ended = time.perf_counter(), os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (took := time.perf_counter() - began) < seconds and not os.waitid(os.P_PID, child, ended):
        time.sleep(0.002)
    os.killpg(child, number)  # a child that has ended is still there until it is waited for
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.read(gone, 1)  # ends when what it had started has ended as well
    os.close(gone)
    return code, Path(told).read_text(errors="replace"), took


def state(out):
    """What the outputs hold, by file, without dates, seconds and processes; .pt files are compared apart."""
    found = {}
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        if file.name == "report.json" or file.suffix in (".pt", ".jsonl") or "tfevents" in file.name:
            continue
        if file.name in ("curves.png", ".lock") or "phantom" in file.parts:  # a phantom is written anew
            continue
        held = file.read_bytes()
        if file.suffix == ".html":
            held = b"".join(re.findall(rb'<script type="application/json".*?</script>', held, re.DOTALL))
        if file.name == "arrange.csv":
            held = held.replace(b",present,", b",copied,")  # by the run before
        found[str(file.relative_to(out))] = hashlib.sha256(held).hexdigest()
    return found


def restore(saved, out):
    for path in out.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(saved, out, dirs_exist_ok=True)


def check(script, words, told, whole, out):
    """The same command again must end well, with the outputs of an undisturbed run."""
    code, said = run(script, words, told)
    assert code == 0, f"{script}: {code}\n{said}"
    now, then = state(out), state(whole)
    assert now == then, f"{script}: {[name for name in now.keys() | then.keys() if now.get(name) != then.get(name)]}"
    for checkpoint in whole.rglob("last.pt"):
        assert_same_run(checkpoint.parent, out / checkpoint.parent.relative_to(whole))
    assert not [path for path in out.rglob("*") if path.name.endswith((".part", "unfinished.0.jsonl"))]


def mount(out, *options):
    subprocess.run(["mount", "-o", ",".join(["remount", *options]), str(out)], check=True, env={"PATH": ROOM})


def used(disk):
    """Bytes in use on a disk."""
    told = os.statvfs(disk)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


def full(script, words, told, need, out, moment, draw):
    """Run with a random part of the bytes that the script needs, every third time with a disk that is read-only."""
    readonly = moment % 3 == 2
    mount(out, "ro" if readonly else f"size={used(out) + 4096 * draw.randrange(max(1, need // 4096))}")
    code, said = run(script, words, told)
    mount(out, "rw", "size=1g")
    assert code in (0, 1) and "Traceback" not in said, f"{script}: {code}\n{said}"
    if code == 1:
        assert ("is read-only; give a folder" if readonly else "disk is full; make room") in said, f"{script}: {said}"
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=50, help="that end a run of each script (50)")
    parser.add_argument("--minutes", type=float, default=1e9, help="of each script at most (all moments)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disk", action="store_true", help="full and read-only disks instead of signals")
    parser.add_argument("--only", nargs="+", default=[""])
    options = parser.parse_args()
    trainings.call = inside
    draw, kinds = random.Random(options.seed), itertools.cycle(SIGNALS)
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        out, whole, before, told = root / "out", root / "whole", root / "before", root / "told"
        out.mkdir()
        if options.disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(out)], check=True, env={"PATH": ROOM})
            stack.callback(subprocess.run, ["umount", str(out)], check=True, env={"PATH": ROOM})
        phantom = ["-o", root / "set", "--jsrt", 12, "--per-class", 1, "--size", 128, "--workers", 1]
        assert run("data/make_phantom.py", phantom, told)[0] == 0
        for f, folder in enumerate(("normal", "bacteria", "virus", "COVID-19")):
            for i in range(6):
                draw_pair(root / "pairs" / folder, f"{folder}-{i}", folder, 10 * f + i)
        cohort = every_script.inputs(root / "set", root / "dicom")
        commands = every_script.commands(root / "set", cohort, root / "pairs", out)
        for script in commands:
            module(script)
        for script, words in commands.items():
            shutil.rmtree(before, ignore_errors=True)
            shutil.copytree(out, before)
            began, need = time.perf_counter(), -used(out)
            code, said = run(script, words, told)
            seconds, need = time.perf_counter() - began, need + used(out)
            assert code == 0, f"{script}: {said}"
            shutil.rmtree(whole, ignore_errors=True)
            shutil.copytree(out, whole)
            codes, began = [], time.perf_counter()
            wanted = options.moments if any(word in script for word in options.only) else 0
            for moment in range(TRIES * wanted):
                ended = len(codes) if options.disk else len(codes) - codes.count(0)
                if ended == wanted or time.perf_counter() - began > 60 * options.minutes:
                    break
                restore(before, out)
                if options.disk:
                    codes.append(full(script, words, told, need, out, moment, draw))
                else:
                    number = next(kinds)
                    code, said, took = killed(script, words, told, draw.uniform(0, seconds), number)
                    seconds = seconds if code else min(seconds, took)  # the machine was busier before
                    assert number != signal.SIGINT or "Traceback" not in said, f"{script}: {said}"
                    codes.append(code)
                check(script, words, told, whole, out)
            told_of = {code: codes.count(code) for code in sorted(set(codes))}
            print(f"{script}: {seconds:.1f} s; exit codes {told_of}; the same command ended equal", flush=True)


if __name__ == "__main__":
    main()
