"""How much of a training's time the step waits for data, in both stages.

    python -m benchmarks.waits PHANTOM PAIR CLASSIFIER STEPS SIZE       prints JSON: {stage: share}
"""

import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from classification import backbone, dataset, sampling
from classification import header as second
from classification import train as classify
from cxr import config, engine
from segmentation import dataset as films
from segmentation import fcdensenet
from segmentation import header as first


def main() -> None:
    phantom, pair, classifier, steps, size = sys.argv[1:]
    shares = {"segmentation": segmentation(Path(phantom), int(steps), int(size))}
    shares["segmentation, augmented"] = segmentation(Path(phantom), int(steps), int(size), True)
    shares["classification"] = classification(Path(pair), Path(classifier), int(steps))
    print(json.dumps(shares))


def segmentation(phantom: Path, steps: int, size: int, augment: bool = False) -> float:
    words = [f"resize_height={size}", f"resize_width={size}", f"augment={augment}"]
    settings = config.load(first, words)[0]
    fabric = engine.launch("cpu")
    cases = films.jsrt(phantom)[: settings.num_batch_train * steps]
    loader = DataLoader(films.Radiographs(cases, settings, augment), settings.num_batch_train)
    model = fcdensenet.build(settings.net_label)
    model, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters()))

    def learn(batch):
        optimizer.zero_grad()
        fabric.backward(F.nll_loss(model(batch[0]), batch[1].long()))
        optimizer.step()

    return _share(loader, learn)


def classification(pair: Path, classifier: Path, steps: int) -> float:
    settings = config.load(second, ["device=cpu", f"file_weights={classifier}", "input_scaling=auto"])[0]
    fabric = engine.launch("cpu")
    model, settings, _, _ = backbone.open_classifier(classifier, settings)
    model.train().to(memory_format=torch.channels_last)
    model, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters()))
    (case,) = dataset.find_cases(pair, [])
    cases = [case._replace(case=case.case, label=0)] * (settings.num_batch_train * steps)
    settings = config.unless_typed(settings, {"cache_gb": 0.0})  # every image is read, as where memory is short

    def learn(batch):
        loss = classify.cross_entropy(model, batch, settings, fabric.device)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()

    return _share(sampling.batches(dataset.Images(cases, settings), cases, settings, 1), learn)


def _share(batches, learn) -> float:
    """Time spent waiting for batches over all of an epoch's time, the wait for its first batch among it."""
    waited, begun = 0.0, time.perf_counter()
    last = begun
    for batch in batches:
        waited += time.perf_counter() - last
        learn(batch)
        last = time.perf_counter()
    return waited / (last - begun)


if __name__ == "__main__":
    main()
