"""What the report shows of a run, gathered from its files; what is missing is left out, with a note."""

import math
from datetime import datetime, timezone
from pathlib import Path

from classification.page import beside, findings, pictures
from classification.saliency import maps
from classification.voting import calibration, effect, predictions
from cxr import digest, tables, version
from cxr.figures import diagrams, vectors
from cxr.run import runreport

_KEYS = {"cases", "patients", "overall", "per_class", "confusion"}  # what metrics.json must hold
# Settings by which the maps explain the votes of the table; the weights count as well
_SAME = ("approach", "img_size", "patch_size", "repeat", "sampling", "seed")

UNCERTAIN = 0.5  # of the greatest entropy that votes can have, from which a case is counted as uncertain


def gather(folder: Path, settings, options) -> tuple[dict, dict, dict]:
    """What the template takes, where the pairs of the cases lie {(folder, case): Case}, and their maps.

    folder holds predictions.csv; options: pairs, maps and biomarkers as report.py takes them, or None. Raises
    ValueError with the remedy.
    """
    rows, names = findings.read_predictions(folder)
    made, metrics = (beside.read_json(folder / name) for name in ("report.json", "metrics.json"))
    noted = rows.digest if "digest" in rows else [""] * len(rows)
    keys = dict(zip(zip(rows.folder, rows.case, strict=True), noted, strict=True))
    told = runreport.inputs(folder / "report.json") or runreport.inputs(folder / "metrics.json")
    places, roots, changed = findings.find_pairs(keys, options.pairs, told, settings)
    masks, segmented = beside.qualities(places, roots, settings)
    markers, flags = {}, {}
    file = beside.find_biomarkers(options.biomarkers, roots, settings)
    if file:
        markers, flags = beside.read_biomarkers(file, places)
    cams = Path(options.maps or folder / "cams").absolute()
    has_maps = bool(options.maps) or (cams / maps.TABLE).is_file()
    maps_of, others = beside.read_maps(cams, keys) if has_maps else ({}, 0)
    mapped = beside.read_json(cams / "report.json") if has_maps else None

    most = math.log(len(names)) if names else 0
    cases = findings.cases(rows, names, flags | masks, markers)
    notes = [
        f"there {what}"
        for missing, what in (
            (not has_maps, "are no maps; make them with classification/visualize_cnn.py"),
            (not markers, "is no biomarkers.csv of these pairs; make it with classification/biomarkers.py"),
            (not masks and not flags, "is no masks.csv with these cases, so the quality of their masks is unknown"),
        )
        if missing
    ]
    notes += [
        f"{told}, and are not shown; make them again with classification/{script}"
        for count, told, script in (
            (changed, f"{len(changed)} of {len(keys)} cases have changed since they were predicted", "inference.py"),
            (others, f"the maps of {others} cases are of other pairs than the votes", "visualize_cnn.py"),
        )
        if count
    ]
    with tables.used(folder / "report.json"):
        run, drawn = title(made) or folder.name, drawings(folder, file if markers else None, made, notes)
    with tables.used(f"{cams / 'report.json'} or {folder / 'report.json'}"):
        notes += disagreements(made, mapped)
    audit = audited(folder, rows, notes)
    told = {"Classification": made, "Maps": mapped, "Segmentation": segmented}
    content = bare(run, folder) | {
        "voted": True,
        "names": names,
        "cases": cases,
        "most_entropy": most,
        "uncertain": sum((case["vote_entropy"] or 0) >= UNCERTAIN * most > 0 for case in cases),
        "patients": int(rows.patient.nunique()),
        "markers": beside.ranges(cases),
        "audit": audit,
        "parts": {title: part for title, part in told.items() if part},
        "settings": (made or {}).get("settings") or {},
        "drawings": drawn,
        "notes": notes,
    }
    with tables.used(folder / "metrics.json"):
        return content | measured(rows, names, metrics, notes), places, maps_of


def audited(folder: Path, rows, notes: list[str]) -> dict | None:
    """audit.json beside the predictions, if there is one with parts; adds to the notes."""
    audit = beside.read_json(folder / "audit" / "audit.json")
    if not audit or not {"cases", "patients", "parts"} <= audit.keys():
        return None
    if audit.get("digest", "") not in ("", digest.of_file(folder / predictions.TABLE)):
        notes.append("the audit is of other predictions and is left out; make it again with classification/audit.py")
        return None
    labelled = rows[(rows.label != "") & (rows.status == "ok")].drop_duplicates(["folder", "case"])
    if audit["cases"] != len(labelled):
        told = f"the audit is of {audit['cases']} cases and the table has {len(labelled)} with label and prediction"
        notes.append(f"{told}; make it again with classification/audit.py")
    return audit


