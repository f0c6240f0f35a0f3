"""Which cases a phantom holds, and one case drawn and written: nothing here depends on how many others there are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from data.thorax import anatomy, beam, chance, exposure, formats
from data.thorax.bones import clavicle_mask
from data.thorax.disease import draw_disease
from data.thorax.lateral import draw_lateral

DRAWN = 1024  # the largest side at which anatomy is drawn; larger radiographs are enlarged and then made noisy
NODULES, NORMALS = 154, 93  # as many as JSRT has
# The findings of each class, as the published table spells them
CLASSES = {
    "normal": ("Normal",),
    "bacteria": ("Streptococcus", "Klebsiella", "Legionella"),
    "Tuberculosis": ("Tuberculosis",),
    "virus": ("SARS",),
    "COVID-19": ("COVID-19",),
}
ORGANS = ("heart", "left lung", "right lung", "left clavicle", "right clavicle")


def plan_jsrt(count: int, size: int) -> list[SimpleNamespace]:
    """The JSRT-like cases: nodule cases JPCLN and normal ones JPCNN in JSRT's own proportion, 247 at most."""
    nodules = min(round(count * NODULES / (NODULES + NORMALS)), NODULES)
    names = [f"JPCLN{i:03d}" for i in range(1, nodules + 1)] + [f"JPCNN{i:03d}" for i in range(1, count - nodules + 1)]
    kind = "img" if size == 2048 else "png16"
    cases = []
    for name in names:
        masks = {organ: f"SCR/fold{2 - int(name[-3:]) % 2}/masks/{organ}/{name}.gif" for organ in ORGANS}
        lesion = f"lesions/JSRT/{name}.png" if name.startswith("JPCLN") else None
        case = SimpleNamespace(
            set="JSRT", name=name, patient=name, kind=kind, shape=(size, size), view="PA", hospital=exposure.FILM,
            severity=0.5, disease="nodule" if lesion else None, file=f"JSRT/{name}{formats.SUFFIX[kind]}", masks=masks,
            lesion=lesion,
        )  # fmt: skip
        cases.append(case)
    return cases


def plan_class(folder: str, count: int, size: int, seed: int, confounded: bool = False) -> list[SimpleNamespace]:
    """The first `count` images of one class folder: patients in turn, each with one to three images.

    Patient p of class k comes from hospital (p + k) modulo their number, so that every hospital sends every class;
    `confounded` ties hospital to class, k alone, as in the published cohort.
    """
    number = list(CLASSES).index(folder)
    cases, patient = [], 0
    while len(cases) < count:
        rng = chance.keyed_rng(seed, "plan", folder, patient)
        radiographs = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
        offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 9, 2))]).tolist()
        finding, worst = str(rng.choice(CLASSES[folder])), rng.uniform(0.15, 0.95)
        hospital = exposure.HOSPITALS[(number if confounded else number + patient) % len(exposure.HOSPITALS)]
        for radiograph in range(min(radiographs, count - len(cases))):
            name = f"{folder}-p{patient + 1:03d}-{radiograph + 1}"
            own = chance.keyed_rng(seed, "film", name)
            kind, view = exposure.choose(hospital.formats, own), exposure.choose(hospital.views, own)
            side = round(min(size, DRAWN) * hospital.scale)
            long = round(side * max(hospital.aspect, 1 / hospital.aspect))
            case = SimpleNamespace(
                set="cohort", name=name, folder=folder, number=1000 * (number + 1) + patient + 1, kind=kind, view=view,
                patient=f"{folder}-p{patient + 1:03d}", hospital=hospital, finding=finding,
                shape=(long, side) if hospital.aspect > 1 else (side, long), offset=offsets[radiograph],
                severity=float(np.clip(worst + own.normal(0, 0.12), 0, 1)),
                disease=None if folder == "normal" else folder, file=f"cohort/{folder}/{name}{formats.SUFFIX[kind]}",
                masks={"labels": f"masks/{folder}/{name}.png"},
                lesion=None if folder == "normal" else f"lesions/{folder}/{name}.png",
            )  # fmt: skip
            cases.append(case)
        patient += 1
    return cases


def plan_laterals(cases: list[SimpleNamespace], count: int) -> list[SimpleNamespace]:
    """Lateral radiographs of the first `count` patients of the cohort, taking the classes in turn."""
    first = {}
    for case in cases:
        first.setdefault(case.patient, case)
    turns = sorted(first.values(), key=lambda case: (case.number % 1000, case.number))
    laterals = []
    for case in turns[:count]:
        name = f"{case.patient}-lateral"
        own = {"set": "lateral", "name": name, "view": "L", "lesion": None, "masks": {}}
        own["file"] = f"lateral/{name}{formats.SUFFIX[case.kind]}"
        laterals.append(SimpleNamespace(**vars(case) | own))
    return laterals


