"""Every file that a run leaves is written here: whole or not at all, whatever happens on the way.

It is written under a temporary name beside its own, brought to the disk, and renamed. A process that is killed, a full
disk or a power failure leaves the old file or the new one, and never half of either.
"""

import codecs
import json as plain_json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    import pandas as pd

TEMPORARY = ".part"  # comes last, so that no pattern such as *.npy takes a leftover for a file


def _legible(fault: UnicodeError) -> tuple[str, int]:
    """What stands for characters that UTF-8 has not, as Python's for a byte of a path from an old archive."""
    return "".join(f"%{ord(c) & 0xFF:02X}" for c in fault.object[fault.start : fault.end]), fault.end


codecs.register_error("legible", _legible)


@contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO]:
    """An open file that becomes `path` when the block ends, and that is removed where the block or the disk fails.

    mode: "wb", or "w" for text in UTF-8 with \\n at the end of a line, in which a byte of a name that is no UTF-8
    becomes % and two hexadecimal digits. The folder is made if missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    text = {} if "b" in mode else {"encoding": "utf-8", "errors": "legible", "newline": "\n"}
    try:
        with open(temporary, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 (tests stop a run here)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def text(path: Path, content: str) -> None:
    """Write text in UTF-8."""
    with replacing(path, "w") as file:
        file.write(content)


def json(path: Path, content: Any) -> None:
    """Write plain types as JSON, a value a line."""
    text(path, plain_json.dumps(content, indent=1) + "\n")


def csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index."""
    with replacing(path, "w") as file:
        table.to_csv(file, index=False)


def array(path: Path, values: np.ndarray) -> None:
    """Write an array as .npy."""
    with replacing(path) as file:
        np.save(file, values, allow_pickle=False)


def picture(path: Path, rgb: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB, or (H, W) uint8, as PNG."""
    data(path, cv2.imencode(".png", rgb[..., ::-1] if rgb.ndim == 3 else rgb)[1].tobytes())


def data(path: Path, held: bytes) -> None:
    """Write bytes as they are."""
    with replacing(path) as file:
        file.write(held)
