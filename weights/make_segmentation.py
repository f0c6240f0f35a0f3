"""Write the weights that ship from the best checkpoint of a training, at half precision.

    python weights/make_segmentation.py checkpoint/segmentation/fcdensenet103/best.pt

Writes weights/segmentation.safetensors with the training's settings inside, and prints its sha256 for the model card.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from cxr import version
from cxr.run import caselist, checksum, opening
from cxr.settings import config
from segmentation import weights


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="best.pt of a training of stage 1")
    parser.add_argument("-o", "--output", type=Path, default=weights.SHIPPED, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    version.add_flag(parser)
    options = parser.parse_args()
    if options.output.exists() and not options.overwrite:
        sys.exit(f"weights/make_segmentation.py: {options.output} exists; name another file with -o, or --overwrite.")
    try:
        name, state, settings = weights.read(options.checkpoint)
        half = halve(state)
        listed = caselist.read(options.checkpoint)
    except ValueError as error:
        sys.exit(f"weights/make_segmentation.py: {error}")
    settings = {key: value for key, value in settings.items() if not config.is_path(key)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    about = {"settings": json.dumps(settings), "project": json.dumps(version.about())}
    if listed:
        about[caselist.NAME] = json.dumps(caselist.nameless(listed))
    checksum.save(half, options.output, {"format": "pt", "network": name} | about)
    digest = hashlib.sha256(options.output.read_bytes()).hexdigest()
    print(f"Wrote {options.output}: {name}, {options.output.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    print("Next: python segmentation/evaluate.py file_weights=" + str(options.output))


def halve(state: dict) -> dict:
    """Floating point tensors as float16. Raises ValueError where a number does not fit into it."""
    half = {key: (value.half() if value.is_floating_point() else value).contiguous() for key, value in state.items()}
    lost = [key for key, value in half.items() if not torch.isfinite(value).all()]
    if lost:
        raise ValueError(f"{lost[0]} and {len(lost) - 1} others hold numbers beyond float16.")
    return half


if __name__ == "__main__":
    main()
