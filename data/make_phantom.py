"""Draw a synthetic cohort of chest radiographs with exact masks, in the formats and folders of the real sets.

    python data/make_phantom.py                      40 JSRT-like images and 5 classes x 8, full size, to data/phantom
    python data/make_phantom.py --tiny -o tiny       24 images of 384 px and 5 classes x 8 in seconds
    python data/make_phantom.py --help

What is written under the folder given by -o:

    JSRT/JPCLN001.IMG ...      raw 2048 x 2048 big-endian uint16, 12 bit, dark = high (at another --size: 16-bit PNG
                               copies, dark = low, as public PNG copies are: a raw .IMG is 2048 x 2048 by definition)
    SCR/fold{1,2}/masks/<organ>/<case>.gif   1024 x 1024, 0/255; odd case numbers in fold1, even ones in fold2
    cohort/<class>/<case>.*    PNG of 8 and 16 bits, JPEG, DICOM (MONOCHROME1 and 2) from five invented hospitals
    masks/<class>/<case>.png   labels 0 background, 1 heart, 2 left lung, 3 right lung (the patient's left)
    lesions/<class>/<case>.png 0/255, inside the lungs; none for normal; lesions/JSRT holds the JPCLN nodules
    lateral/<case>-lateral.*   only with --lateral
    metadata.xls               one sheet per hospital, one row per image of cohort/ and lateral/
    phantom.json               settings and every file written

Everything is drawn; no part of it comes from a radiograph of a person. Draws are keyed by (seed, case): the
same seed gives the same bytes, and more cases do not change the earlier ones. Left and right are the patient's.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root, so that imports are absolute

from cxr.run import opening  # isort: split

import cv2

from cxr import tables, version
from data.thorax import cases, formats

MANIFEST = "phantom.json"
TINY_JSRT, TINY_SIZE = 24, 384


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a namespace; wrong values end with argparse's sentence and exit code 2."""
    root = Path(__file__).resolve().parents[1]
    summary, _, layout = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=layout, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    told = "folder to write; new, empty, or an earlier phantom, which is replaced (data/phantom)"
    parser.add_argument("-o", "--out", type=Path, default=root / "data" / "phantom", help=told)
    told = f"JSRT-like images with SCR masks, 0 to 247 (40; {TINY_JSRT} with --tiny)"
    parser.add_argument("--jsrt", type=int, metavar="N", help=told)
    parser.add_argument("--per-class", type=int, default=8, metavar="N", help="images in each class folder (8)")
    told = (
        "side of the JSRT-like images, 128 to 2048; below 2048 they are 16-bit PNG copies; the shorter side of the "
        "cohort's images is 0.7 to 1 times this, by hospital, or 0.7 to 1 times 1024 if this is more "
        f"(2048; {TINY_SIZE} with --tiny)"
    )
    parser.add_argument("--size", type=int, metavar="PIXELS", help=told)
    parser.add_argument("--seed", type=int, default=407, help="of every draw; 0 or more (407)")
    told = f"a set for tests: {TINY_JSRT} JSRT-like images, --size {TINY_SIZE}"
    parser.add_argument("--tiny", action="store_true", help=told)
    told = "lateral views of the first N patients, the classes in turn (0)"
    parser.add_argument("--lateral", type=int, default=0, metavar="N", help=told)
    told = "one hospital per class, as public cohorts nearly have (off: every hospital has every class)"
    parser.add_argument("--confounded", action="store_true", help=told)
    told = "processes (one per processor)"
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help=told)
    version.add_flag(parser)
    args = parser.parse_args(words)
    if args.jsrt is None:
        args.jsrt = TINY_JSRT if args.tiny else 40
    if args.size is None:
        args.size = TINY_SIZE if args.tiny else 2048
    limits = (
        ("jsrt", 0, 247),
        ("per_class", 0, 900),
        ("size", 128, 2048),
        ("seed", 0, 2**63),
        ("lateral", 0, 4500),
        ("workers", 1, 1024),
    )
    for name, low, high in limits:
        if not low <= getattr(args, name) <= high:
            parser.error(f"--{name.replace('_', '-')} must lie between {low} and {high}, not {getattr(args, name)}.")
    return args


def plan(args: argparse.Namespace) -> list[SimpleNamespace]:
    """All cases in order, as namespaces of data.thorax.cases."""
    cohort = [
        case
        for folder in cases.CLASSES
        for case in cases.plan_class(folder, args.per_class, args.size, args.seed, args.confounded)
    ]
    return cases.plan_jsrt(args.jsrt, args.size) + cohort + cases.plan_laterals(cohort, args.lateral)


def clear(out: Path) -> None:
    """Make `out` ready: an earlier phantom's own files go, nothing else does.

    Raises FileExistsError for a folder with other things in it, NotADirectoryError for a file.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is a file; choose another folder with -o.")
    manifest = out / MANIFEST
    if out.is_dir() and any(out.iterdir()) and not manifest.is_file():
        raise FileExistsError(f"{out} holds files that this script did not write; choose another folder with -o.")
    if manifest.is_file():
        try:
            targets = [(out / name).resolve() for name in tables.json(manifest)["files"]]
        except (ValueError, KeyError, TypeError):
            raise FileExistsError(f"{manifest} lists no files of this script; choose another folder with -o.") from None
        for target in targets:
            if target.is_relative_to(out.resolve()):
                target.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)


def start_worker() -> None:
    """One thread a process: the processes already fill the machine."""
    cv2.setNumThreads(1)


def make_phantom(args: argparse.Namespace) -> list[SimpleNamespace]:
    """Write the phantom that `args` (see `parse_arguments`) describes; returns its list of cases."""
    todo = plan(args)
    clear(args.out)
    rows = [cases.describe(case, args.seed) for case in todo if case.set != "JSRT"]
    settings = {name: getattr(args, name) for name in ("jsrt", "per_class", "size", "seed", "lateral", "confounded")}
    files = [name for case in todo for name in cases.case_files(case)] + ([] if not rows else ["metadata.xls"])
    (args.out / MANIFEST).write_text(json.dumps({**settings, "files": files}, indent=1) + "\n")
    if rows:
        formats.write_metadata(args.out / "metadata.xls", rows)
    work = partial(cases.write_case, out=args.out, seed=args.seed)
    if args.workers == 1:
        start_worker()
        for case in todo:
            work(case)
    else:
        with ProcessPoolExecutor(args.workers, initializer=start_worker) as pool:
            for _ in pool.map(work, todo):
                pass
    return todo


@opening.script
def main() -> None:
    args = parse_arguments()
    start = time.perf_counter()
    try:
        todo = make_phantom(args)
    except (FileExistsError, NotADirectoryError) as error:
        sys.exit(str(error))
    counts = ", ".join(f"{sum(case.set == part for case in todo)} in {part}/" for part in ("JSRT", "cohort", "lateral"))
    following = shlex.join(["python", "segmentation/train.py", f"dir_data_root={args.out.absolute()}"])
    print(f"Wrote {counts} with masks to {args.out} in {time.perf_counter() - start:.1f} s; next: {following}")


if __name__ == "__main__":
    main()
