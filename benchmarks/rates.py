"""What the machine can do, measured: the rate of its convolutions and the bandwidth of its memory.

python -m benchmarks.rates
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from cxr.run import engine

# images, channels in and out, side: of both stages' middle layers, those a convolution is best at
SHAPES = ((8, 128, 128, 28), (2, 256, 256, 28), (2, 256, 16, 128))
BYTES = 256 << 20


def measure(repeats: int = 7, device: str = "cpu") -> dict:
    """{"gflops": fastest 3 x 3 convolution in float32, 1e9 operations a second, "gflops_bf16": the same in bfloat16
    where the device computes in it, "gbytes": of a copy in memory, read and written, 1e9 bytes a second, "threads"}.
    The best of some repeats: what disturbs a measurement only slows it."""
    engine.launch(device)  # float32 is float32, and memory is kept
    found = {"gflops": convolution(repeats, device, torch.float32)}
    if has_bf16(device):
        found["gflops_bf16"] = convolution(repeats, device, torch.bfloat16)
    source = torch.ones(BYTES // 4, device=device)
    target = torch.empty_like(source)
    found["gbytes"] = 2 * BYTES / _seconds(lambda: target.copy_(source), repeats) / 1e9
    return found | {"threads": torch.get_num_threads()}


@torch.inference_mode()
def convolution(repeats: int, device: str, dtype: torch.dtype) -> float:
    """1e9 operations a second of the fastest of some 3 x 3 convolutions, channels last."""
    fastest = 0.0
    for images, channels, out, side in SHAPES:
        kind = {"device": device, "dtype": dtype}
        x = torch.randn(images, channels, side, side, **kind).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(out, channels, 3, 3, **kind).contiguous(memory_format=torch.channels_last)
        work = 2 * 9 * images * channels * out * side**2
        often = max(1, int((4e9 if device == "cpu" else 1e12) / work))  # a few hundredths of a second each

        def convolve(x=x, weight=weight, often=often):
            for _ in range(often):
                F.conv2d(x, weight, padding=1)

        fastest = max(fastest, often * work / _seconds(convolve, repeats))
    return fastest / 1e9


def has_bf16(device: str) -> bool:
    """Whether a device multiplies bfloat16 in hardware; processors that only emulate it are slower by it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return device == "cpu" and ("avx512_bf16" in flags or "amx_bf16" in flags)


def best(one: dict, other: dict) -> dict:
    """The faster of two measurements, rate by rate."""
    return {name: max(one[name], other[name]) for name in one}


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _seconds(function, repeats: int) -> float:
    function()
    times = []
    for _ in range(repeats):
        _finish()
        start = time.perf_counter()
        function()
        _finish()
        times.append(time.perf_counter() - start)
    return float(np.min(times))


if __name__ == "__main__":
    found = measure()
    print(f"convolution {found['gflops']:.0f} GFLOP/s, memory {found['gbytes']:.1f} GB/s, {found['threads']} threads")
