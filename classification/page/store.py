"""The page on the disk: up to some number of cases it holds their pictures, of more they lie in a folder beside it."""

import argparse
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from classification.page import pictures, render
from cxr import tables, writing
from cxr.errors import BadData
from cxr.run import lock

EMBED = 500  # cases whose pictures the page itself holds
AT_ONCE = 16  # cases drawn at a time, so that few images are in memory
_OURS = re.compile(r"\d{6}\.(radiograph\.webp|thumb\.webp|map\d+\.png)")


def add_flag(parser: argparse.ArgumentParser) -> None:
    """--embed, as write() takes it."""
    told = f"hold the pictures of up to N cases in the page itself (default: {EMBED})"
    parser.add_argument("--embed", type=int, default=EMBED, metavar="N", help=told)


def take(output: Path) -> None:
    """See that a page can be written there, by one run at a time. Raises BadData, BadRun."""
    if output.suffix.lower() not in (".html", ".htm") or output.is_dir():
        raise BadData(f"-o {output} is not a page; name a file that ends in .html.")
    lock.take(output.with_name(f"{output.name}{lock.NAME}"))


def write(output: Path, content: Mapping, places: Mapping, maps_of: Mapping, embed: int, threads: int) -> None:
    """Draw the pictures of the cases, write the page, and print what it says; what it takes is of contents.gather().
    Raises BadData where the JSON of the run lacks something."""
    cases, notes = content["cases"], list(content["notes"])
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f"{output.stem}_files")
    clear(beside)
    linked = len(cases) > embed
    drawn = list(tqdm(draw(cases, places, maps_of, beside if linked else None, threads), "cases", len(cases)))
    lost = sum(
        "radiograph" not in picture and case["status"] == "ok" for case, picture in zip(cases, drawn, strict=True)
    )
    if lost:
        remedy = "name the folders of their pairs with --pairs" if content["voted"] else "segment them again"
        notes.append(f"{lost} cases have no radiograph to show; {remedy}")
    thumbs = [picture.pop("thumb", None) for picture in drawn]  # these are in the table, the others in the view
    with tables.used(f"One of report.json, metrics.json and audit.json of {content['source']}"):
        render.write(output, {**content, "notes": notes, "pictures": drawn, "thumbs": thumbs, "linked": linked})
    for note in notes:
        print(f"Note: {note}.")
    where = f"their pictures in {beside}, which must stay beside it" if linked else "their pictures inside"
    size = output.stat().st_size / 1e6
    print(f"Wrote {output}: {len(cases)} cases, {size:.1f} MB, {where}. Next: open it in a browser.")


def draw(cases, places, maps_of, beside: Path | None, threads: int) -> Iterator[dict]:
    """The pictures of each case, in order: within addresses, or as files of the folder `beside`."""
    if beside:
        beside.mkdir(exist_ok=True)

    def one(number: int) -> dict:
        key = cases[number]["folder"], cases[number]["case"]
        store = partial(save, beside, number) if beside else pictures.embed
        return pictures.draw(places.get(key), maps_of.get(key, []), store)

    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(cases), AT_ONCE):
            yield from pool.map(one, range(first, min(first + AT_ONCE, len(cases))))


def save(beside: Path, number: int, ending: str, held: bytes) -> str:
    """Write a picture named after its case's number, since names of cases can be hostile; returns its address."""
    name = f"{number:06d}.{ending}"
    writing.data(beside / name, held)
    return f"{quote(beside.name)}/{name}"


def clear(beside: Path) -> None:
    """Delete the pictures of an earlier page, and their folder if nothing else is in it."""
    if beside.is_dir():
        for path in list(beside.iterdir()):
            if _OURS.fullmatch(path.name):
                path.unlink()
        if not any(beside.iterdir()):
            beside.rmdir()
