"""The project's stages for worker.py, by the functions that its scripts call; see plain_side.py."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.plain_side import stripes
from classification import header as second
from classification.cases import dataset, stream
from classification.model import classifier
from classification.saliency import grad_cam, maps
from classification.voting import predict
from cxr.reading import radiograph
from cxr.run import engine
from cxr.settings import config
from segmentation import fast_forward, train, transforms
from segmentation import header as first
from segmentation import weights as weight_files


def equalise(file, **_):
    engine.launch("cpu")
    pixels = radiograph.read(file).pixels

    def run():
        image = radiograph.preprocess(pixels)
        return lambda: {"image": image}

    return run


def network(weights, file, size, device, settings, **_):
    words = [f"device={device}", f"resize_height={size}", f"resize_width={size}", "crop_border=False", *settings]
    settings = config.load(first, words)[0]
    fabric = engine.launch(settings.device, settings.precision)
    model, settings, _ = weight_files.open_network(Path(weights), settings)
    x = _inputs([file], settings).to(fabric.device)
    model = fast_forward.prepare(model, settings, fabric.device)

    def run():
        with fabric.autocast():
            p = weight_files.probabilities(model, x).cpu()
        return lambda: {"p": p.numpy()}

    return run


class InOrder(torch.utils.data.Dataset):
    """The images and targets of one step, in their own order whatever order train_one_epoch() asks for: both sides must
    see the images in the same places of the batch."""

    def __init__(self, images, targets):
        self.images, self.targets, self.given = images, targets, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, _):
        at = self.given % len(self)
        self.given += 1
        return self.images[at], self.targets[at]


def step(weights, radiographs, size, learning_rate, device, settings, **_):
    words = [
        f"device={device}",
        f"resize_height={size}",
        f"resize_width={size}",
        "crop_border=False",
        f"start_weights={weights}",
        "dropout=0.2",
        f"num_batch_train={len(radiographs)}",
        f"learning_rate={learning_rate}",
        *settings,
    ]
    settings = config.load(first, words)[0]
    fabric = engine.launch(settings.device, settings.precision)
    model = train.new_network(settings, fresh=True)
    if settings.compile:  # as segmentation/train.py does, but that dropout draws the plain side's channels on a GPU too
        drawn = {"options": {"fallback_random": True}} if settings.compile == "inductor" else {}
        model.compile(backend=settings.compile, **drawn)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, 0.999), weight_decay=1e-6)
    model, optimizer = fabric.setup(model, optimizer)
    data, taken = InOrder(_inputs(radiographs, settings), stripes(len(radiographs), size)), 0

    def run():
        nonlocal taken
        taken += 1
        loss = train.train_one_epoch(fabric, settings, model, None, optimizer, data, taken)
        slopes = model.module.named_parameters()
        return lambda: {"loss": loss} | {name: value.grad.cpu().numpy() for name, value in slopes}

    return run


def vote(classifier, folder, case, settings, centres, side, patch, device, approach="local", **_):
    words = [f"device={device}", f"approach={approach}", *settings]
    fabric, model, settings, _ = _classifier(classifier, side, patch, len(centres), words)

    def run():
        ((_, item),) = stream.read([dataset.Case(case, "pair", Path(folder), None)], settings, False)
        with fabric.autocast():
            p, found = predict.predict_image(model, *item, settings, case, fabric.device)
        return lambda: {"p": p, "centres": found}

    return run


def dense(**values):
    return vote(**values, approach="dense")


def saliency(classifier, folder, case, settings, centres, side, patch, target, output, device, **_):
    words = [f"device={device}", *settings]
    fabric, model, settings, names = _classifier(classifier, side, patch, len(centres), words)
    settings = config.replace(settings, target=names[target], method="gradcam")
    place = dataset.Case(case, "pair", Path(folder), None)

    def run():
        ((_, item),) = stream.read([place], settings, False)
        with fabric.autocast():
            found = maps.explain(model, place, item, settings, names, fabric.device)
        maps.finish(place, found, settings, names, Path(output) / "project", False)

        def results():
            found = grad_cam.explain(model, *item, settings, case, fabric.device, [target])[0]
            return {"map": found[0]}

        return results

    return run


def centres(folder, case, side, repeat) -> np.ndarray:
    """Where the project centres the patches of a case: (K, 2)."""
    settings = config.load(second, [f"img_size={side}", f"repeat={repeat}"])[0]
    (item,) = dataset.Images([dataset.Case(case, "pair", Path(folder), None)], settings).batch([0])
    return predict.places(item[1], settings, case)


def _classifier(weights, side, patch, repeat, words):
    words = [f"img_size={side}", f"patch_size={patch}", f"repeat={repeat}", *words]
    settings = config.load(second, words)[0]
    fabric = engine.launch(settings.device, settings.precision)
    model, settings, names, _ = classifier.open_classifier(Path(weights), settings)
    return fabric, predict.ready(model, fabric.device, settings.compile), settings, names


def _inputs(radiographs, settings) -> torch.Tensor:
    prepared = [transforms.prepare(radiograph.read(file).pixels, settings) for file in radiographs]
    return torch.stack([transforms.network_input(image, box, settings) for image, box in prepared])
