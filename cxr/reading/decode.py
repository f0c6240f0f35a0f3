"""Decode a file in a disposable process, because a native decoder may die, or never return, on hostile bytes.

One worker (`python -m cxr.reading.decode`) serves all files of its parent in turn, so that its start is paid once.
Its death or silence becomes Unreadable and the next file gets a new worker.  Requests and replies are JSON lines, a
reply with pixels is followed by their bytes: nothing the worker says is executed (as unpickling would).  The worker
ends with its parent: at the end of its input, or by its own alarm where a decoder hangs.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from cxr.reading import dicom, raster
from cxr.reading.unreadable import Unreadable, library_reason

SILENCE_S = 10  # a decoder that says nothing for so long is given up
START_S = 120  # importing the decoders on a busy machine
MEMORY_BYTES = 4 << 30  # address space of a worker: a bomb fails there instead of filling the machine
READERS = {"dicom": dicom.read, "raster": raster.read}

_lock = threading.Lock()
_worker = None


def guarded(reader, path, pixel_limit):
    """What `reader(path, pixel_limit)` returns; any exception of a parser becomes Unreadable.

    Parsers of damaged files raise almost anything; of what they say, the part that cannot be from the file is told.
    """
    try:
        return reader(path, pixel_limit)
    except (Unreadable, FileNotFoundError, PermissionError):
        raise
    except MemoryError:
        raise Unreadable("needs more memory to decode than is allowed; it is damaged or no radiograph.") from None
    except Exception as error:
        why = library_reason(error, path)
        raise Unreadable(f"is truncated or damaged, or of a rare kind, and cannot be decoded ({why}).") from None


def in_worker(reader, path, pixel_limit):
    """As guarded(), with the reader named ('dicom' or 'raster'), in the disposable process.  Raises Unreadable."""
    request = {"reader": reader, "path": str(Path(path).absolute()), "pixel_limit": pixel_limit, "limit_s": SILENCE_S}
    with _lock:
        worker = _running_worker()
        silent = threading.Event()
        alarm = threading.Timer(SILENCE_S, _give_up, (worker, silent))
        alarm.start()
        try:
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            worker.stdin.flush()
            reply = _receive(worker.stdout, pixel_limit)
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            stop()
            raise Unreadable(_how_it_ended(silent, worker.returncode)) from None
        except BaseException:  # Ctrl-C in between: the rest of this reply must not be taken for the next file's
            stop()
            raise
        finally:
            alarm.cancel()
            alarm.join()
            if silent.is_set():
                stop()
    if "unreadable" in reply:
        raise Unreadable(reply["unreadable"])
    return reply


def stop():
    """End the worker, if there is one, and collect it."""
    global _worker
    if _worker is not None:
        _worker.kill()
        _worker.wait()
        for pipe in (_worker.stdin, _worker.stdout):
            with contextlib.suppress(OSError):  # a request that never left the buffer
                pipe.close()
        _worker = None


def _give_up(worker, silent):
    silent.set()
    worker.kill()


def _how_it_ended(silent, code):
    if silent.is_set():
        return f"its decoder did not answer within {SILENCE_S:g} s; the file is damaged or far too large."
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"its decoder died ({how}); the file is damaged."


def _running_worker():
    """The worker of this process, started if there is none."""
    global _worker
    if _worker is not None and _worker.poll() is not None:
        stop()
    if _worker is None:
        root = Path(__file__).resolve().parents[2]
        # Not multiprocessing: that would import the parent's main script, and torch with it, into the worker.
        # Its standard error goes nowhere: decoders print what they find in headers, patients' names among it.
        # One thread, since thread pools reserve address space, which is limited there.
        paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        _worker = subprocess.Popen(
            [sys.executable, "-m", "cxr.reading.decode"],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        alarm = threading.Timer(START_S, _worker.kill)
        alarm.start()
        ready = _worker.stdout.readline()
        alarm.cancel()
        if ready != b"ready\n":
            stop()
            raise Unreadable(
                "the decoding process did not start; try `python -m cxr.reading.decode` in the repository."
            )
    return _worker


def _receive(stream, pixel_limit):
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    reply = json.loads(line)
    if "unreadable" in reply:
        return reply
    height, width = reply["shape"]
    if height * width > pixel_limit or reply["dtype"] not in ("uint8", "uint16"):
        raise ValueError("not a reply of this protocol")
    pixels = np.empty((height, width), reply["dtype"])
    if stream.readinto(memoryview(pixels).cast("B")) != pixels.nbytes:
        raise EOFError
    spacing = reply.get("spacing_mm")
    return {**reply, "pixels": pixels, "spacing_mm": tuple(spacing) if spacing else None}


def _forget():
    """In a forked child: the worker and its pipes are the parent's."""
    global _worker, _lock
    _lock = threading.Lock()
    if _worker is not None:
        _worker.returncode = 0  # not ours to wait for
        _worker = None


atexit.register(stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def serve():
    """The worker: a JSON request a line in, a reply a line out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a decoder prints must not enter the replies
    replies.write(b"ready\n")
    replies.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if hasattr(signal, "alarm"):
            signal.alarm(int(request["limit_s"]) + 5)  # uncaught, it ends a hung worker whose parent is gone
        reply = _answer(request)
        pixels = reply.pop("pixels", None)
        replies.write(json.dumps(reply).encode() + b"\n")
        if pixels is not None:
            replies.write(memoryview(np.ascontiguousarray(pixels)).cast("B"))
        replies.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _answer(request):
    try:
        found = guarded(READERS[request["reader"]], request["path"], request["pixel_limit"])
    except (Unreadable, OSError) as cause:
        return {"unreadable": str(cause) if isinstance(cause, Unreadable) else "cannot be opened."}
    pixels = found["pixels"]
    return {**found, "shape": pixels.shape, "dtype": str(pixels.dtype)}


if __name__ == "__main__":
    serve()
