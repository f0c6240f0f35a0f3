"""Train a network to classify chest radiographs by patches of the lung.

    python classification/train.py                                      data/split/{train,val}/, made by split.py
    python classification/train.py dir_split=FOLDER approach=dense      any setting of header.py
    torchrun --nproc-per-node 2 classification/train.py                 several processes

Writes checkpoint/classification/<test_name>/. After an interruption, run it again to resume. best.pt is the epoch with
the best macro F1 of the votes in validation; ties are broken by the lower loss.
"""

import argparse
import math
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import torch
import torch.nn.functional as F
from tqdm import tqdm

from classification import header
from classification.cases import dataset
from classification.model import backbone, origin
from classification.patches import epochs, patch
from classification.splitting import leaks, training_cases
from classification.voting import fitting, predict, training_features, validation
from cxr.errors import BadRun
from cxr.run import engine, lock, runfolder, schedule
from cxr.settings import config

# What a training never reads, so that it may go on with another value: settings of the split, and of what predicts
UNREAD = (
    "split_by", "split_parts", "split_seed", "duplicate_distance", "folds", "seeds", "repeat", "calibrate", "refuse",
)  # fmt: skip
# What inference.py is to be told after it
NEXT = (
    "dir_checkpoint", "dir_split", "test_name", "dir_save", "file_metadata", "device", "repeat", "calibrate", "refuse",
)  # fmt: skip


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings, _ = config.load(header, parser=parser)
    fabric = engine.launch(settings.device, settings.precision)
    run = Path(settings.dir_checkpoint) / settings.test_name
    if fabric.is_global_zero:
        lock.take(run / lock.NAME)
    state = runfolder.open_state(run, config.as_dict(settings), UNREAD)
    start = runfolder.start_of(settings, state)
    data = training_cases.find(settings)
    if state and not training_cases.unchanged(state, data):
        raise BadRun(
            f"{run} was trained on other cases or classes than {settings.dir_split} holds now, or their images or "
            "masks were others: give another test_name, or restart=True to delete the old run."
        )
    if state and runfolder.finished(state, settings):
        fabric.print(f"{run} is finished: {state['epoch']} epochs, best macro F1 {state['best']:.4f}.")
    else:
        for told in (config.describe(settings), *runfolder.notes(run, settings, state)):
            fabric.print(told)
        if not state and fabric.is_global_zero:
            for warning in leaks.warnings(settings):
                print(f"Warning: {warning}.")
        for note in data.notes:
            fabric.print(f"Note: {note}.")
        train(fabric, settings, run, state, data, {"start": start})
    fitting.after_training(fabric, settings, run, data.val)
    training_features.after_training(fabric, settings, run, data.train, data.val)
    fabric.print(f"Wrote {run}. Next: {config.command('classification/inference.py', settings, NEXT)}")


def new_network(fabric, settings, state: dict | None, data: training_cases.Data):
    """The network and the scaling of its input: by the settings for a fresh run, else as before. Raises BadRun."""
    engine.seed_torch(settings.seed, "weights")
    try:
        if state:
            model, scaling = backbone.build(settings.net_label, len(data.names)), state["input_scaling"]
            model.load_state_dict(state["model"])
        else:
            with fabric.rank_zero_first(local=True):  # of several processes one downloads ImageNet weights
                model, scaling, note = origin.start(settings, len(data.names), data.names)
            fabric.print(f"Weights: {note}; input scaling: {scaling}.")
        predict.check(settings, model)
        backbone.freeze(model, settings.freeze)
        epochs.check(data.train, settings, model, fabric.world_size)
    except ValueError as error:
        raise BadRun(str(error)) from error
    schedule.learning_rate(settings, 0)  # an unknown schedule stops before the pairs are read
    return model, scaling


