"""Whether seconds, bytes and memory grow with the number of cases: both stages' inference on few and on many.

    python -m benchmarks.growth                     100, 1000 and 10000 cases
    python -m benchmarks.growth 20 40 -o FOLDER     so many, and where its files go

The cases are links to one small image under many names; networks are those that ship, small, since what would grow
is what stands around them: tables, lists, files left open. Each count is compared with the one before it by the cases
that are more: their seconds and bytes a case must not be above MORE times those of the step before, nor the greatest
memory above MORE times that of the smallest count. Seconds grow if those of the clock do and those of the processors
too: what else runs on a machine slows the one, and less the other. Writes growth.json; exit code 1 if something grows.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from benchmarks import inputs, sides
from cxr import pairs, version
from cxr.run import opening

RADIOGRAPH, NETWORK, PATCHES = 256, 32, 4
MORE = 1.2


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[100, 1000, 10000], help="numbers of cases, rising")
    parser.add_argument("-o", "--output", type=Path, default=inputs.ROOT / "output" / "benchmark", help="folder")
    version.add_flag(parser)
    options = parser.parse_args()
    counts, output = sorted(set(options.counts)), options.output.absolute() / "growth"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (file,) = inputs.radiographs(None, output, 1, RADIOGRAPH)
    pair = inputs.pair(file, output, RADIOGRAPH)
    classifier, *_ = inputs.classifier_weights(None, output)
    rows = []
    for count in counts:
        radiographs, cases, made = output / "radiographs", output / "cases", output / "made"
        for folder in (radiographs, cases):
            folder.mkdir()
        for i in range(count):
            os.link(file, radiographs / f"case{i:06}{file.suffix}")
            for end in (pairs.IMAGE, pairs.MASK):
                os.link(pair / f"{inputs.CASE}{end}", cases / f"case{i:06}{end}")
        sizes = [f"resize_height={NETWORK}", f"resize_width={NETWORK}", "num_batch_test=8"]
        first = ["segmentation/inference.py", "-i", radiographs, "-o", made, *sizes]
        sizes = [f"img_size={RADIOGRAPH}", "patch_size=64", f"repeat={PATCHES}"]
        second = ["classification/inference.py", "-i", cases, "-o", made, f"file_weights={classifier}", *sizes]
        for words in (first, second):
            before = os.times()
            seconds, peak = sides.process(words, output / "log")
            after = os.times()
            busy = after.children_user + after.children_system - before.children_user - before.children_system
            busy = busy or seconds  # where the system does not tell it
            written = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
            row = {"script": words[0], "cases": count, "seconds": seconds, "busy": busy}
            rows.append(row | {"bytes": written, "peak_bytes": peak})
            shutil.rmtree(made)
        for folder in (radiographs, cases):
            shutil.rmtree(folder)
        compare(rows)
        (output.parent / "growth.json").write_text(json.dumps(rows, indent=1) + "\n")  # a large count may take hours
        print(f"{count} cases: {rows[-2]['seconds']:.0f} and {rows[-1]['seconds']:.0f} s", flush=True)
    print(markdown(rows))
    found = growing(rows)
    print("\n".join(found) or "Nothing grows.")
    sys.exit(1 if found else 0)


def compare(rows: list[dict]) -> None:
    """Add to each row what every case took that it has more than the row before of the same script."""
    for row, before in zip(rows[2:], rows, strict=False):  # both scripts of a count follow each other
        more = row["cases"] - before["cases"]
        for name in ("seconds", "busy", "bytes"):
            row[f"{name}_more"] = (row[name] - before[name]) / more


def growing(rows: list[dict]) -> list[str]:
    """A sentence for everything that grows with the number of cases; rows as growth.json holds them."""
    found = []
    for script in dict.fromkeys(row["script"] for row in rows):
        own = [row for row in rows if row["script"] == script]
        for before, row in zip(own[1:], own[2:], strict=False):
            for name, names in (("seconds", ("seconds_more", "busy_more")), ("bytes", ("bytes_more",))):
                if all(row[each] > MORE * before[each] for each in names):
                    found.append(
                        f"{script}: {name} a further case grow from {before[names[0]]:.4g} to "
                        f"{row[names[0]]:.4g} at {row['cases']} cases."
                    )
        if own[-1]["peak_bytes"] > MORE * own[0]["peak_bytes"]:
            found.append(
                f"{script}: memory grows from {own[0]['peak_bytes'] / 1e9:.2f} GB to "
                f"{own[-1]['peak_bytes'] / 1e9:.2f} GB."
            )
    return found


def markdown(rows: list[dict]) -> str:
    """A row a run: its seconds, seconds by the clock, processor seconds and bytes of each case more than in the run
    before, and the process's greatest memory."""
    head = "| script | cases | seconds | seconds a further case | of processors | bytes a further case | peak memory |"
    lines = [head, "|---" * 7 + "|"]
    for row in sorted(rows, key=lambda row: row["script"], reverse=True):
        each = " | | "
        if "seconds_more" in row:
            each = f"{row['seconds_more']:.4f} | {row['busy_more']:.4f} | {row['bytes_more']:,.0f}"
        lines.append(
            f"| {row['script']} | {row['cases']} | {row['seconds']:.1f} | {each} | {row['peak_bytes'] / 1e9:.2f} GB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
