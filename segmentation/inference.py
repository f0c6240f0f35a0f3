"""Segment lungs and heart in any folder of radiographs.

    python segmentation/inference.py -i FOLDER -o output            files or folders, of any format
    python segmentation/inference.py                                the folders of dir_input in header.py
    torchrun --nproc-per-node 2 segmentation/inference.py -i FOLDER     several processes share the work

A radiograph FOLDER/CLASS/case.png becomes OUTPUT/CLASS/case.image.npy, .mask.npy, .labels.npy and .overlay.png, and
a row in OUTPUT/masks.csv. Files directly in FOLDER go to OUTPUT/FOLDER/. Finished cases are skipped.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from cxr.run import caselist, engine, lock, runreport
from cxr.settings import config
from segmentation import batches, fast_forward, header, masks_csv
from segmentation import weights as weight_files

# What decides a mask, and what reads, computes and writes it
DECISIVE = (
    "gamma", "equalise", "crop_border", "resize_height", "resize_width", "decision", "mirror", "backend", "precision",
    "image_dtype",
)  # fmt: skip
PACKAGES = ("torch", "numpy", "opencv-python-headless", "pydicom", "python-gdcm", "lightning-fabric")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="PATH", help="files or folders of radiographs")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="where the pairs go (default: dir_save)")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--overwrite", action="store_true", help="segment finished cases again")
    settings, options = config.load(header, parser=parser)
    start = time.perf_counter()
    fabric = engine.launch(options.device or settings.device, settings.precision)
    output = Path(options.output or settings.dir_save).absolute()
    with opening.asked():
        inputs = options.input or settings.dir_input
        jobs, passed_over = masks_csv.plan(inputs, output)
        weights, which = weight_files.find_weights(settings, weight_files.WIDE)
        model, settings, notes = weight_files.open_network(weights, settings)
        # not fabric.setup: processes with unequal work must not wait for each other
        model = fast_forward.prepare(model, settings, fabric.device)
        made = runreport.made_with(settings, weights, DECISIVE)
        forget = {job.key for job in jobs}
        if fabric.is_global_zero:
            lock.take(output / lock.NAME)
        if not options.overwrite:
            runreport.check(output / "report.json", settings, weights, DECISIVE)
            forget = masks_csv.outdated(output, jobs, made) if fabric.is_global_zero else set()
        notes += masks_csv.nested(inputs, jobs)
        notes += caselist.seen(weights, [(job.case, job.folder, job.file) for job in jobs])[1]
    fabric.print(f"{len(jobs)} radiographs, {len(passed_over)} other files skipped; weights: {weights} ({which})")
    for note in notes:
        fabric.print(f"Note: {note}.")

    fabric.barrier()
    if fabric.is_global_zero:
        # Forget them first: if an overwriting run is killed, old cases must not count as new.
        if forget and not options.overwrite:
            print(f"Note: {len(forget)} cases are segmented again: their radiographs or the weights have changed.")
        masks_csv.merge(output, forget)
        runreport.write(output / "report.json", settings, fabric, weights, PACKAGES)
    fabric.barrier()
    done = set() if options.overwrite else masks_csv.finished(output)
    # Batches come from the whole list, so that what is left of it changes no result.
    size = settings.num_batch_test
    parts = [jobs[i : i + size] for i in range(0, len(jobs), size)]
    mine = [part for part in parts[fabric.global_rank :: fabric.world_size] if any(job.key not in done for job in part)]
    with masks_csv.journal(output, fabric.global_rank) as write:
        batches.run(fabric, model, mine, done, settings, lambda row: write(row | {"made": made}))
    fabric.barrier()
    if not fabric.is_global_zero:
        return
    rows = masks_csv.merge(output)
    keys = {job.key for job in jobs}
    rows = rows[[key in keys for key in zip(rows.folder, rows.case, strict=True)]]
    counts = {status: int((rows.status == status).sum()) for status in ("ok", "flagged", "failed")}
    counts["passed_over"] = len(passed_over)
    seconds = time.perf_counter() - start
    runreport.write(output / "report.json", settings, fabric, weights, PACKAGES, counts, seconds)
    for reason in rows.reason[rows.status == "failed"]:
        print(f"failed: {reason}")
    print(
        f"{counts['ok']} ok, {counts['flagged']} flagged, {counts['failed']} failed "
        f"({len(done & keys)} were finished before)."
    )
    page = config.command("segmentation/report.py", settings, (), "-i", str(output))
    written = ", ".join(["pairs", *["overlays"] * settings.overlays, "masks.csv", "report.json"])
    print(f"Wrote {output}: {written}. Next: look at the flagged cases: {page}")
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
