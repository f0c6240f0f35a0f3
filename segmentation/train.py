"""Train FC-DenseNet to find lungs and heart in chest radiographs.

    python segmentation/train.py                                    JSRT and SCR under data/
    python segmentation/train.py dir_data_root=data/phantom         the synthetic set
    python segmentation/train.py epoch_max=2 test_name=trial        any setting of header.py
    torchrun --nproc-per-node 2 segmentation/train.py               several processes

Writes checkpoint/segmentation/<test_name>/. After an interruption, run it again to resume.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, DistributedSampler
from tqdm import tqdm

from cxr.errors import BadRun
from cxr.run import caselist, engine, lock, runfolder, schedule
from cxr.settings import config
from segmentation import fcdensenet, fitting, header, training_cases, validation
from segmentation import weights as weight_files


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings, _ = config.load(header, parser=parser)
    fabric = engine.launch(settings.device, settings.precision)
    run = Path(settings.dir_checkpoint) / settings.test_name
    if fabric.is_global_zero:
        lock.take(run / lock.NAME)
    weight_files.check(settings)
    state = runfolder.open_state(run, config.as_dict(settings))
    start = runfolder.start_of(settings, state)
    cases = training_cases.find(settings)
    if state and not caselist.unchanged(state, training_cases.kept(cases)):
        raise BadRun(
            f"{run} was trained on other radiographs than there are now, or with other masks: give another test_name, "
            "or restart=True to delete the old run."
        )
    if state and runfolder.finished(state, settings):
        fabric.print(f"{run} is finished: {state['epoch']} epochs, best score {state['best']:.4f}.")
    else:
        for told in (config.describe(settings), *runfolder.notes(run, settings, state)):
            fabric.print(told)
        train_set, val_set = training_cases.open_data(cases, settings)
        train(fabric, settings, run, state, {"start": start} | training_cases.kept(cases), train_set, val_set)
    if fabric.is_global_zero:
        fitting.after_training(fabric, settings, run)
    fabric.print(f"Wrote {run}. {next_steps(settings)}")


def next_steps(settings) -> str:
    """The commands that evaluate this run, on its own images where it has some, and that segment with it."""
    own = ["-i", settings.dir_images, "-m", settings.dir_masks] if settings.dir_images else []
    names = ("dir_checkpoint", "test_name", "device")
    one = config.command("segmentation/evaluate.py", settings, ("dir_data_root", *names), *own)
    return f"Next: {one}, then {config.command('segmentation/inference.py', settings, names)} -i FOLDER"


def new_network(settings, fresh: bool) -> fcdensenet.FCDenseNet:
    """The network, which a fresh run starts from start_weights where given. Raises BadRun if these do not fit."""
    schedule.learning_rate(settings, 0)  # an unknown schedule stops before an earlier run is thrown away
    engine.seed_torch(settings.seed, "weights")
    try:
        engine.check_compile(settings.compile)
        model = fcdensenet.build(settings.net_label, dropout=settings.dropout)
        if settings.start_weights and fresh:
            name, weights, _ = weight_files.read(Path(settings.start_weights))
            if name != settings.net_label:
                raise BadRun(f"{settings.start_weights} holds {name}, not net_label={settings.net_label}.")
            weight_files.fill(model, name, weights, settings.start_weights)
    except ValueError as error:
        raise BadRun(str(error)) from error
    return model


def train(fabric, settings, run: Path, state: dict | None, kept: dict, train_set, val_set) -> None:
    """Train from `state`, or from the start where it is None, until epoch_max or early stop. Raises BadRun.

    kept: what the checkpoint tells of the training beside its settings."""
    check_last_step(settings, -(-len(train_set) // fabric.world_size))
    model = new_network(settings, fresh=state is None)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if settings.compile:  # in place, so that the names of the weights stay
        model.compile(backend=settings.compile)
    averaged = None
    if settings.average:
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)
        averaged.to(fabric.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    if settings.precision != "32-true":  # slower in float32 on CPUs without AVX-512
        model = model.to(memory_format=torch.channels_last)
    model, optimizer = fabric.setup(model, optimizer)
    if state:
        model.load_state_dict(state["model"])
        if averaged:
            averaged.module.load_state_dict(state["averaged"])
            averaged.n_averaged.fill_(1)
        runfolder.resume(fabric, state, optimizer)
    state = state or {"epoch": 0, "best": -1.0, "best_epoch": 0}

    saved = config.as_dict(settings)
    writer = runfolder.begin(run, state["epoch"], saved) if fabric.is_global_zero else None

    for epoch in range(state["epoch"] + 1, settings.epoch_max + 1):
        start = time.perf_counter()
        loss = train_one_epoch(fabric, settings, model, averaged, optimizer, train_set, epoch)
        scores = validation.validate(fabric, settings, averaged.module if averaged else model.module, val_set)
        # the last step may have broken the weights: then they are not kept
        runfolder.check_loss(scores["val_loss"], "validation loss", f"after epoch {epoch}", settings)
        row = {"epoch": epoch, "train_loss": loss, **scores, "learning_rate": optimizer.param_groups[0]["lr"]}
        row["seconds"] = round(time.perf_counter() - start, 1)
        state = {"epoch": epoch, "best": state["best"], "best_epoch": state["best_epoch"]}
        better = row["val_score"] > state["best"]
        if better:
            state |= {"best": row["val_score"], "best_epoch": epoch}
        if fabric.is_global_zero:
            held = state | kept | {"settings": saved, "model": model.state_dict()}
            weights = averaged.module.state_dict() if averaged else held["model"]
            last = held | runfolder.training_state(fabric, optimizer) | ({"averaged": weights} if averaged else {})
            runfolder.keep(run, writer, row, held | {"model": weights} if better else None, last, validation.curves)
            validation.picture(writer, epoch, averaged.module if averaged else model.module, val_set)
            print(
                f"epoch {epoch}: loss {loss:.4f}, validation Jaccard lungs {row['val_jaccard_lungs']:.4f}, "
                f"heart {row['val_jaccard_heart']:.4f}{', best so far' if better else ''} ({row['seconds']} s)"
            )
        fabric.barrier()
        if runfolder.stale(state, settings):
            fabric.print(f"No better validation score for {settings.patience} epochs: stopped early.")
            break
    if writer:
        writer.close()


def check_last_step(settings, each: int) -> None:
    """Raise BadRun if a step of `each` radiographs an epoch has one alone, of a size that leaves one pixel of it at the
    network's bottom: batch normalisation needs two values."""
    single = 1 in (settings.num_batch_train, each % settings.num_batch_train)
    if single and max(settings.resize_height, settings.resize_width) < 64:
        raise BadRun(
            f"num_batch_train={settings.num_batch_train} leaves a step with a single radiograph of {each}, and batch "
            f"normalisation needs more of {settings.resize_height} x {settings.resize_width} pixels: give another "
            "num_batch_train, or resize_height=64 resize_width=64 or more."
        )


