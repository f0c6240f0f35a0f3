"""What is measured between two epochs of a training, and shown of it."""

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score

from classification.voting import predict
from cxr.figures import plots


@torch.inference_mode()
def validate(fabric, settings, model, images, cases: list, names: list[str]) -> dict[str, float]:
    """Let repeat_val patches, the same in every epoch, vote on each validation case, and score the votes.

    images: dataset.Images whose last entries are `cases`; names: of the classes. The processes share the cases.

    val_score      macro F1, the mean of val_f1_<class> over the classes that the cases have
    val_accuracy   share of the cases
    val_loss       mean over the cases of their patches' mean cross-entropy, as the training's
    """
    model.eval()
    if fabric.world_size > 1:  # each process has its own running statistics; what is saved are the first one's
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)
    mine = range(fabric.global_rank, len(cases), fabric.world_size)
    found = torch.zeros(len(cases), 2)  # predicted class, loss
    first = len(images) - len(cases)
    for i, ((image, lung),) in zip(mine, images.stream([first + i] for i in mine), strict=True):
        with fabric.autocast():
            p, _ = predict.predict_image(
                model, image, lung, settings, cases[i].case, fabric.device, settings.repeat_val
            )
        loss = -np.log(p[:, cases[i].label].clip(1e-30)).mean()  # NaN stays NaN
        found[i] = torch.tensor([predict.tally(p, settings.vote)["predicted"], loss])
    found = fabric.all_reduce(found.to(fabric.device), reduce_op="sum").cpu()
    return scores([case.label for case in cases], found[:, 0].int().tolist(), names) | {
        "val_loss": found[:, 1].mean().item()
    }


def scores(truth: list[int], predicted: list[int], names: list[str]) -> dict[str, float]:
    """Macro F1, accuracy and F1 a class; a class that no case has counts in no mean."""
    present = sorted(set(truth))
    each = f1_score(truth, predicted, labels=present, average=None, zero_division=0.0)
    result = {"val_score": float(each.mean()), "val_accuracy": float(accuracy_score(truth, predicted))}
    return result | {f"val_f1_{names[c]}": float(f1) for c, f1 in zip(present, each, strict=True)}


def curves(log: list[dict], path) -> None:
    """Write a PNG: losses on the left, macro F1, accuracy and the F1 of each class on the right, over epochs."""
    figure = plots.new_figure(10, 4)
    loss, score = plots.add_axes(figure, 121, "Cross-entropy"), plots.add_axes(figure, 122, "Validation, by the vote")
    epochs = [row["epoch"] for row in log]
    main = {"linewidth": 1.6, "marker": "o" if len(log) < 12 else None, "markersize": 3}
    for name, label, colour in (("train_loss", "training", plots.SKY), ("val_loss", "validation", plots.BLUE)):
        loss.plot(epochs, [row[name] for row in log], color=colour, label=label, **main)
    loss.set_ylim(0)
    colours = [plots.ORANGE, plots.GREEN, plots.PURPLE, plots.SKY, plots.VERMILLION]
    for i, name in enumerate(name for name in log[-1] if name.startswith("val_f1_")):
        label = "F1 " + name.removeprefix("val_f1_").replace("$", r"\$")  # else matplotlib takes it for a formula
        score.plot(epochs, [row[name] for row in log], color=colours[i % 5], linewidth=0.8, alpha=0.7, label=label)
    score.plot(epochs, [row["val_accuracy"] for row in log], color=plots.QUIET, linestyle=":", label="accuracy")
    score.plot(epochs, [row["val_score"] for row in log], color=plots.BLUE, label="macro F1", **main)
    score.set_ylim(-0.02, 1.02)
    for axes in (loss, score):
        axes.set_xlabel("Epoch", color=plots.INK)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    plots.save(figure, path)
