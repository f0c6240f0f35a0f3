"""What is measured between two epochs of a training, and shown of it."""

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score

from classification.voting import predict
from cxr.figures import plots
from cxr.run import engine


@torch.inference_mode()
def validate(fabric, settings, model, images, cases: list, names: list[str]) -> dict[str, float]:
    """Let repeat_val patches, the same in every epoch, vote on each validation case, and score the votes.

    images: dataset.Images whose last entries are `cases`; names: of the classes. The processes share the cases.

    val_score      macro F1, the mean of val_f1_<class> over the classes that the cases have
    val_accuracy   share of the cases
    val_loss       mean over the cases of their patches' mean cross-entropy, as the training's
    """
    model.eval()
    engine.share_buffers(fabric, model)
    mine = range(fabric.global_rank, len(cases), fabric.world_size)
    found = torch.zeros(len(cases), 2)  # predicted class, loss
    first = len(images) - len(cases)
    for i, ((image, lung),) in zip(mine, images.stream([first + i] for i in mine), strict=True):
        with fabric.autocast():
            how = settings, cases[i].case, fabric.device, settings.repeat_val
            p, _ = predict.predict_image(model, image, lung, *how)
        loss = -np.log(p[:, cases[i].label].clip(1e-30)).mean()  # NaN stays NaN
        found[i] = torch.tensor([predict.tally(p, settings.vote)["predicted"], loss])
    found = fabric.all_reduce(found.to(fabric.device), reduce_op="sum").cpu()
    voted = scores([case.label for case in cases], found[:, 0].int().tolist(), names)
    return voted | {"val_loss": found[:, 1].mean().item()}


def scores(truth: list[int], predicted: list[int], names: list[str]) -> dict[str, float]:
    """Macro F1, accuracy and F1 a class; a class that no case has counts in no mean."""
    present = sorted(set(truth))
    each = f1_score(truth, predicted, labels=present, average=None, zero_division=0.0)
    result = {"val_score": float(each.mean()), "val_accuracy": float(accuracy_score(truth, predicted))}
    return result | {f"val_f1_{names[c]}": float(f1) for c, f1 in zip(present, each, strict=True)}


def curves(log: list[dict], path) -> None:
    """Write the losses, the macro F1, the accuracy and the F1 of each class of a training as a PNG."""
    shown = {"val_score": "macro F1", "val_accuracy": "accuracy"}
    shown |= {name: f"F1 {name.removeprefix('val_f1_')}" for name in log[-1] if name.startswith("val_f1_")}
    plots.learning_curves(log, path, shown, "Validation, by the vote")
