"""Stage 2 as published, as plainly as it can be written: one patch a pass, files and checkpoint read each time.

What decides a result is the project's, so that results can be compared: where the patches are centred, how a patch at
the border is padded, where features lie in a patch. What costs time is the published procedure's: for each of the K
votes the pair is read, resized and masked again; for a saliency map the checkpoint is read again for every patch and
one more hook hung on the network.
"""

import cv2
import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from classification.model import backbone
from cxr import pairs


def network(weights, net_label, device) -> torch.nn.Module:
    """The classifier of a checkpoint, in evaluation mode."""
    state = _read(weights)
    model = backbone.build(net_label, backbone.count_classes(net_label, state))
    model.load_state_dict(state)
    return model.eval().to(device)


def vote(model, folder, case, centres, side, size, scaling) -> np.ndarray:
    """Probabilities (K, classes) of the patches about `centres` (K, 2), of size x size of the side x side image."""
    device, answers = next(model.parameters()).device, []
    for row, column in centres:
        patch = _patch(_masked(folder, case, side), row, column, size).to(device)
        with torch.no_grad():
            answers.append(model(backbone.scale(patch, scaling)).softmax(1)[0].cpu().numpy())
    return np.array(answers)


def saliency(model, weights, folder, case, centres, side, size, scaling, target) -> np.ndarray:
    """Probabilistic Grad-CAM of one class, (side, side): as in classification/saliency/grad_cam.py, patch by patch."""
    device = next(model.parameters()).device
    stride, first = backbone.lattice(model)
    kept = {}

    def keep(module, args, output):
        kept["features"] = output
        output.register_hook(lambda slope: kept.update(slope=slope))

    total, counts = np.zeros((side, side)), np.zeros((side, side))
    for row, column in centres:
        model.load_state_dict(_read(weights))
        backbone.last_layer(model).register_forward_hook(keep)
        patch = _patch(_masked(folder, case, side), row, column, size).to(device)
        logits = model(backbone.scale(patch, scaling))
        model.zero_grad()
        logits[0, target].backward()
        weight = kept["slope"].mean((2, 3), keepdim=True)
        cam = (weight * kept["features"]).sum(1)[0].clamp(min=0).detach().cpu().numpy()
        at = (np.arange(size) - first) / stride
        large = ndimage.map_coordinates(cam, np.meshgrid(at, at, indexing="ij"), order=1, mode="nearest")
        top, left = row - size // 2, column - size // 2
        here = np.s_[max(top, 0) : top + size, max(left, 0) : left + size]
        inside = large[max(-top, 0) : side - top, max(-left, 0) : side - left]
        total[here] += logits.softmax(1)[0, target].item() * inside
        counts[here] += 1
    return np.where(counts > 0, total / np.maximum(counts, 1), 0)


def picture(folder, case, found, output) -> None:
    """Save the map as numbers and, in colours over the radiograph, as a picture."""
    output.mkdir(parents=True, exist_ok=True)
    np.save(output / f"{case}.cam.npy", found)
    shown = np.rint(255 * found / (found.max() or 1)).astype(np.uint8)
    radiograph = cv2.cvtColor(np.load(folder / f"{case}{pairs.IMAGE}").astype(np.uint8), cv2.COLOR_GRAY2BGR)
    radiograph = cv2.resize(radiograph, shown.shape)
    mixed = cv2.addWeighted(cv2.applyColorMap(shown, cv2.COLORMAP_JET), 0.4, radiograph, 0.6, 0)
    cv2.imwrite(str(output / f"{case}.cam.png"), mixed)


def _read(weights):
    return torch.load(weights, map_location="cpu", weights_only=True)["model"]


def _masked(folder, case, side) -> np.ndarray:
    """The pair read from its files, resized, whole grey levels, zero outside the lung: (side, side) float32."""
    image, mask = np.load(folder / f"{case}{pairs.IMAGE}"), np.load(folder / f"{case}{pairs.MASK}")
    small = np.asarray(Image.fromarray(image.astype(np.float32)).resize((side, side), Image.BICUBIC))
    lung = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((side, side), Image.BILINEAR)) >= 0.5
    return np.where(lung, small.round().clip(0, 255), 0).astype(np.float32)


def _patch(image, row, column, size) -> torch.Tensor:
    """(1, 1, size, size): the window about a pixel, zero beyond the image."""
    padded = np.pad(image, size)
    top, left = row + size - size // 2, column + size - size // 2
    return torch.from_numpy(padded[top : top + size, left : left + size].copy())[None, None]
