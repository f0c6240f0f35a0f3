"""Whether seconds, bytes and memory grow with the number of cases: both stages' inference on few and on many.

    python -m benchmarks.growth                     100 and 1000 cases
    python -m benchmarks.growth 100 1000 10000

The cases are links to one small film under many names; networks are as they ship, at small sizes, since what would grow
is what stands around them: tables, lists, files left open. Writes growth.json.
"""

import json
import os
import shutil
import sys

from benchmarks import inputs, sides
from cxr import pairs

FILM, NETWORK, PATCHES = 256, 32, 4


def main() -> None:
    output = inputs.ROOT / "output" / "benchmark" / "growth"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    counts = [int(word) for word in sys.argv[1:]] or [100, 1000]
    (film,) = inputs.films(None, output, 1, FILM)
    pair = inputs.pair(film, output, FILM)
    classifier, *_ = inputs.classifier_weights(None, output)
    rows = []
    for count in counts:
        films, cases, made = output / "films", output / "cases", output / "made"
        for folder in (films, cases):
            folder.mkdir()
        for i in range(count):
            os.link(film, films / f"case{i:06}{film.suffix}")
            for end in (pairs.IMAGE, pairs.MASK):
                os.link(pair / f"{inputs.CASE}{end}", cases / f"case{i:06}{end}")
        first = ["segmentation/inference.py", "-i", films, "-o", made, f"resize_height={NETWORK}",
                 f"resize_width={NETWORK}", "num_batch_test=8"]
        second = ["classification/inference.py", "-i", cases, "-o", made, f"file_weights={classifier}",
                  f"img_size={FILM}", "patch_size=64", f"repeat={PATCHES}"]
        for words in (first, second):
            seconds, peak = sides.process(words, output / "log")
            written = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
            rows.append({"script": words[0], "cases": count, "seconds": seconds, "bytes": written, "peak_bytes": peak})
            shutil.rmtree(made)
        for folder in (films, cases):
            shutil.rmtree(folder)
    (output.parent / "growth.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))


def markdown(rows: list[dict]) -> str:
    """A row a run: seconds and bytes a case, the start among them, and the process's greatest memory."""
    lines = ["| script | cases | seconds a case | bytes a case | peak memory |", "|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["script"], reverse=True):
        each = row["seconds"] / row["cases"], row["bytes"] / row["cases"]
        lines.append(f"| {row['script']} | {row['cases']} | {each[0]:.4f} | {each[1]:,.0f} | "
                     f"{row['peak_bytes'] / 1e9:.2f} GB |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
