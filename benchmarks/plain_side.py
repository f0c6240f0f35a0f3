"""The plain method's stages for worker.py: each function prepares one and returns what is timed.

What is timed returns another function, asked for after the clock has stopped, that gives its results as arrays.
"""

from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks import plain_network, plain_segment, plain_vote
from cxr.run import engine


def equalise(file, **_):
    pixels = plain_segment.read(Path(file))

    def run():
        image = plain_segment.equalise(pixels)
        return lambda: {"image": image}

    return run


def network(weights, file, size, device, **_):
    state = _on(plain_network.read(weights), device)
    x = _inputs([file], size).to(device)

    @torch.no_grad()
    def run():
        answer = plain_network.forward(state, x)
        return lambda: {"p": answer.exp().cpu().numpy()}

    return run


def step(weights, radiographs, size, class_weights, learning_rate, device, **_):
    state = _on(plain_network.read(weights, trainable=True), device)
    images = _inputs(radiographs, size).to(device)
    targets = stripes(len(radiographs), size).to(device)
    parameters = {name: value for name, value in state.items() if value.requires_grad}
    optimizer = torch.optim.Adam(parameters.values(), lr=learning_rate, betas=(0.9, 0.999), weight_decay=1e-6)
    weight, taken = torch.tensor(class_weights, device=device), 0

    def run():
        nonlocal taken
        taken += 1
        engine.seed_torch(407, "dropout", taken, 0)
        loss = F.nll_loss(plain_network.forward(state, images, training=True), targets, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value = loss.item()
        return lambda: {"loss": value} | {name: value.grad.cpu().numpy() for name, value in parameters.items()}

    return run


def vote(classifier, net_label, folder, case, centres, side, patch, scaling, device, **_):
    model = plain_vote.network(classifier, net_label, device)

    def run():
        p = plain_vote.vote(model, Path(folder), case, centres, side, patch, scaling)
        return lambda: {"p": p}

    return run


dense = vote  # the published method has no other way


def saliency(classifier, net_label, folder, case, centres, side, patch, scaling, target, output, device, **_):
    def run():  # from fresh weights, since the method hangs one more hook on its network for every patch
        model = plain_vote.network(classifier, net_label, device)
        found = plain_vote.saliency(model, classifier, Path(folder), case, centres, side, patch, scaling, target)
        plain_vote.picture(Path(folder), case, found, Path(output) / "plain")
        return lambda: {"map": found}

    return run


def stripes(count: int, size: int) -> torch.Tensor:
    """Labels to train on, (N, size, size): four upright stripes."""
    return (torch.arange(size) * 4 // size).expand(count, size, size).contiguous()


def _on(state: dict, device: str) -> dict:
    return {name: value.detach().to(device).requires_grad_(value.requires_grad) for name, value in state.items()}


def _inputs(radiographs, size) -> torch.Tensor:
    images = [
        plain_segment.shrink(plain_segment.equalise(plain_segment.read(Path(file))), size) for file in radiographs
    ]
    return torch.cat(images)