def case_files(case: SimpleNamespace) -> list[str]:
    """Every file that a case writes, relative to the phantom's folder."""
    return [case.file, *case.masks.values(), *([case.lesion] if case.lesion else [])]


def describe(case: SimpleNamespace, seed: int) -> dict[str, Any]:
    """A case's row of metadata.xls, a dict by formats.COLUMNS."""
    person = chance.draw_patient(chance.keyed_rng(seed, "patient", case.patient))
    return {
        "source": case.hospital.name,
        "filename": case.file.rsplit("/", 1)[1],
        "patientid": case.number,
        "offset": case.offset,
        "sex": person.sex,
        "age": person.age,
        "finding": case.finding,
        "Class": case.folder,
        "view": case.view,
        "license": "CC0",
    }


def draw_frontal(case: SimpleNamespace, person: SimpleNamespace, seed: int) -> tuple:
    """A frontal case: detector signal (h, w), labels of that size, the body's curves, and the lesion's key."""
    pose = chance.draw_pose(chance.keyed_rng(seed, "pose", case.name), case.view)
    body = anatomy.shape_body(person, pose)
    small = max(case.shape) / DRAWN if max(case.shape) > 1.3 * DRAWN else 1
    drawn = tuple(round(side / small) for side in case.shape)
    place = anatomy.measure(body, *anatomy.locate(drawn, pose))
    labels = anatomy.label_organs(place)
    filled = np.zeros(drawn, np.float32)
    lesion = None
    if case.disease:
        key = chance.keyed_rng(seed, "disease", case.patient)
        filled, lesion = draw_disease(case.disease, body, place, labels, case.severity, key)
    attenuation = beam.attenuate(body, place, filled, lambda name: chance.keyed_rng(seed, name, case.patient))
    return beam.scatter(attenuation, case.hospital.scatter), labels, lesion, body, place


def write_case(case: SimpleNamespace, out: Path, seed: int) -> None:
    """Draw one case and write its radiograph, masks and lesion under `out`. Its bytes depend on (seed, case) alone."""
    person = chance.draw_patient(chance.keyed_rng(seed, "patient", case.patient))
    rng = chance.keyed_rng(seed, "exposure", case.name)
    labels = lesion = None
    if case.set == "lateral":
        signal, lungs = draw_lateral(person, case.shape, lambda name: chance.keyed_rng(seed, name, case.patient))
    else:
        signal, labels, lesion, body, place = draw_frontal(case, person, seed)
        lungs = labels > 1
    radiograph = exposure.expose(signal, lungs, case.shape, case.hospital, rng)
    if case.view == "AP Supine" and rng.random() < 0.6:
        exposure.draw_wires(radiograph, rng)
    exposure.add_marker(radiograph, case.hospital, case.view == "AP Supine", rng)
    exposure.collimate(radiograph, case.hospital, rng)
    if case.set == "JSRT":
        exposure.blank_labels(radiograph, rng)
    radiograph = np.clip(radiograph, 0, 1)
    facts = None
    if case.kind.startswith("dicom"):
        facts = describe(case, seed) | {"patient": case.number, "case": case.name, "seed": seed}
        spacing = anatomy.UNIT_MM * anatomy.pixel_size(case.shape)
        facts |= {"spacing": spacing, "hospital": case.hospital.name}
    for name in case_files(case):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
    formats.write_image(out / case.file, radiograph, case.kind, facts)
    if case.set == "JSRT":
        write_scr(case, out, body, place, labels)
    elif case.set == "cohort":
        formats.write_array(out / case.masks["labels"], labels)
    if case.lesion:
        formats.write_array(out / case.lesion, lesion * np.uint8(255))


def write_scr(
    case: SimpleNamespace, out: Path, body: SimpleNamespace, place: SimpleNamespace, labels: np.ndarray
) -> None:
    """The five SCR masks of a case, 1024 x 1024 whatever the radiograph's size, as SCR has them."""
    shape = (1024, 1024)
    if labels.shape != shape:
        place = anatomy.measure(body, *anatomy.locate(shape, body.pose))
        labels = anatomy.label_organs(place)
    organs = {"heart": labels == 1, "left lung": labels == 2, "right lung": labels == 3}
    for side in ("left", "right"):
        organs[f"{side} clavicle"] = clavicle_mask(body, place, shape, side)
    for organ, name in case.masks.items():
        formats.write_gif(out / name, organs[organ])
