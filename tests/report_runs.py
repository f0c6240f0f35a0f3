"""Folders as inference.py, visualize_cnn.py, biomarkers.py and segmentation/inference.py leave them, without a
network: drawn radiographs and made-up votes, written by the functions of these scripts where they have some."""

import hashlib
import json

import numpy as np
import pandas as pd
from conftest import draw_pair

from classification import header
from classification.cases.finder import Case
from classification.measuring import measures
from classification.saliency import maps
from classification.voting import predict, predictions
from cxr import digest, pairs
from cxr.settings import config
from cxr.stats import scores

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = ["normal", "bacterial", "viral <b>&"]
FOLDERS = {"normal": 0, "bacteria": 1, "virus": 2, "clinic": None}
SHA = hashlib.sha256(b"weights").hexdigest()
CALIBRATION = {"temperature": 0.8, "level": 0.9, "thresholds": dict.fromkeys(CLASSES, 0.7)}
FAILED = "bacteria: cut: the image cannot be read; write the pair again."


def write_run(root, each=6, target="all", classes=CLASSES):
    """A run with `each` cases of normal, bacteria and virus, two of no class, one hostile and one failed; returns the
    rows of predictions.csv. root/pairs holds the pairs, masks.csv and biomarkers, root/run the predictions and cams."""
    rng = np.random.default_rng(7)
    settings, _ = config.load(header, ["img_size=96", "patch_size=48", "repeat=20", "test_name=drawn"])
    tables = {"predictions": [], "masks": [], "biomarkers": [], "cams": []}
    for folder, label in FOLDERS.items():
        cases = [f"{folder}-{i}" for i in range(2 if label is None else each)]
        for i, name in enumerate(cases + ([HOSTILE, "cut"] if folder == "bacteria" else [])):
            case = Case(name, folder, root / "pairs" / folder, label)
            patient = HOSTILE if name == HOSTILE else f"{folder} somebody {i // 2}"
            if name == "cut":
                tables["predictions"].append(predictions.row(case, patient, classes, FAILED))
                continue
            draw_pair(case.place, name, folder, 10 * i + 1)
            seen = ((label or 0) + (i == 4)) % 3  # the fifth of each class is taken for another
            p = rng.dirichlet(np.full(3, 0.4) + rng.uniform(0.3, 8) * (np.arange(3) == seen), 20)
            tally = predict.tally(p, calibrated=CALIBRATION) | {"coverage": 0.9 + 0.01 * i, "patches": 20}
            tables["predictions"].append(predictions.row(case, patient, classes, tally))
            add_rows(tables, case, tally, i, target, root, settings, classes)
    write_tables(root, tables, settings, classes)
    return pd.DataFrame(tables["predictions"])


def add_rows(tables, case, tally, i, target, root, settings, classes):
    """The case's row in masks.csv, biomarkers.csv and cams.csv, and its maps."""
    image, mask = pairs.load(case.place, case.case)
    status, reason = ("flagged", f"left lung missing {HOSTILE}") if i == 1 else ("ok", "")
    about = {"case": case.case, "folder": case.folder, "status": status, "reason": reason}
    tables["masks"].append(
        about | {"view": "PA" if i else "", "file": "radiograph.png", "spacing_row_mm": 0.5, "spacing_column_mm": 0.5}
    )
    labels = pairs.load_labels(case.place, case.case)
    found = measures.measure(image, mask, labels, settings, np.random.default_rng(i))
    found |= measures.square_millimetres(found, (0.5, 0.5) if i else None)
    tables["biomarkers"].append(about | {"label": "", "patient": "", "source": ""} | found)
    tables["biomarkers"][-1]["digest"] = digest.of_pair(case.place, case.case)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    spot = np.exp(-((rows - 40) ** 2 + (columns - 90) ** 2) / 200)
    won = tally["predicted"]
    chosen = {"predicted": [won], "all": range(3)}.get(target, [0])
    place = root / "run" / "cams" / case.folder
    place.mkdir(parents=True, exist_ok=True)
    for c, name in zip(chosen, maps.files(case, [classes[c] for c in chosen], target), strict=True):
        maps.save(place / name, spot * tally["p"][c] * (i != 2))  # the third case's maps are zero
    row = {"case": case.case, "folder": case.folder, "status": "ok", "reason": "", "predicted": classes[won]}
    tables["cams"].append(row | {"target": target} | {f"p_{n}": p for n, p in zip(classes, tally["p"], strict=True)})


def write_tables(root, tables, settings, classes):
    """The tables as .csv, metrics.json of the labelled cases, and a report.json beside predictions, cams and masks."""
    places = {
        "predictions": root / "run",
        "cams": root / "run" / "cams",
        "masks": root / "pairs",
        "biomarkers": root / "pairs" / "biomarkers",
    }
    (places["biomarkers"]).mkdir()
    for name, rows in tables.items():
        pd.DataFrame(rows).convert_dtypes().to_csv(places[name] / f"{name}.csv", index=False)
    rows = pd.DataFrame(tables["predictions"])
    rows = rows[(rows.status == "ok") & (rows.label != "")]
    metrics = scores.classification(*predictions.columns(rows, classes)[:3], classes, rows.patient, resamples=50)
    metrics |= {"classes": classes, "input": [str(root / "pairs")], "failed": 1}
    (root / "run" / "metrics.json").write_text(json.dumps(metrics))
    told = {
        "command": "classification/inference.py",
        "date": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
        "counts": {"ok": len(rows), "failed": 1},
        "device": "cpu",
        "processes": 1,
        "weights": {"file": "weights/mine.pt", "sha256": SHA},
        "versions": {"python": "3.12", "torch": "2.13"},
        "settings": config.as_dict(settings),
    }
    for place in (places["predictions"], places["cams"]):
        (place / "report.json").write_text(json.dumps(told))
    told = told | {"weights": {"file": "weights/lungs.pt", "sha256": SHA[::-1]}}
    (places["masks"] / "report.json").write_text(json.dumps(told))
