"""How much of a training's time the step waits for data, in both stages.

python -m benchmarks.waits PHANTOM PAIR CLASSIFIER STEPS SIZE DEVICE       prints JSON: {stage: share}
"""

import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from classification import header as second
from classification import train as classify
from classification.cases import dataset, finder
from classification.model.classifier import open_classifier
from classification.patches import epochs
from cxr.run import engine
from cxr.settings import config
from segmentation import dataset as radiographs
from segmentation import fcdensenet
from segmentation import header as first


def main() -> None:
    phantom, pair, classifier, steps, size, device = sys.argv[1:]
    place = Path(phantom), int(steps), int(size), device
    shares = {"segmentation": segmentation(*place)}
    shares["segmentation, augmented"] = segmentation(*place, augment=True)
    shares["classification"] = classification(Path(pair), Path(classifier), int(steps), device)
    print(json.dumps(shares))


def segmentation(phantom: Path, steps: int, size: int, device: str, augment: bool = False) -> float:
    words = [f"device={device}", f"resize_height={size}", f"resize_width={size}", f"augment={augment}"]
    settings = config.load(first, words)[0]
    fabric = engine.launch(settings.device)
    cases = radiographs.jsrt(phantom)[: settings.num_batch_train * steps]
    data = radiographs.Radiographs(cases, settings, augment)
    loader = DataLoader(data, settings.num_batch_train, pin_memory=fabric.device.type == "cuda")
    model = fcdensenet.build(settings.net_label)
    model, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters()))

    def learn(batch):
        images, targets = (part.to(fabric.device, non_blocking=True) for part in batch)
        loss = F.nll_loss(model(images), targets.long())
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        return loss

    return _share(lambda epoch: loader, learn, fabric.device)


def classification(pair: Path, classifier: Path, steps: int, device: str) -> float:
    settings = config.load(second, [f"device={device}", "input_scaling=auto"])[0]
    fabric = engine.launch(settings.device)
    model, settings, _, _ = open_classifier(classifier, settings)
    model.train().to(memory_format=torch.channels_last)
    model, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters()))
    (case,) = finder.find([pair]).cases
    cases = [case._replace(case=case.case, label=0)] * (settings.num_batch_train * steps)
    settings = config.unless_typed(settings, {"cache_gb": 0.0})  # every image is read, as where memory is short

    def learn(batch):
        loss = classify.cross_entropy(model, batch, settings, fabric.device)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        return loss

    images, pin = dataset.Images(cases, settings), fabric.device.type == "cuda"
    return _share(lambda epoch: epochs.batches(images, cases, settings, epoch, pin=pin), learn, fabric.device)


def _share(batches, learn, device: torch.device) -> float:
    """Time spent waiting for batches over all of an epoch's time, the wait for its first batch among it.

    batches: the number of an epoch -> its batches; learn: a batch -> its loss, which is asked for after each step as
    both train.py do: it is then that a GPU is waited for. A GPU's first epoch, in which it starts, is not counted.
    """
    for epoch in (1, 2) if device.type == "cuda" else (1,):
        waited, begun = 0.0, time.perf_counter()
        last = begun
        for batch in batches(epoch):
            waited += time.perf_counter() - last
            learn(batch).item()
            last = time.perf_counter()
    return waited / (last - begun)


if __name__ == "__main__":
    main()
