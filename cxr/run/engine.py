"""What a run stands on: device, precision and processes, random numbers, checkpoints."""

import ctypes
import os
import pickle
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from cxr import writing
from cxr.run import checksum

PRECISIONS = ("32-true", "tf32", "bf16-mixed", "16-mixed")


def keep_memory() -> None:
    """Tell glibc to keep freed memory: by default every large tensor is mapped and unmapped anew, at twice the time.

    Same results, bit for bit, for more memory (docs/performance.md). Does nothing where the C library is another.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_top_pad, m_mmap_max, m_arena_max = -1, -2, -4, -8  # from malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, -1)
    mallopt(m_top_pad, 64 << 20)
    mallopt(m_arena_max, 1)  # the others, one a thread, hold no block above 64 MiB and would map it all the same


def launch(device: str = "auto", precision: str = "32-true") -> Fabric:
    """One process, or one of those that torchrun or SLURM started, with its device. Call once, first thing.

    precision=32-true is float32 on every device, and tf32 the same but on NVIDIA GPUs from Ampere on, whose tensor
    cores then shorten what they multiply to 10 bits of mantissa. Ends the process with one sentence if there is no such
    device or precision here.
    """
    if precision not in PRECISIONS:
        sys.exit(f"precision={precision!r} is unknown; it is {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}.")
    keep_memory()
    # Both, since torch's own default is tf32 for convolutions. By these names and not by fp32_precision, which may not
    # be mixed with them: Fabric, cudnn.flags() and the compiler still ask for the state by the old ones.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    env = os.environ
    if "LOCAL_WORLD_SIZE" in env:  # torchrun
        devices = int(env["LOCAL_WORLD_SIZE"])
        nodes = int(env["WORLD_SIZE"]) // devices
    elif "SLURM_NTASKS" in env and "SLURM_STEP_ID" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        nodes = int(env.get("SLURM_NNODES", 1))
        devices = int(env["SLURM_NTASKS"]) // nodes
    else:
        devices, nodes = 1, 1
    # By this word DDP keeps one layout of the gradients. Else it chooses another after its first step, by which three
    # and more processes add up in another order, and a training that goes on rounds otherwise than one undisturbed.
    strategy = DDPStrategy(find_unused_parameters=True) if devices * nodes > 1 else "auto"
    try:
        kept = "32-true" if precision == "tf32" else precision
        fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=kept)
    except (RuntimeError, ValueError) as error:
        why = str(error).splitlines()[0]
        sys.exit(f"device={device} with precision={precision} cannot be used on this machine: {why}")
    fabric.launch()
    return fabric


def check_compile(backend: str | None) -> None:
    """Raise ValueError for a backend that torch.compile does not know; None, which compiles nothing, passes."""
    if backend is not None and backend not in torch.compiler.list_backends(exclude_tags=()):
        known = ", ".join(torch.compiler.list_backends())  # without those that only serve to find faults
        raise ValueError(f"compile={backend!r} is no backend of torch.compile here; it is None or one of {known}.")


def generator(seed: int, *keys: Any) -> np.random.Generator:
    """Random numbers that depend on the seed and the keys (an epoch, a case's name) and on nothing else."""
    words = [zlib.crc32(str(key).encode()) for key in keys]
    return np.random.default_rng([seed, *words])


def seed_torch(seed: int, *keys: Any) -> None:
    """Seed torch (weights, dropout) from the seed and the keys, as `generator` does."""
    torch.manual_seed(int(generator(seed, "torch", *keys).integers(2**62)))


def share_buffers(fabric: Fabric, model: torch.nn.Module) -> None:
    """Give every process the first one's running statistics, which are those that are saved."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def save(state: dict, path: Path) -> None:
    """Write a checkpoint of tensors and plain types so that a kill at any moment leaves the old one or the new."""
    with writing.replacing(path) as file:
        torch.save(state, file)


def load(path: Path) -> dict:
    """Read a checkpoint to the CPU, tensors and plain types only. Raises ValueError with the file's name."""
    checksum.check_archive(path)
    try:
        # The official code keeps losses as numpy scalars and arrays: harmless kinds, allowed by name.
        with torch.serialization.safe_globals(_numpy_kinds()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except pickle.UnpicklingError as error:
        why = "it is damaged, or holds more than tensors and plain values, which might run code"
        raise ValueError(f"{path} cannot be read as a checkpoint: {why}.") from error
    except Exception as error:  # pickle, zip and torch each raise their own
        raise ValueError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); is it complete?") from error


def find_weights(settings: Any, shipped: Path, script: str) -> tuple[Path | list[Path], str]:
    """The weights file to predict with, and a few words on which it is: the one named by file_weights, or several, else
    the best of the user's own run, else the one that ships. Raises ValueError with the remedy, `script`, if there is
    none."""
    own = Path(settings.dir_checkpoint) / settings.test_name / "best.pt"
    if settings.file_weights:
        which = "named by file_weights"
        if "file_weights" not in settings._typed and own.exists():
            which += f" in header.py, and not the best of the run {settings.test_name}"
        given = settings.file_weights
        return Path(given) if isinstance(given, str) else [Path(path) for path in given], which
    if own.exists():
        return own, f"the best of the run {settings.test_name}"
    if shipped.exists():
        return shipped, f"the weights that ship, since {own} does not exist"
    raise ValueError(f"there are no weights: {own} does not exist; run {script}, or give file_weights.")


def _numpy_kinds() -> list:
    core = np._core.multiarray
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    # Files written under numpy 1 name the same functions by their old module.
    old = [(core._reconstruct, "numpy.core.multiarray._reconstruct"), (core.scalar, "numpy.core.multiarray.scalar")]
    return [np.ndarray, np.dtype, core._reconstruct, core.scalar, *kinds, *old]
