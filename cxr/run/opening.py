"""How every script opens and ends: what a console cannot show is escaped, and Ctrl-C, a full disk, a place that cannot
be written and bad data end it in one sentence and not in a traceback. Scripts import it first, so that this holds for
Ctrl-C while they import the rest, which takes seconds."""

import errno
import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from cxr.errors import BadData, BadInput, BadRun
from cxr.run import lock
from cxr.version import ROOT

if {"LOCAL_WORLD_SIZE", "SLURM_NTASKS"} & os.environ.keys():  # read by torch when it is imported
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # for the advice on what engine.launch() gives DDP on purpose
_SHORT = re.compile(r"\d+ requested and \d+ written|PytorchStreamWriter failed writing")  # numpy and torch, full disk
INTERRUPTED = 130  # as shells count a program that Ctrl-C ended
_HOME = re.compile(r"^(--?[\w-]+=|)(~(?=/|$))")
_FULL = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your share of the disk is used up; make room",
    errno.EROFS: "the disk is read-only; give a folder that can be written",
}
_WRONG = {
    errno.EACCES: "you have no permission",
    errno.EPERM: "you have no permission",
    errno.EEXIST: "a file lies where a folder is needed",
    errno.ENOTDIR: "a file lies where a folder is needed",
    errno.EISDIR: "a folder lies where a file is needed",
}
_came: list[int] = []  # signals that end a script


def script(main: Callable[[], None]) -> Callable[[], None]:
    """A script's main(), so opened. Locks that it has taken are released at its end."""

    name = os.path.relpath(main.__globals__["__file__"], ROOT)

    @functools.wraps(main)
    def opened() -> None:
        try:
            try:
                _prepare()
                main()
                sys.stdout.flush()
            finally:
                lock.release()  # here, since Ctrl-C may come while this waits for the disk
        except KeyboardInterrupt:
            _interrupted(name)
        except BrokenPipeError:  # whoever read the output, as `| head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at the end would fail again
            sys.exit(1)
        except Exception as error:
            if _came:  # in the midst of torch or matplotlib, which make another error of it
                _interrupted(name)
            if isinstance(error, (BadData, BadInput, BadRun)):
                sys.exit(f"{name}: {error}")
            told = disk_fault(error) or _file_fault(error)
            if told is None:
                raise
            sys.exit(f"{name}: {told}, then run the same command again: what was written stays.")

    return opened


def interrupt(number: int, frame: object) -> NoReturn:
    """What a signal does that ends a script as Ctrl-C does."""
    _came.append(number)
    raise KeyboardInterrupt


def _early(kind: type, fault: BaseException, trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return print("\ninterrupted before it began.", file=sys.stderr)
    sys.__excepthook__(kind, fault, trace)


sys.excepthook = _early


def _interrupted(name: str) -> NoReturn:
    print(f"\n{name}: interrupted; the same command goes on from here.", file=sys.stderr)
    sys.exit(INTERRUPTED)


def _prepare() -> None:
    _came.clear()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has its background jobs ignore it
        signal.signal(signal.SIGINT, interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a test's stream may be another
            stream.reconfigure(errors="backslashreplace")
    # A shell leaves the ~ of a quoted path, or of one behind =, as it is.
    sys.argv[1:] = [_HOME.sub(lambda found: found[1] + str(Path(found[2]).expanduser()), word) for word in sys.argv[1:]]
    threading.excepthook, sys.unraisablehook = _thread_fault, _lost_fault


@contextmanager
def asked() -> Iterator[None]:
    """Around what a user has named, as weights, tables and folders: a ValueError and a file that cannot be read there
    end the script in one sentence."""
    try:
        yield
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) or disk_fault(error):
            raise
        raise BadData((_file_fault(error) if isinstance(error, OSError) else None) or str(error)) from error


def _thread_fault(fault: threading.ExceptHookArgs) -> None:
    """A thread of TensorBoard's meets the full disk beside main(), which tells of it."""
    if disk_fault(fault.exc_value) is None:
        threading.__excepthook__(fault)


def _lost_fault(fault: "sys.UnraisableHookArgs") -> None:
    """Ctrl-C may come where nothing can be raised, as while a weak reference dies: it comes again just after."""
    if not issubclass(fault.exc_type, KeyboardInterrupt):
        return sys.__unraisablehook__(fault)
    again = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def disk_fault(error: BaseException | None) -> str | None:
    """What is wrong with the disk, if that is what an error came from; torch and others wrap it in errors of theirs."""
    for cause in _causes(error):
        if _SHORT.search(str(cause)):
            return _FULL[errno.ENOSPC]
        if isinstance(cause, OSError) and cause.errno in _FULL:
            place = f"{Path(os.fsdecode(cause.filename)).parent}: " if cause.filename else ""
            return place + _FULL[cause.errno]
    return None


def _file_fault(error: BaseException) -> str | None:
    """Which file or folder an error came from, if from one, and why."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.filename:
            why = _WRONG.get(cause.errno, str(cause.strerror).lower())
            return f"{os.fsdecode(cause.filename)}: {why}; mend that or name another place"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came from, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
