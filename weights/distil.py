"""The run that teaches a network by others: its cases, its steps, its checkpoints, the file it ends in."""

import argparse
import hashlib
import json
import math
import shlex
import time
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from classification import header
from classification.cases import dataset
from classification.model import backbone
from classification.patches import epochs, patch
from classification.voting import predict
from cxr import version
from cxr.errors import BadRun
from cxr.run import checksum, engine, runfolder
from cxr.settings import config
from weights import teach

ROUND = 100  # steps between checkpoints
# The settings of header.py that distil reads, beside those it sets itself
TAKEN = {
    "classes", "img_size", "resolution", "patch_size", "copies", "contrast", "net_label", "seed", "num_batch_train",
    "flip", "rotation", "device", "precision", "num_workers", "cache_gb",
}  # fmt: skip


def distil(options) -> None:
    """Teach a random network (net_label, by default ResNet-18) on random patches of all pairs but those of validation
    and test, their patients and near-duplicates. Writes RUN/last.pt every 100 steps and at the end
    RUN/student.safetensors, which classification/train.py takes as start_weights."""
    settings = read_settings(options)
    fabric = engine.launch(settings.device, settings.precision)
    if fabric.world_size > 1:
        raise ValueError("distil runs as one process; start it without torchrun.")
    teachers = [teach.open_teacher(path) for path in options.teacher]
    spoken = [teacher for teacher in teachers if teacher.classes]
    if any(teacher.classes != spoken[0].classes for teacher in spoken):
        raise ValueError(f"the teachers know different classes: {' and '.join(str(t.classes) for t in spoken)}.")
    cases, groups, left_out = teach.find_cases(options.pairs, options.split, settings)
    print(f"{len(cases)} cases to teach on; {left_out} left out for validation, test, their patients and duplicates.")

    kinds = [sum(origin == i for origin, _ in groups) for i in range(len(options.pairs))]
    engine.seed_torch(settings.seed, "weights")
    student = teach.Student(settings.net_label, len(spoken[0].classes) if spoken else 1, teachers, kinds)
    student.to(memory_format=torch.channels_last)
    network = student.network
    optimizer = torch.optim.AdamW(student.parameters(), options.rate, weight_decay=0.05)
    model, optimizer = fabric.setup(student, optimizer)
    for teacher in teachers:
        teacher.model.to(fabric.device)

    made_with = identity(options, settings, cases)
    done = resume(options.run, made_with, student, optimizer)
    options.run.mkdir(parents=True, exist_ok=True)
    images = dataset.Images(cases, settings)
    images.check()
    for begin in range(done, options.steps, ROUND):
        start, count = time.perf_counter(), min(ROUND, options.steps - begin)
        row = teach_round(fabric, options, settings, model, network, teachers, optimizer, images, groups, begin, count)
        row = {"step": begin + count, **row, "seconds": round(time.perf_counter() - start, 1)}
        state = {"step": begin + count, "made_with": made_with, "model": student.state_dict()}
        log = runfolder.read_log(options.run / "log.jsonl")[: begin // ROUND]  # what a kill left behind it is run again
        runfolder.write_log(options.run / "log.jsonl", [*log, row])
        engine.save(state | {"optimizer": optimizer.state_dict()}, options.run / "last.pt")
        print(json.dumps(row), flush=True)
    write_student(options, settings, network, spoken)


def read_settings(options):
    """The settings of classification/header.py as typed, and what distil itself sets. Raises ValueError."""
    settings, _ = config.load(header, options.settings, argparse.ArgumentParser("weights/make_classification.py"))
    odd = sorted(settings._typed - TAKEN)
    if odd:
        raise ValueError(f"distil does not read {', '.join(odd)}; it reads {', '.join(sorted(TAKEN))}.")
    if options.steps < 1:
        raise ValueError(f"--steps takes 1 or more, not {options.steps}.")
    settings = config.unless_typed(settings, {"approach": "local", "balanced": True})
    predict.check(settings, None)  # a network matters to approach=dense only
    return settings


def identity(options, settings, cases) -> dict:
    """What a run may not change when it goes on, as plain values."""
    named = [[case.folder, case.case, case.label] for case in cases]
    held = {str(name): getattr(options, name) for name in ("steps", "rate", "temperature", "soft", "labels")}
    held |= {name: value for name, value in config.as_dict(settings).items() if name in TAKEN - {"cache_gb"}}
    held["cases"] = hashlib.sha256(json.dumps(named).encode()).hexdigest()
    return held | {"teachers": [hashlib.sha256(path.read_bytes()).hexdigest() for path in options.teacher]}


def resume(run: Path, made_with: dict, student, optimizer) -> int:
    """Load what an earlier start of the run left; the steps it has done. Raises BadRun if it was another run."""
    if not (run / "last.pt").exists():
        return 0
    state = engine.load(run / "last.pt")
    changed = runfolder.differences(state["made_with"], made_with)
    if changed:
        raise BadRun(f"{run} was made otherwise ({'; '.join(changed)}): give another --run, or delete it.")
    student.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def teach_round(fabric, options, settings, model, network, teachers, optimizer, images, groups, begin, count) -> dict:
    """`count` steps from step `begin` on; the means of the losses. Patches depend on the seed and `begin` only."""
    origin, kind = (torch.tensor(values, device=fabric.device) for values in zip(*groups, strict=True))
    enough = -(-ROUND * settings.num_batch_train // len(images))
    drawn = epochs.batches(images, images.cases, config.unless_typed(settings, {"num_patches": enough}), begin)
    model.train()
    totals = {}
    for step, batch in enumerate(tqdm(islice(drawn, count), f"from step {begin}", count, leave=False)):
        for group in optimizer.param_groups:
            group["lr"] = options.rate * onecycle((begin + step) / options.steps)
        which, labels = torch.arange(len(batch.labels)), batch.labels.to(fabric.device)
        cut = patch.cut(
            batch.images.to(fabric.device), which, batch.centres, settings.patch_size, batch.rotation, batch.flip
        )
        with fabric.autocast():  # the teachers too, which Fabric does not know
            parts = teach.losses(model, network, teachers, cut, origin[labels], kind[labels], options.temperature)
        loss = parts["features"] + options.soft * parts["soft"] + options.labels * parts["labels"]
        if not torch.isfinite(loss):
            raise BadRun(f"the loss is {loss.item()} at step {begin + step + 1}; try a --rate below {options.rate:g}.")
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        for name, value in parts.items():
            totals[name] = totals.get(name, 0.0) + value.item() / count
    return {name: round(value, 5) for name, value in totals.items()}


def onecycle(progress: float) -> float:
    """Share of the highest learning rate: up for a tenth of the run, then down to a thousandth, along cosines."""
    rise = 0.1
    low, along = (0.04, 1 - progress / rise) if progress < rise else (1e-3, (progress - rise) / (1 - rise))
    return low + (1 - low) * (1 + math.cos(math.pi * along)) / 2


def write_student(options, settings, network, spoken: list) -> None:
    """The taught network alone, in full precision, without its last layer where no teacher gave soft labels."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    names = ("net_label", "approach", "img_size", "resolution", "patch_size")
    told = {"settings": {name: getattr(settings, name) for name in names}}
    told["input_scaling"] = "imagenet"
    if spoken and options.soft:
        told |= {"classes": spoken[0].classes, "folders": spoken[0].folders}
    else:
        last = {id(tensor) for tensor in backbone.head(network).state_dict(keep_vars=True).values()}
        drop = {key for key, value in network.state_dict(keep_vars=True).items() if id(value) in last}
        state = {key: value for key, value in state.items() if key not in drop}
    path = options.run / "student.safetensors"
    checksum.save(state, path, metadata(settings.net_label, told))
    following = shlex.join(["python", "classification/train.py", f"start_weights={path.absolute()}"])
    print(f"Wrote {path}. Next: {following}")


def metadata(network: str, told: dict) -> dict[str, str]:
    """What classification/model/weightfile.py reads back from a safetensors file."""
    told = told | {"project": version.about()}
    return {"format": "pt", "network": network} | {name: json.dumps(value) for name, value in told.items()}
