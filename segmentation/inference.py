"""Segment lungs and heart in any folder of radiographs.

    python segmentation/inference.py -i FOLDER -o output            files or folders, of any format
    python segmentation/inference.py                                the folders of dir_input in header.py
    torchrun --nproc-per-node 2 segmentation/inference.py -i FOLDER     several processes share the work

A radiograph FOLDER/CLASS/case.png becomes OUTPUT/CLASS/case.image.npy, .mask.npy, .labels.npy and .overlay.png, and
a row in OUTPUT/masks.csv. Files directly in FOLDER go to OUTPUT/FOLDER/. Finished cases are skipped.
"""

import argparse
import errno
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import torch
from tqdm import tqdm

from cxr import digest, pairs, writing
from cxr.figures import contours
from cxr.labels import LEFT
from cxr.reading import radiograph
from cxr.run import caselist, engine, lock, runreport
from cxr.settings import config
from segmentation import fast_forward, header, masks, masks_csv, segment
from segmentation import weights as weight_files

# What decides a mask, and what reads, computes and writes it
DECISIVE = (
    "gamma", "equalise", "crop_border", "resize_height", "resize_width", "decision", "mirror", "backend", "precision",
    "image_dtype",
)  # fmt: skip
PACKAGES = ("torch", "numpy", "opencv-python-headless", "pydicom", "python-gdcm", "lightning-fabric")
AT_ONCE = 4  # batches at most, each of which takes some hundred megabytes


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
    batches = [jobs[i : i + settings.num_batch_test] for i in range(0, len(jobs), settings.num_batch_test)]
    mine = [b for b in batches[fabric.global_rank :: fabric.world_size] if any(job.key not in done for job in b)]
    with masks_csv.journal(output, fabric.global_rank) as write:
        run(fabric, model, mine, done, settings, lambda row: write(row | {"made": made}))
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


def run(fabric, model, batches, done: set, settings, write) -> None:
    """Segment batches of jobs, several at once: while one is read or written, the network works on another.

    On a CPU several are in the network at once, each with its share of the cores: no core waits for another at the
    end of every layer. A GPU, OpenVINO and a compiled network take one at a time, with all that there is.
    """
    one_at_a_time = fabric.device.type != "cpu" or settings.backend != "torch" or settings.compile
    cores = torch.get_num_threads()
    workers = AT_ONCE if one_at_a_time else side_by_side(len(batches), cores)
    gate = threading.Lock() if one_at_a_time else nullcontext()
    writing = threading.Lock()

    def keep(row: dict) -> None:
        with writing:
            write(row)

    if not one_at_a_time:
        torch.set_num_threads(max(1, cores // workers))  # of each worker, since none has computed yet
    with ThreadPoolExecutor(workers, thread_name_prefix="segment") as pool:
        try:
            found = [pool.submit(segment_batch, fabric, model, batch, done, settings, gate, keep) for batch in batches]
            for future in tqdm(as_completed(found), "batches", len(found), disable=not fabric.is_global_zero):
                future.result()
        finally:  # what is interrupted does not work through the rest first
            pool.shutdown(cancel_futures=True)
            for thread in threading.enumerate():  # Ctrl-C while a thread starts keeps it from the pool's knowledge
                if thread.name.startswith("segment"):
                    thread.join()
            torch.set_num_threads(cores)


def side_by_side(batches: int, cores: int) -> int:
    """How many batches to work on at once: as leave the fewest cores idle, of these numbers the greatest."""
    most = max(1, min(AT_ONCE, max(2, cores), batches))
    return max(range(min(2, most), most + 1), key=lambda count: (count * max(1, cores // count), count))


def segment_batch(fabric, model, batch, done: set, settings, gate, keep) -> None:
    """Read, segment and write some radiographs, and keep the row of masks.csv of each that is not done, at once. The
    network works within the gate."""
    digests = [digest.of_file(job.file) for job in batch]  # before it is read: what changes meanwhile is made again
    items = [read(job, settings) for job in batch]
    good = [item for item in items if isinstance(item, segment.Prepared)]
    with gate, fabric.autocast():
        found = iter(segment.probabilities(model, good, settings, fabric.device) if good else ())
    for job, item, content in zip(batch, items, digests, strict=True):
        small = next(found) if isinstance(item, segment.Prepared) else None
        if job.key not in done:
            keep(finish(job, item, small, settings) | {"digest": content})


def read(job: masks_csv.Job, settings):
    """The radiograph of a job prepared, or, as cells of its row, why it cannot be."""
    try:
        return segment.prepare(job.file, settings)
    except radiograph.Unreadable as error:
        told = {"view": error.view} if isinstance(error, radiograph.NotFrontal) else {}
        return {"status": "failed", "reason": str(error), **told}


def finish(job: masks_csv.Job, item, small, settings) -> dict:
    """Write what belongs to one case and return its row of masks.csv. A case that fails leaves no older pair, which
    other scripts would take for its result."""
    row = {"case": job.case, "folder": job.folder, "file": str(job.file.absolute())}
    if not isinstance(item, dict) and not small.isfinite().all():
        why = "the network returns NaN or Inf; try precision=32-true"
        item = {"status": "failed", "reason": f"{job.file}: {why}."}
    try:
        if isinstance(item, dict):
            pairs.remove(job.place, job.case)
            for end in (masks_csv.OVERLAY, masks_csv.LABELS):
                (job.place / f"{job.case}{end}").unlink(missing_ok=True)
            return row | item
        return row | write_case(job, item, small, settings)
    except OSError as error:  # of one file: a full disk, or a folder that cannot be written, is every file's
        if error.errno != errno.ENAMETOOLONG:
            raise
        why = "the names of its outputs would be too long; shorten its name by 30 characters"
        return row | {"status": "failed", "reason": f"{job.file}: {why}."}


def write_case(job: masks_csv.Job, item: segment.Prepared, small, settings) -> dict:
    """Write the pair, the label map and the overlay of one case; what its row tells of them. Raises OSError."""
    _, labels, reasons, margin = segment.label_map(small, item)
    row = {"status": "flagged" if reasons else "ok", "reason": "; ".join(reasons)}
    row |= {"view": item.view, "height": item.image.shape[0], "width": item.image.shape[1]}
    row |= dict(zip(("spacing_row_mm", "spacing_column_mm"), item.spacing_mm or (None, None), strict=True))
    row |= {"margin": round(margin, 4)} | masks.measures(labels, item.spacing_mm)
    mask = (labels >= LEFT).astype("uint8")
    pairs.save(job.place, job.case, item.image, mask, labels, settings.image_dtype, allow_empty=True)
    if settings.masks_png:
        writing.picture(job.place / f"{job.case}{masks_csv.LABELS}", labels)
    if settings.overlays:
        writing.picture(job.place / f"{job.case}{masks_csv.OVERLAY}", contours.overlay(item.image, labels))
    return row


if __name__ == "__main__":
    main()
