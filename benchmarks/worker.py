"""One side of a benchmark as a process of its own, since the project's memory allocator is set for a whole process.

A JSON line in names the side, the stage and its arguments; then a line for each run, with a file for the results or
null; each is answered by a JSON line: {"seconds", "peak_bytes"} and, of a training step, its "loss".
"""

import json
import os
import sys
import time

import numpy as np
import torch

from benchmarks import sides


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a stage prints must not enter the replies
    request = json.loads(sys.stdin.readline())
    if request["side"] == "plain":
        from benchmarks import plain_side as side
    else:
        from benchmarks import project_side as side
    run = getattr(side, request["stage"])(**request["arguments"])
    for line in sys.stdin:
        out = json.loads(line)
        start = time.perf_counter()
        results = run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # what it was given may still be at work
        seconds = time.perf_counter() - start
        if out:
            np.savez(out, **results())
        reply = {"seconds": seconds, "peak_bytes": sides.peak_bytes()}
        if request["stage"] == "step":
            reply["loss"] = float(results()["loss"])
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
