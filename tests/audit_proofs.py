"""Whether the audit catches a shortcut that was planted, and only that: small cohorts drawn as the phantom.

    python -m tests.audit_proofs --seeds 10

Prints for every plant and part how many of the seeds were accused, and how often permuted labels held chance.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from classification import header
from classification.cases.finder import Case
from classification.model import classifier
from classification.trust import answers, controls, probe, sources, travel, views
from classification.trust.facts import COLUMNS
from classification.trust.subject import Subject
from cxr import pairs, preprocess
from cxr.settings import config
from data.thorax import cases, chance, exposure

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "phantom.safetensors"
NAMES = ["normal", "bacteria"]
SIZE, PATIENTS = 96, 24  # pixels a side; of each class, one radiograph each
# plant: who is marked, by class and number of the patient; and the hospital follows the mark
CLEAN, LETTER, TEXTURE = "clean", "letter", "texture"


def draw(seed: int) -> list:
    """A cohort without any mark: (class, case, radiograph (H, W) 0..1, labels (H, W)) of every patient."""
    drawn = []
    for label, name in enumerate(NAMES):
        first = {case.patient: case for case in reversed(cases.plan_class(name, 3 * PATIENTS, SIZE, seed))}
        for case in sorted(first.values(), key=lambda case: case.number)[:PATIENTS]:
            person = chance.draw_patient(chance.keyed_rng(seed, "patient", case.patient))
            signal, labels, *_ = cases.draw_frontal(case, person, seed)
            rng = chance.keyed_rng(seed, "exposure", case.name)
            drawn.append((label, case, exposure.expose(signal, labels > 1, case.shape, case.hospital, rng), labels))
    return drawn


def plant(drawn: list, kind: str, folder: Path, seed: int, network: bool) -> Subject:
    """The cohort of two hospitals, A and B, as pairs in a folder, ready for the audit.

    clean    every second patient of a class is of hospital B, with its letter in a corner and its texture in the lungs
    letter   the letter is the bacteria's, all of them and nobody else's
    texture  every bacteria, and every second normal patient, is of hospital B with its texture
    """
    rows, items = [], []
    for label, case, image, labels in drawn:
        second = case.number % 2 == 1
        marked = {CLEAN: second, LETTER: label == 1, TEXTURE: second or label == 1}[kind]
        image = image.copy()
        if marked and kind != LETTER:
            down, across = np.indices(image.shape)
            image += 0.1 * (labels > 1) * np.cos(np.pi * (down + across) / 2)
        pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
        if marked and kind != TEXTURE:
            cv2.putText(pixels, "B", (2, 14), cv2.FONT_HERSHEY_PLAIN, 1, 255, 2)
        pairs.save(folder, case.name, preprocess.preprocess(pixels, 0.5, None), labels > 1, labels)
        items.append(Case(case.name, NAMES[label], folder, label))
        rows.append(("AB"[second if kind == LETTER else marked], case.view, "", np.nan, *image.shape[::-1], np.nan, ""))
    words = ["device=cpu", f"img_size={SIZE}", "patch_size=32", "classes=['normal','bacteria']"]
    settings = config.load(header, words)[0]
    model = None
    if network:
        model, settings, *_ = classifier.open_classifier(WEIGHTS, config.load(header, words[:-1])[0])
    settings = config.replace(settings, dir_audit=str(folder), file_masks="")
    names = NAMES if model is None else ["COVID-19", "Tuberculosis", "bacteria", "normal", "virus"]
    label = np.array([names.index(item.folder) for item in items])
    patient = np.array([case.patient for _, case, *_ in drawn])
    facts = pd.DataFrame(rows, columns=COLUMNS)
    return Subject(settings, items, names, label, patient, facts, None, model, torch.device("cpu"), seed)


def held(x: np.ndarray, subject: Subject, count: int) -> int:
    """How many of some permutations of the labels a small model reads no better than chance from x (n, features)."""
    y, patient, seed = np.unique(subject.label, return_inverse=True)[1], subject.patient, subject.seed
    floor = probe.floor(x, y, patient, seed)
    deals = probe.permuted(y, patient, seed + 1000, count)
    return sum(not probe.read(x, some, patient, seed).beats(floor) for some in deals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    count = parser.parse_args().seeds
    accused, chance = Counter(), 0
    for seed in tqdm(range(count), "seeds"):
        drawn = draw(seed)
        for kind, parts in ((CLEAN, (controls, sources, travel)), (LETTER, (controls,)), (TEXTURE, (sources,))):
            with tempfile.TemporaryDirectory() as folder:
                for part in parts:  # the controls accuse by thumbnails, which need no network
                    subject = plant(drawn, kind, Path(folder), seed, network=part is not controls)
                    found = part.measure(subject)
                    accused[kind, found.key] += found.accused
                    print(seed, kind, found.key, found.accused, found.verdict, flush=True)
                if kind == TEXTURE:
                    chance += held(answers.of_cases(subject)[views.LUNGS].features, subject, 20)
    for (kind, part), hits in accused.items():
        print(f"{kind}: {part} accuses {hits} of {count}")
    print(f"permuted labels hold chance in {chance} of {20 * count}")


if __name__ == "__main__":
    main()
