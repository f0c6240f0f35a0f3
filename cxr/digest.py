"""What a result was made from, in a few characters: digests of radiographs and pairs, and of weights with settings.

A finished case counts as finished only while its input still has the digest that its row notes.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cxr import pairs

_BLOCK = 1 << 20
_THREADS = 8


def of_file(path: Path) -> str:
    """16 hexadecimal digits of a file's size and its whole content; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            found = hashlib.blake2b(str(file.seek(0, 2)).encode(), digest_size=8)
            file.seek(0)
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError:
        return ""
    return found.hexdigest()


def of_pair(folder: Path, case: str) -> str:
    """The same of a pair and its label map; "" if one half of it cannot be read."""
    image, mask, labels = (of_file(Path(folder) / f"{case}{end}") for end in (pairs.IMAGE, pairs.MASK, pairs.LABELS))
    return of_text(image + mask + labels) if image and mask else ""


def of_text(text: str) -> str:
    """16 hexadecimal digits of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def of_files(paths: Iterable[Path]) -> list[str]:
    """of_file() of many, several at once."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(of_file, paths))


def of_pairs(cases: Iterable) -> list[str]:
    """of_pair() of many with `place` and `case`, several at once."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda case: of_pair(case.place, case.case), cases))
