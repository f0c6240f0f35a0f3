"""Which version of the project runs: the number in pyproject.toml, and the git commit where there is one."""

import argparse
import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def number() -> str:
    """The version in pyproject.toml, for example 0.2.0."""
    return re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]


@cache
def commit() -> str | None:
    """The commit that is checked out, followed by -dirty if tracked files have changed since; None outside a clone.

    ROOT itself must be the clone: a copy of the project inside another repository has no commit of its own.
    """
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):  # git is not installed, or the disk hangs
        return None
    return done.stdout.strip() or None


def about() -> dict[str, str | None]:
    """What report.json, checkpoints and the report page record: {"version": ..., "commit": ...}."""
    return {"version": number(), "commit": commit()}


def text() -> str:
    """Version and commit on one line, for --version."""
    return f"limited-cxr {number()}" + (f" (commit {commit()})" if commit() else "")


class _Print(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(text())
        parser.exit()


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Give a script --version. git is asked only if the flag is given."""
    told = "print version and commit, and exit"
    parser.add_argument("--version", action=_Print, nargs=0, default=argparse.SUPPRESS, help=told)