def train(fabric, settings, run: Path, state: dict | None, data: training_cases.Data, kept: dict) -> None:
    """Train from `state`, or from the start where it is None, until epoch_max or early stop. Raises BadRun, BadData.

    kept: what the checkpoint tells of the training beside its settings and cases."""
    network, scaling = new_network(fabric, settings, state, data)
    network = network.to(memory_format=torch.channels_last)  # a fifth less time a step; saved weights are the same
    saved = config.as_dict(settings)
    settings = config.replace(settings, input_scaling=scaling)
    for part, chosen in (("train", data.train), ("validate", data.val)):
        counts = Counter(data.names[case.label] for case in chosen)
        fabric.print(f"To {part} on: {', '.join(f'{counts[name]} {name}' for name in data.names)}.")
    images = dataset.Images([*data.train, *data.val], settings)
    images.check()
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    model = predict.Windows(network, settings.patch_size) if settings.approach == "dense" else network
    if settings.compile:  # in place, so that the names of the weights stay
        model.compile(backend=settings.compile)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    model, optimizer = fabric.setup(model, optimizer)
    if state:
        runfolder.resume(fabric, state, optimizer)
    state = state or {"epoch": 0, "best": -1.0, "best_loss": math.inf, "best_epoch": 0, "risen": 0}
    fixed = {"settings": saved, "classes": data.names, "folders": data.folders, "input_scaling": scaling}
    fixed |= kept | training_cases.kept(data)

    writer = runfolder.begin(run, state["epoch"], saved) if fabric.is_global_zero else None

    for epoch in range(state["epoch"] + 1, settings.epoch_max + 1):
        start = time.perf_counter()
        loss = train_one_epoch(fabric, settings, model, network, optimizer, images, data.train, epoch)
        scores = validation.validate(fabric, settings, network, images, data.val, data.names)
        # the last step may have broken the weights: then they are not kept
        runfolder.check_loss(scores["val_loss"], "validation loss", f"after epoch {epoch}", settings)
        row = {"epoch": epoch, "train_loss": loss, **scores, "learning_rate": optimizer.param_groups[0]["lr"]}
        row["seconds"] = round(time.perf_counter() - start, 1)
        state = {name: state[name] for name in ("best", "best_loss", "best_epoch", "risen")} | {"epoch": epoch}
        if row["val_score"] > state["best"]:
            state["risen"] = epoch
        better = (row["val_score"], -row["val_loss"]) > (state["best"], -state["best_loss"])
        if better:
            state |= {"best": row["val_score"], "best_loss": row["val_loss"], "best_epoch": epoch}
        if fabric.is_global_zero:
            held = fixed | state | {"model": network.state_dict(), "score": row["val_score"]}
            last = held | runfolder.training_state(fabric, optimizer)
            runfolder.keep(run, writer, row, held if better else None, last, validation.curves)
            print(
                f"epoch {epoch}: loss {loss:.4f}, validation macro F1 {row['val_score']:.4f}, accuracy "
                f"{row['val_accuracy']:.4f}{', best so far' if better else ''} ({row['seconds']} s)"
            )
        fabric.barrier()
        if runfolder.stale(state, settings):
            fabric.print(f"No better macro F1 in validation for {settings.patience} epochs: stopped early.")
            break
    if writer:
        writer.close()


def train_one_epoch(fabric, settings, model, network, optimizer, images, chosen: list, epoch: int) -> float:
    """One pass over the epoch's patches; returns this process's mean cross-entropy. Raises BadRun if it is NaN or Inf.

    model: what fabric has set up of `network`.

    Patches and dropout depend on the seed and the epoch only, so that a run may stop between any two.
    """
    engine.seed_torch(settings.seed, "dropout", epoch, fabric.global_rank)
    count = epochs.count_steps(chosen, settings, fabric.world_size)
    shared = fabric.global_rank, fabric.world_size
    batches = epochs.batches(images, chosen, settings, epoch, *shared, pin=fabric.device.type == "cuda")
    model.train()
    backbone.freeze(network, settings.freeze)  # which train() has set free
    total = 0.0
    bar = tqdm(batches, f"epoch {epoch}/{settings.epoch_max}", count, disable=not fabric.is_global_zero, leave=False)
    for step, batch in enumerate(bar):
        schedule.set_rate(optimizer, settings, epoch - 1 + step / count)
        entropy = cross_entropy(model, batch, settings, fabric.device)
        loss = entropy + settings.lambda_l1 * absolute_weights(model) if settings.lambda_l1 else entropy
        runfolder.check_loss(loss.item(), "loss", f"in epoch {epoch}, batch {step + 1}", settings)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        total += entropy.item()
        bar.set_postfix(loss=f"{entropy.item():.4f}")
    return total / count


def cross_entropy(model, batch: epochs.Batch, settings, device) -> torch.Tensor:
    """The mean over a batch's images; in the dense approach that of an image is the mean over its windows."""
    images, labels = (part.to(device, non_blocking=True) for part in (batch.images, batch.labels))
    dense = settings.approach == "dense"
    how = torch.arange(len(labels)), batch.centres, settings.img_size if dense else settings.patch_size
    how += batch.rotation, batch.flip
    x = backbone.scale(patch.cut(images, *how), settings.input_scaling)
    if not dense:
        return F.cross_entropy(model(x).float(), labels)
    lungs = patch.cut(batch.lungs.to(device, non_blocking=True), *how)[:, 0] >= 0.5
    logits, image = model(x, lungs)
    each = F.cross_entropy(logits.float(), labels[image], reduction="none")
    return (each / torch.bincount(image, minlength=len(labels))[image]).sum() / len(labels)


def absolute_weights(model) -> torch.Tensor:
    """Sum of the absolute weights of convolutions and linear layers: no biases, no normalisation's scale and shift."""
    return sum(weight.abs().sum() for weight in model.parameters() if weight.ndim > 1)


if __name__ == "__main__":
    main()
