"""Batches of radiographs read, segmented and written, several at once."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext

import torch
from tqdm import tqdm

from cxr import digest, pairs, writing
from cxr.figures import contours
from cxr.labels import LEFT
from cxr.reading import radiograph
from segmentation import masks, masks_csv, segment

AT_ONCE = 4  # batches at most, each of which takes some hundred megabytes


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
