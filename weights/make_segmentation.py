"""Write the weights that ship from the best checkpoint of a training, at half precision.

    python weights/make_segmentation.py checkpoint/segmentation/fcdensenet103/best.pt

Writes weights/segmentation.safetensors with the training's settings inside, and its model card beside it.

    python weights/make_segmentation.py robust/best.pt --average EARLIER.safetensors --share 0.3 --decision 1.4 0.5 1 1

averages the weights with those that the training started from, which keeps what they knew of clean radiographs
(M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1).
"""

import argparse
import hashlib
import json
import re
import shlex
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import torch
from safetensors import safe_open

from cxr import version
from cxr.run import caselist, checksum, engine, runreport
from cxr.settings import config
from segmentation import weights
from weights import card

# Cases of public sets, whose names tell of nobody; another copy of one is known by its name
PUBLIC = re.compile(r"JPC[LN]N\d{3}/JSRT|MCUCXR_\d{4}_[01]/CXR_png")
PACKAGES = ("torch", "torchvision", "numpy", "lightning-fabric")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="best.pt of a training of stage 1")
    parser.add_argument("-o", "--output", type=Path, default=weights.SHIPPED, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--average", type=Path, metavar="FILE", help="weights that the training started from")
    parser.add_argument(
        "--share", type=float, default=0.3, help="of those weights in the average (default %(default)s)"
    )
    parser.add_argument("--decision", type=float, nargs=4, metavar="FACTOR", help="the factors, instead of the fitted")
    version.add_flag(parser)
    options = parser.parse_args()
    if options.output.exists() and not options.overwrite:
        sys.exit(f"weights/make_segmentation.py: {options.output} exists; name another file with -o, or --overwrite.")
    with opening.asked():
        card.place(options.output)
        name, state, settings = weights.read(options.checkpoint)
        if options.average:
            state = average(weights.read(options.average)[1], state, options.share)
        if options.decision:
            settings |= {"decision": options.decision}
        half = halve(state)
        listed = caselist.read(options.checkpoint)
        about = origin(options.checkpoint)
    if options.average:
        about["average"] = {**named(options.average), "share": options.share}
    settings = {key: value for key, value in settings.items() if not config.is_path(key)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    about |= {"settings": settings, "project": version.about()}
    if listed:
        about[caselist.NAME] = [
            case if PUBLIC.fullmatch("/".join(case[:2])) else hidden
            for case, hidden in zip(listed, caselist.nameless(listed), strict=True)
        ]
    texts = {key: json.dumps(value) for key, value in about.items()}
    checksum.save(half, options.output, {"format": "pt", "network": name} | texts)
    digest = hashlib.sha256(options.output.read_bytes()).hexdigest()
    print(f"Wrote {options.output}: {name}, {options.output.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    print(f"Wrote {card.write(options.output)}, its model card.")
    following = shlex.join(["python", "segmentation/evaluate.py", f"file_weights={options.output.absolute()}"])
    print(f"Next: {following}")


def origin(checkpoint: Path) -> dict:
    """What best.pt tells of its making, for the model card: start (file and sha256 of the weights it started from,
    None for none), best (epoch and score), and versions, those of the packages now. A file that was exported before
    keeps what it tells of these. Raises ValueError."""
    if checkpoint.suffix == ".safetensors":
        with safe_open(checkpoint, "pt") as file:
            held = file.metadata() or {}
        return {name: json.loads(held[name]) for name in ("versions", "start", "best", "average") if name in held}
    told = {"versions": runreport.versions(PACKAGES)}
    held = engine.load(checkpoint)
    if "start" in held:
        start = held["start"]
        told["start"] = start and {"file": Path(start["file"]).name, "sha256": start["sha256"]}
    if "best" in held and "epoch" in held:
        told["best"] = {"epoch": held["epoch"], "score": held["best"]}
    return told


def named(file: Path) -> dict[str, str]:
    """Name and sha256 of a file."""
    return {"file": file.name, "sha256": runreport.digest(file)}


def average(start: dict, end: dict, share: float) -> dict:
    """`share` of the weights that a training started from, the rest of those it ended with. Raises ValueError for other
    networks or a share outside 0 to 1."""
    if start.keys() != end.keys() or not 0 <= share <= 1:
        raise ValueError("--average takes weights of the same network, and --share a number from 0 to 1.")
    return {
        key: share * start[key] + (1 - share) * value if value.is_floating_point() else value
        for key, value in end.items()
    }


def halve(state: dict) -> dict:
    """Floating point tensors as float16. Raises ValueError where a number does not fit into it."""
    half = {key: (value.half() if value.is_floating_point() else value).contiguous() for key, value in state.items()}
    lost = [key for key, value in half.items() if not torch.isfinite(value).all()]
    if lost:
        raise ValueError(f"{lost[0]} and {len(lost) - 1} others hold numbers beyond float16.")
    return half


if __name__ == "__main__":
    main()
