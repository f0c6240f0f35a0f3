"""What is measured between two epochs of a training, and shown of it."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter

from cxr.figures import contours, plots
from cxr.labels import HEART, LEFT, RIGHT
from cxr.run import engine
from cxr.stats.overlap import jaccard
from segmentation import weights as weight_files
from segmentation.dataset import LUNGS_ONLY


def cross_entropy(output: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy of log-probabilities (N, 4, H, W) and targets (N, H, W).

    Where a case has no heart mask, what is not lung is background or heart: the loss is that of their sum.
    """
    partial = targets == LUNGS_ONLY
    if not partial.any():
        return F.nll_loss(output, targets, weight)
    each = F.nll_loss(output, targets.masked_fill(partial, 0), reduction="none")
    each = torch.where(partial, -torch.logaddexp(output[:, 0], output[:, HEART]), each)
    weights = weight[targets.masked_fill(partial, 0)]
    return (each * weights).sum() / weights.sum()


@torch.inference_mode()
def validate(fabric, settings, model, val_set) -> dict[str, float]:
    """Mean loss and mean Jaccard index of each organ over the validation radiographs, at the network's size.

    The score that chooses the checkpoint is the mean of heart and lungs, lungs being the mean of left and right.
    """
    model.eval()
    engine.share_buffers(fabric, model)
    mine = range(fabric.global_rank, len(val_set), fabric.world_size)
    sums = torch.zeros(6, dtype=torch.float64)  # loss, heart, left, right, count, and how many have a heart mask
    weight = torch.tensor(settings.class_weights, device=fabric.device)
    for first in range(0, len(mine), settings.num_batch_test):
        items = [val_set[i] for i in mine[first : first + settings.num_batch_test]]
        images, targets = (torch.stack(part).to(fabric.device) for part in zip(*items, strict=True))
        with fabric.autocast():
            output = model(images).float()
        sums[0] += cross_entropy(output, targets, weight).item() * len(items)
        labels = output.argmax(1)
        for organ in (HEART, LEFT, RIGHT):
            both = zip(labels == organ, targets == organ, strict=True)
            sums[organ] += sum(jaccard(one, other, empty=0.0) for one, other in both)
        sums[4] += len(items)
        sums[5] += (targets == HEART).any(2).any(1).sum().item()
    sums = fabric.all_reduce(sums.to(fabric.device).float(), reduce_op="sum").tolist()
    loss, heart, left, right, count, hearts = sums
    heart *= count / max(hearts, 1)
    lungs = (left + right) / 2
    scores = {"jaccard_heart": heart, "jaccard_left": left, "jaccard_right": right, "jaccard_lungs": lungs}
    scores |= {"loss": loss, "score": (heart + lungs) / 2}
    return {f"val_{name}": value / count for name, value in scores.items()}


def curves(log: list[dict], path: Path) -> None:
    """Write the losses and the Jaccard indices of a training as a PNG."""
    shown = {f"val_jaccard_{organ}": organ for organ in ("lungs", "heart", "left", "right")}
    plots.learning_curves(log, path, shown, "Validation Jaccard")


def picture(writer: SummaryWriter, epoch: int, model, val_set) -> None:
    """The first validation radiograph with its contours, for TensorBoard."""
    image, target = val_set[0]
    device = next(model.parameters()).device
    labels = weight_files.probabilities(model, image[None].to(device)).argmax(1)[0].to(torch.uint8).cpu().numpy()
    shown = contours.overlay(image[0].numpy(), labels, target.numpy().astype("uint8"))
    writer.add_image("validation", shown, epoch, dataformats="HWC")
    writer.flush()
