"""Predict the class of pairs by the vote of many patches of the lung.

    python classification/inference.py                              the test split
    python classification/inference.py -i output -o FOLDER          any folders of pairs, with or without class folders
    python classification/inference.py file_weights=FILE repeat=25  other weights, fewer patches
    python classification/inference.py file_weights=A.pt,B.pt       several networks vote together; or their folder
    torchrun --nproc-per-node 2 classification/inference.py         several processes share the work

Writes predictions.csv, one row per case, to dir_save/<test_name>/ or -o, and, if the folders give the classes,
metrics.json with intervals over patients, confusion.png, roc.png, reliability.png and abstention.png. Finished cases
are skipped.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import numpy as np

from classification import header
from classification.cases import stream
from classification.cases.finder import Case
from classification.model import ensemble
from classification.patches import patch
from classification.voting import batch, predict, predictions, refusal
from cxr import pairs, writing
from cxr.run import caselist
from cxr.settings import config

KIND = batch.Kind(predictions.TABLE, predictions.TEXT)
MEASURED = ("metrics.json", "confusion.png", "roc.png", "reliability.png", "abstention.png")


@opening.script
def main() -> None:
    parser = batch.parser(__doc__, "where the table goes (default: dir_save/test_name)", "predict finished cases again")
    settings, options = config.load(header, parser=parser)
    with opening.asked():
        run = batch.prepare(KIND, settings, options)
        patient_of, unknown = predictions.patients(run.cases, run.inputs, run.settings)
        flagged, told = predictions.flagged(run.cases, run.inputs, run.settings)
        other = caselist.unseen(run.weights)
        known = {key: run.seen.get(key, other) for key in patient_of}
        run.decide()
    fabric, settings, names, output = run.fabric, run.settings, run.names, run.output
    labelled = any(case.label is not None for case in run.cases)
    # not fabric.setup: processes with unequal work must not wait for each other
    predict.ready(run.model, fabric.device, settings.compile)
    run.begin([*told, *(unknown if labelled else [])])  # whose a case is matters to intervals only
    if fabric.is_global_zero:
        for name in MEASURED:  # they belong to the cases of one run
            (output / name).unlink(missing_ok=True)
    done = run.finished()
    with run.journal() as write:
        for case, result in results(run, run.mine(done)):
            key = case.folder, case.case
            write(predictions.row(case, patient_of[key], names, result, flagged.get(key, ""), known[key]))
    fabric.barrier()
    if not fabric.is_global_zero:
        return
    rows, counts = run.close(predictions.merge(run.table, patient_of, known), ("ok", refusal.REFUSED, "failed"))
    before = f"({len(done & run.keys)} were finished before)"
    print(f"{counts['ok']} ok, {refusal.told(counts)}{counts['failed']} failed {before}.")
    measured = rows[rows.label != ""]
    if (measured.status == "ok").any():
        measure(output, measured, names, [str(given) for given in run.inputs], run.calibrated)
    written = [name for name in MEASURED if (output / name).exists()]
    run.report(counts)
    print(
        f"Wrote {output}: {', '.join([predictions.TABLE, *written, 'report.json'])}. "
        f"Next: look at the cases with {'small p' if settings.approach == 'global' else 'the highest vote_entropy'}, "
        f"then {run.command('classification/visualize_cnn.py', 'cams')}"
    )
    sys.exit(1 if counts["failed"] else 0)


def results(run: batch.Batch, cases: list[Case]):
    """Each case with its tally, coverage and number of patches, why it is refused, or, as text, why it failed."""
    fabric, model, settings = run.fabric, run.model, run.settings
    for case, item in stream.read(cases, settings, fabric.is_global_zero):
        judged = run.refusal.look(case)
        if refusal.REFUSED in judged:
            yield case, judged
            continue
        if isinstance(item, pairs.BadPair):
            yield case, f"{case.folder}: {item}"
            continue
        with fabric.autocast():
            p, centres = predict.predict_image(model, *item, settings, case.case, fabric.device)
        judged |= run.refusal.compare(case)
        if not np.isfinite(p).all():
            yield case, f"{case.folder}: {case.case}: {predict.INVALID}"
            continue
        if refusal.REFUSED in judged:
            yield case, judged
            continue
        covered = patch.coverage(item[1], centres, settings.patch_size)
        voters = len(ensemble.members(model, settings))
        found = predict.tally(p, settings.vote, predict.drawn(settings), voters, run.calibrated)
        yield case, judged | found | {"coverage": covered, "patches": len(p)}


def measure(
    output: Path,
    rows,
    names: list[str],
    inputs: list[str],
    calibrated: dict | None = None,
    more: dict | None = None,
) -> None:
    """Write metrics.json, with `more` in it, and the figures of labelled rows, and print the metrics, again of the
    cases that the weights were not trained on where some were. Calibration and abstention are of the latter alone."""
    # Here, since these bring sklearn, scipy.stats and matplotlib, 1 to 2 s that only this function needs
    from classification.voting import calibration, reliability
    from cxr.figures import diagrams, plots
    from cxr.stats import scores

    good = rows[rows.status == "ok"]
    truth, _, p, patients = predictions.columns(good, names)
    found = scores.classification(**columns(good, names))
    found |= {"classes": names, "input": inputs}
    found |= {status: int((rows.status == status).sum()) for status in (refusal.REFUSED, "failed")}
    parts = good[caselist.NAME].to_numpy()
    counts = {part: int((parts == part).sum()) for part in ("train", "val")}
    unknown = caselist.UNKNOWN in parts  # of all, or beside others where one of several weights does not tell
    found[caselist.NAME] = None if unknown and not any(counts.values()) else counts
    rest, of_rest = good[~np.isin(parts, [*counts])], found
    if 0 < len(rest) < len(good):
        of_rest = scores.classification(**columns(rest, names))
        found |= {} if unknown else {caselist.REST: of_rest}
    rest = rest if len(rest) else good
    if calibrated:
        *told, whose = predictions.columns(rest, names)
        found[calibration.KEY] = reliability.calibrated(*told, names, whose, of_rest, calibrated)
    right = (rest.predicted == rest.label).to_numpy()
    kept = reliability.abstention(right, rest.vote_entropy.to_numpy(), rest.patient.to_numpy())
    found |= {"abstention": kept} | (more or {})
    writing.json(output / "metrics.json", found)
    plots.save(diagrams.confusion(np.array(found["confusion"]), names), output / "confusion.png")
    plots.save(diagrams.roc(truth, p, names, found["per_class"]), output / "roc.png")
    before = calibration.undo(p, calibrated) if calibrated else None
    plots.save(diagrams.reliability(truth, p, patients, found["overall"], before), output / "reliability.png")
    plots.save(diagrams.abstention(kept), output / "abstention.png")
    print("\n".join(scores.lines(found)))
    if calibrated:
        print(reliability.told(found[calibration.KEY]))
    if caselist.REST in found:
        print(f"{caselist.REST}:", *scores.lines(found[caselist.REST]), sep="\n")


def columns(rows, names: list[str]) -> dict:
    """What scores.classification() takes of rows; crossval.py writes which seed's training gave a row's answer."""
    truth, predicted, p, patients = predictions.columns(rows, names)
    found = {"truth": truth, "predicted": predicted, "p": p, "names": names, "patients": patients}
    return found | ({"networks": rows.seed.to_numpy()} if "seed" in rows else {})


if __name__ == "__main__":
    main()