def train_one_epoch(fabric, settings, model, averaged, optimizer, train_set, epoch: int) -> float:
    """One pass over the training radiographs; returns the mean loss of this process. Raises BadRun if it is NaN or Inf.

    Order, augmentation and dropout depend on the seed and the epoch only, so that a run may stop between any two.
    """
    train_set.epoch = epoch
    engine.seed_torch(settings.seed, "dropout", epoch, fabric.global_rank)
    sampler = DistributedSampler(train_set, fabric.world_size, fabric.global_rank, seed=settings.seed)
    sampler.set_epoch(epoch)
    loader = DataLoader(
        train_set,
        settings.num_batch_train,
        sampler=sampler,
        num_workers=settings.num_workers,
        pin_memory=fabric.device.type == "cuda",
        generator=torch.Generator().manual_seed(epoch),  # else making the iterator would draw from dropout's numbers
    )
    weight = torch.tensor(settings.class_weights, device=fabric.device)
    model.train()
    total = 0.0
    bar = tqdm(loader, f"epoch {epoch}/{settings.epoch_max}", disable=not fabric.is_global_zero, leave=False)
    for step, (images, targets) in enumerate(bar):
        schedule.set_rate(optimizer, settings, epoch - 1 + step / len(loader))
        images, targets = images.to(fabric.device, non_blocking=True), targets.to(fabric.device, non_blocking=True)
        loss = validation.cross_entropy(model(images).float(), targets, weight)
        runfolder.check_loss(loss.item(), "loss", f"in epoch {epoch}, batch {step + 1}", settings)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        if averaged:
            averaged.update_parameters(model.module)
        total += loss.item()
        bar.set_postfix(loss=f"{loss.item():.4f}")
    return total / len(loader)


if __name__ == "__main__":
    main()
