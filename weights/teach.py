"""Distillation: a network learns from larger ones' features and soft labels, on patches of the lung.

G. Hinton et al., "Distilling the knowledge in a neural network", arXiv 1503.02531, 2015 (soft labels); A. Romero et
al., "FitNets", ICLR 2015 (features, through a projection of the student's). The features are matched position by
position, which teaches through dozens of vectors a patch where the pooled one alone would be a single one.
"""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from classification.cases import finder
from classification.cases.classes import class_map
from classification.model import backbone, weightfile
from classification.splitting import parts
from cxr.errors import BadData
from cxr.patients import kermany_patient, known_set

_LEAST_VARIANCE = 0.01  # keeps channels that hardly ever fire from counting as much as those that do


class Teacher(NamedTuple):
    """A network that teaches, and what its file tells of it."""

    model: nn.Module
    input_scaling: str
    classes: list[str] | None  # of its soft labels; None where it teaches by its features only
    folders: dict[str, int] | None


def open_teacher(path: Path) -> Teacher:
    """The network of a weights file. It gives soft labels if the file names its classes, which those of our
    train.py do and those of ImageNet don't. Raises ValueError."""
    name, state, saved = weightfile.read(path)
    model = backbone.build(name, max(backbone.count_classes(name, state), 1))
    if backbone.head(model) is None:
        raise ValueError(f"{path} holds {name}, which does not end in pooling and one linear layer; name another.")
    backbone.fill(model, name, state, path, keep_last=not backbone.count_classes(name, state))
    model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return Teacher(model, saved["input_scaling"], saved["classes"], saved["folders"])


class Student(nn.Module):
    """A network, and what only its teaching needs: a projection a teacher, a head of hard labels a folder of pairs."""

    def __init__(self, net_label: str, num_classes: int, teachers: list[Teacher], kinds: list[int]):
        super().__init__()
        self.network = backbone.build(net_label, num_classes)
        head = backbone.head(self.network)
        if head is None:
            raise ValueError(f"net_label={net_label} does not end in pooling and one linear layer; name another.")
        width = head.in_features
        self.projections = nn.ModuleList(
            nn.Conv2d(width, backbone.head(teacher.model).in_features, 1) for teacher in teachers
        )
        self.heads = nn.ModuleList(nn.Linear(width, count) for count in kinds)

    def forward(self, x: torch.Tensor):
        """(N, 3, H, W) -> projected feature maps, logits (N, classes), and logits of each folder's head."""
        maps = backbone.features(self.network, x)
        pooled = maps.mean((2, 3))
        logits = backbone.head(self.network)(pooled)
        return [project(maps) for project in self.projections], logits, [head(pooled) for head in self.heads]


def losses(student, network, teachers: list[Teacher], patches, origin, kind, temperature: float) -> dict:
    """What the student still misses on patches (P, 1, size, size), as scalars.

    student    the Student, or what Fabric made of it; network is the plain one within
    origin     (P,) which folder of pairs a patch is from, kind (P,) which label it has there
    features   variance of the teachers' features that is left unexplained: of single positions, and of their mean
    soft       Kullback-Leibler divergence from the teachers' softened probabilities, times temperature squared
    labels     cross-entropy of the hard labels
    """
    projected, logits, answers = student(backbone.scale(patches, "imagenet"))
    features, soft = [], []
    for teacher, ours in zip(teachers, projected, strict=True):
        with torch.no_grad():
            maps = backbone.features(teacher.model, backbone.scale(patches, teacher.input_scaling)).float()
            said = backbone.head(teacher.model)(maps.mean((2, 3)))
            theirs = standardise(maps)
        features.append(unexplained(*same_places(ours.float(), theirs, network, teacher.model)))
        if teacher.classes:
            wanted = F.log_softmax(said / temperature, 1)
            known = F.log_softmax(logits.float() / temperature, 1)
            soft.append(F.kl_div(known, wanted, reduction="batchmean", log_target=True) * temperature**2)
    hard = [
        F.cross_entropy(answer.float()[origin == i], kind[origin == i], reduction="sum") / len(kind)
        for i, answer in enumerate(answers)
        if answer.shape[1] > 1
    ]
    zero = logits.sum() * 0.0
    return {
        "features": sum(features) / len(features),
        "soft": sum(soft, zero) / max(len(soft), 1),
        "labels": sum(hard, zero),
    }


def standardise(maps: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) with mean 0 and about variance 1 in each channel."""
    variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0, keepdim=True)
    return (maps - mean) / (variance + _LEAST_VARIANCE).sqrt()


def same_places(ours, theirs, network, teacher) -> tuple[torch.Tensor, torch.Tensor]:
    """Two feature maps cut down to the positions that look at the same pixels: by their padding, EfficientNet-Lite's
    feature k looks where ResNet's k + 1 does. Raises ValueError for networks of different strides."""
    (stride, first), (other_stride, other_first) = backbone.lattice(network), backbone.lattice(teacher)
    if stride != other_stride:
        raise ValueError(f"the networks' features lie {stride} and {other_stride} pixels apart; name another teacher.")
    shift = round((other_first - first) / stride)
    ours, theirs = ours[:, :, max(shift, 0) :, max(shift, 0) :], theirs[:, :, max(-shift, 0) :, max(-shift, 0) :]
    high, wide = (min(sides) for sides in zip(ours.shape[2:], theirs.shape[2:], strict=True))
    if not high or not wide:
        raise ValueError("the patches are too small for teacher and student to look at one place; raise patch_size.")
    return ours[:, :, :high, :wide], theirs[:, :, :high, :wide]


def unexplained(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Mean of two shares of variance: of the single positions, and of a patch's mean over them."""
    error = ours - theirs
    single = error.square().sum() / theirs.square().sum()
    mean = error.mean((2, 3)).square().sum() / theirs.mean((2, 3)).square().sum()
    return (single + mean) / 2


def find_cases(folders: list[Path], split: Path, settings) -> tuple[list[finder.Case], list[tuple[int, int]], int]:
    """The cases to teach on, their label being an index into the groups (folder of pairs, label within it), these
    groups, and how many cases were left out.

    Left out are the cases of validation and test in split.csv, their patients and near-duplicates. From a folder that
    the split was made of, only its training cases are taken; in others a patient is known by the names of the Kermany
    set. Raises BadData.
    """
    table = parts.read(split)
    hidden = table[table.part != "train"]
    open_rows = table[~table.patient.isin(hidden.patient) & ~table.group.isin(hidden.group) & (table.part == "train")]
    known, allowed = (set(zip(rows.folder, rows.case, strict=True)) for rows in (table, open_rows))
    names, patients = set(hidden.case), set(hidden.patient)
    cases, groups, index, left_out = [], [], {}, 0
    for origin, folder in enumerate(folders):
        found = finder.find([folder], class_map(settings.classes, [])[1]).cases
        divided = any((case.folder, case.case) in known for case in found)
        for case in found:
            person = f"{known_set('kermany')}:{kermany_patient(case.case)}"
            strange = case.case not in names and person not in patients
            if not ((case.folder, case.case) in allowed if divided else strange):
                left_out += 1
                continue
            if (origin, case.label) not in index:
                index[origin, case.label] = len(groups)
                groups.append((origin, sum(other == origin for other, _ in groups)))
            cases.append(case._replace(label=index[origin, case.label]))
    if not cases:
        raise BadData(f"{', '.join(map(str, folders))} hold no case outside validation and test of {split}.")
    return cases, groups, left_out