def bare(run: str, source: Path) -> dict:
    """What the template takes besides cases, markers and parts, for a page without predictions of the folder source."""
    return {
        "voted": False,
        "run": run,
        "source": source,
        "project": version.text(),
        "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "gradient": pictures.gradient(),
        "fine": pictures.FINE,
        **dict.fromkeys(("metrics", "audit")),
        **dict.fromkeys(("most_entropy", "uncertain", "patients"), 0),
        **dict.fromkeys(("roc", "reliability", "abstention"), ""),
        **{"names": [], "notes": [], "drawings": [], "settings": {}},
    }


def drawings(folder: Path, biomarkers: Path | None, made: dict | None, notes: list[str]) -> list[dict]:
    """The figures that other scripts have drawn of this run, as far as they are there: title, what they tell, address;
    adds to the notes.

    folder holds predictions.csv, biomarkers is the file of biomarkers.py, made the predictions' report.json."""
    weights = (made or {}).get("weights") or {}
    trained, told = (None, []) if weights.get("members") else findings.training(weights)
    notes += told
    scores = folder / "scorecard"
    scored = (beside.read_json(scores / "report.json") or {}).get("weights") or weights
    if scored.get("sha256") != weights.get("sha256"):
        notes.append("the scores of the maps are of other weights: make them again with classification/scorecard.py")
        scores = folder / "none"
    files = (
        ("Training", "loss and validation scores over the epochs", (trained or folder / "none") / "curves.png"),
        ("Biomarkers by class", "a point is a patient", (biomarkers or folder).with_name("biomarkers.png")),
        ("Maps", "their scores against maps that ignore the class", scores / "scorecard.png"),
    )
    return [
        {"title": title, "told": told, "address": pictures.embed(file.name, file.read_bytes())}
        for title, told, file in files
        if file.is_file()
    ]


def title(made: dict | None) -> str:
    """The run and the network that predicted, by report.json: "tuned (resnet18)"; "" where it does not tell them."""
    weights = (made or {}).get("weights") or {}
    file = Path(weights.get("file") or "")
    network = ((made or {}).get("settings") or {}).get("net_label") or ""
    if weights.get("members"):
        return f"{file.name} ({len(weights['members'])} networks, {network})"
    run = file.parent.name if file.name in ("best.pt", "last.pt") else file.stem
    return f"{run} ({network})" if network and run not in ("", network) else str(run or network)


def measured(rows, names: list[str], metrics: dict | None, notes: list[str]) -> dict:
    """metrics.json, if it fits the rows, and the curves of the cases with a label; adds to the notes."""
    rows = rows[(rows.status == "ok") & rows.label.isin(names)]
    if metrics and not (metrics.get("classes") == names and _KEYS <= metrics.keys()):
        notes.append("metrics.json has other classes than predictions.csv and is left out")
        metrics = None
    if not len(rows):
        return {"metrics": metrics, "roc": "", "reliability": "", "abstention": ""}
    if not metrics:
        notes.append("there is no metrics.json of these cases; run classification/inference.py again to measure them")
    elif metrics["cases"] != len(rows):
        notes.append(
            f"the metrics are of the {metrics['cases']} cases of the last run, the curves and the table of "
            f"{len(rows)}, including those of earlier runs"
        )
    truth, _, p, patients = predictions.columns(rows, names)
    told = metrics or {}
    notes[:0] = findings.trained_on(told)  # first, since it speaks of every figure
    drawn = diagrams.roc(truth, p, names, told.get("per_class"))
    roc = vectors.svg(drawn, "ROC curves; the areas stand below") if len(set(truth)) > 1 else ""
    before = calibration.undo(p, told[calibration.KEY]) if calibration.KEY in told else None
    drawn = diagrams.reliability(truth, p, patients, told.get("overall"), before)
    label = "Share of right predictions against the probability of the most probable class"
    found = {"metrics": metrics, "roc": roc, "reliability": vectors.svg(drawn, label), "abstention": ""}
    if kept := told.get("abstention"):
        label = "Accuracy against the share of the cases kept, lowest entropy of the votes first"
        found["abstention"] = vectors.svg(diagrams.abstention(kept), label)
    return found


def disagreements(made: dict | None, mapped: dict | None) -> list[str]:
    """A sentence if the maps were made otherwise than the predictions, by the report.json of both."""
    if not made or not mapped:
        return []
    one, other = (
        {name: (held.get("settings") or {}).get(name) for name in _SAME}
        | {"weights": (held.get("weights") or {}).get("sha256")}
        for held in (made, mapped)
    )
    idle = effect.IDLE.get(one["approach"], ())
    differ = [name for name in one if one[name] != other[name] and name not in idle]
    told = (
        f"the maps were made with other {', '.join(differ)} than the predictions: they explain another run; make them "
        "again with classification/visualize_cnn.py --overwrite"
    )
    return [told] if differ else []
