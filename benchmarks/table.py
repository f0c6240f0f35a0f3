"""The benchmark's results as a table.

python -m benchmarks.table output/benchmark/bench.json                          print it
python -m benchmarks.table output/benchmark/bench.json docs/performance.md      put it between the marks there
"""

import argparse
from pathlib import Path

from cxr import tables, writing
from cxr.run import opening

HEAD = (
    "stage", "size of work", "plain", "project", "ratio (median, spread)", "wanted", "floor", "share of it",
    "peak memory", "results",
)  # fmt: skip
WAIT = 0.05  # share of its time that a training may wait for data
MARKS = "<!-- table -->", "<!-- end of table -->"


def rows(found: dict) -> list[tuple]:
    """A row of texts for every stage and setting."""
    lines = []
    for row in found["rows"]:
        low, middle, high = row["ratio"]
        wanted = f">= {row['wanted']:g}: {'met' if middle >= row['wanted'] else 'missed'}" if row["wanted"] else ""
        memory = " / ".join(f"{size / 1e9:.1f} GB" if size else "unknown" for size in row["peak_bytes"])
        verdict = {True: "agree", False: "DIFFER", None: "another estimator"}[row["agree"]]
        share = row["floor_s"] / row["project_s"]
        judged = ""
        if wish := row.get("wanted_share"):
            judged = f" (wanted {100 * wish:.0f} %: {'met' if share >= wish else 'missed'})"
        lines.append(
            (
                f"{row['stage']}, {row['setting']}",
                row["work"],
                told(row["plain_s"]),
                told(row["project_s"]),
                f"{middle:.2f} ({low:.2f} to {high:.2f})",
                wanted,
                told(row["floor_s"]),
                f"{100 * share:.0f} %{judged}",
                memory,
                f"{verdict}: {row['results']}",
            )
        )
    return lines


def told(seconds: float) -> str:
    """Seconds in words of about three figures."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def markdown(found: dict) -> str:
    """The table, with the machine and the measured rates above it."""
    rates = found["rates"]
    lines = [
        f"{found['machine']}, {rates['threads']} threads; {found['date']}; load {found['load'][0]:.1f} before the run "
        f"and {found['load'][1]:.1f} after it; {found['data']}.",
        f"Measured in the same run: convolution {rates['gflops']:.0f} GFLOP/s, memory {rates['gbytes']:.1f} GB/s. "
        f"{found['versions']}.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * len(HEAD),
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows(found)]
    if found["losses"]:
        lines += ["", "Loss of each training step:", ""]
        for side, losses in found["losses"].items():
            lines.append(f"- {side}: {', '.join(f'{loss:.4f}' for loss in losses)}")
    if found["waits"]:
        lines += ["", f"Share of a training's time that it waits for data (wanted below {100 * WAIT:g} %):", ""]
        for stage, share in found["waits"].items():
            lines.append(f"- {stage}: {100 * share:.1f} %, {'met' if share < WAIT else 'missed'}")
    return "\n".join(lines)


def put(text: str, page: Path) -> None:
    """Exchange what stands between the marks of a page. Raises ValueError if it has none."""
    start, marks, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not marks or not end:
        raise ValueError(f"{page} has no place for the table: write {MARKS[0]} and {MARKS[1]} on lines of their own.")
    writing.text(page, f"{start}{marks}\n{text}\n{end}{after}")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="bench.json")
    parser.add_argument("page", type=Path, nargs="?", help="where the table goes, between its marks")
    options = parser.parse_args()
    with opening.asked(), tables.used(options.file):
        text = markdown(tables.json(options.file))
    with opening.asked():
        put(text, options.page) if options.page else print(text)


if __name__ == "__main__":
    main()
