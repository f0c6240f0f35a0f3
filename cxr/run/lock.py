"""One run at a time in one place: a lock file that says who holds it.

The lock is the operating system's on the open file, so that it ends with its process, killed or not: a file that a
killed run left behind is recognised and taken over.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cxr.errors import BadRun

try:
    import fcntl
except ImportError:  # Windows has none: there the file alone cannot lock
    fcntl = None

NAME = ".lock"
_held: dict[Path, tuple[int, list[Path]]] = {}  # by file: descriptor, and the folders made for it


def take(file: Path) -> None:
    """Take the lock `file` until release(): `.lock` in the folder that it guards, or `name.lock` beside what it guards.
    Raises BadRun with who holds it, and OSError where the folder cannot be written, before there is anything to write.
    Where the disk knows no locks, nothing is locked."""
    file = Path(os.path.abspath(file))
    if fcntl is None or file in _held:
        return
    made = _make(file.parent)
    while True:
        held = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            told, place = _holder(held), file.parent / file.name.removesuffix(NAME)
            os.close(held)
            raise BadRun(
                f"another run works in {place} ({told}): wait until it ends, stop it, or name another folder. "
                "Nothing was changed."
            ) from None
        except OSError:
            os.close(held)
            return
        if _is(held, file):
            break
        os.close(held)  # its holder has ended and removed it in between
    _held[file] = held, made
    about = {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(sys.argv)}
    os.ftruncate(held, 0)
    os.write(held, json.dumps(about | {"since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}).encode())


def release() -> None:
    """Give back every lock of this process, and remove its file, and a folder made for it that is still empty."""
    while _held:
        file, (held, made) = _held.popitem()
        with suppress(OSError):
            if _is(held, file):
                file.unlink()
        os.close(held)
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder; those that were missing, innermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _is(held: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held), file.stat())
    except FileNotFoundError:
        return False


def _holder(held: int) -> str:
    try:
        about = json.loads(os.pread(held, 1 << 16, 0))
        return f"process {about['pid']} on {about['host']} since {about['since']}: {about['command']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has just begun"
