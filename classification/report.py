"""Gather a run into one page for the browser: metrics, a table of cases, and each case with its map.

    python classification/report.py                                 the predictions, maps and biomarkers of test_name
    python classification/report.py -i FOLDER -o FILE               predictions of another folder, the page elsewhere
    python classification/report.py --pairs output --maps FOLDER    other radiographs, other maps
    python classification/report.py --biomarkers FILE

Reads predictions.csv, metrics.json and report.json from classification/inference.py and, if they exist, the pairs, the
maps of visualize_cnn.py, biomarkers.csv and masks.csv. Writes report.html, which needs no network connection. Up to 500
cases (--embed) the page holds their pictures; with more cases they lie in a folder beside it, report_files.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote

sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from classification import header
from classification.page import contents, pictures, render
from cxr import writing
from cxr.errors import BadData
from cxr.run import lock, opening
from cxr.settings import config

EMBED = 500  # cases whose pictures the page itself holds
AT_ONCE = 16  # cases drawn at a time, so that few images are in memory
_OURS = re.compile(r"\d{6}\.(film\.webp|thumb\.webp|map\d+\.png)")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", metavar="FOLDER", help="predictions (default: dir_save/test_name)")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: report.html in the folder of predictions")
    parser.add_argument(
        "--pairs",
        nargs="+",
        metavar="FOLDER",
        help="folders of pairs (default: those in metrics.json, else dir_split/test, else dir_pairs)",
    )
    parser.add_argument("--maps", metavar="FOLDER", help="of visualize_cnn.py (default: cams in the predictions)")
    parser.add_argument(
        "--biomarkers",
        metavar="FILE",
        help="biomarkers.csv (default: in the folder biomarkers of the pairs, of the folder above, or of dir_pairs)",
    )
    parser.add_argument(
        "--embed",
        type=int,
        default=EMBED,
        metavar="N",
        help=f"hold the pictures of up to N cases in the page itself (default: {EMBED})",
    )
    settings, options = config.load(header, parser=parser)
    folder = Path(options.input or Path(settings.dir_save) / settings.test_name).absolute()
    output = Path(options.output or folder / "report.html").absolute()
    try:
        if output.suffix.lower() not in (".html", ".htm") or output.is_dir():
            raise BadData(f"-o {output} is not a page; name a file that ends in .html.")
        content, places, maps_of = contents.gather(folder, settings, options)
        lock.take(output.with_name(f"{output.name}{lock.NAME}"))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"classification/report.py: {error}")

    cases = content["cases"]
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f"{output.stem}_files")
    clear(beside)
    linked = len(cases) > options.embed
    jobs = draw(cases, places, maps_of, beside if linked else None, max(settings.num_workers, 1))
    drawn = list(tqdm(jobs, "cases", len(cases)))
    lost = sum("film" not in picture and case["status"] == "ok" for case, picture in zip(cases, drawn, strict=True))
    if lost:
        content["notes"].append(
            f"{lost} predicted cases have no radiograph to show; name the folders of their pairs with --pairs"
        )
    thumbs = [picture.pop("thumb", None) for picture in drawn]  # these are in the table, the others in the view
    render.write(output, content | {"pictures": drawn, "thumbs": thumbs, "linked": linked})
    for note in content["notes"]:
        print(f"Note: {note}.")
    where = f"their pictures in {beside}, which must stay beside it" if linked else "their pictures inside"
    print(
        f"Wrote {output}: {len(cases)} cases, {output.stat().st_size / 1e6:.1f} MB, {where}. Next: open it in a "
        "browser."
    )


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


if __name__ == "__main__":
    main()
