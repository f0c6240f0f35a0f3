"""Weights files that notice a flipped byte: a checksum inside .safetensors, and that of the archive a checkpoint is."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as packed

from cxr import writing

KEY = "sha256"  # among the metadata of a .safetensors
_DAMAGED = "{} is damaged: its content is not what was written; get it again from where it came from."


def save(state: Mapping[str, torch.Tensor], path: Path, told: Mapping[str, str]) -> None:
    """Write a .safetensors with what it tells of itself, and the checksum of both."""
    writing.data(path, packed(dict(state), {**told, KEY: of(state, told)}))


def check(path: Path, state: Mapping[str, torch.Tensor], told: Mapping[str, str] | None) -> None:
    """Raise ValueError if a .safetensors does not hold what its checksum says; one without a checksum passes."""
    if told and KEY in told and of(state, told) != told[KEY]:
        raise ValueError(_DAMAGED.format(path))


def check_archive(path: Path) -> None:
    """Raise ValueError for a checkpoint whose parts are not what the archive's checksums say; files of old versions of
    torch are no archives, and pass."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError):
        return  # torch says what it is
    except (ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error):  # names and lengths were hit
        damaged = "its list of contents"
    if damaged:
        raise ValueError(_DAMAGED.format(path))


def of(state: Mapping[str, torch.Tensor], told: Mapping[str, str]) -> str:
    """SHA-256 of tensors and texts by name, whatever their order, in hexadecimal."""
    about = sorted((name, text) for name, text in told.items() if name != KEY)
    found = hashlib.sha256(json.dumps(about).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()  # a training on a GPU saves what lies there
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b"")
    return found.hexdigest()
