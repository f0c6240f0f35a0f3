"""How often the audit accuses phantoms: clean ones, whose hospitals send every class alike, and confounded ones.

    python -m tests.audit_phantoms --seeds 10 --keep FOLDER

Draws a phantom for each seed, in half a minute, asks the probes that see no lung, and ends with 1 if more than one
clean phantom in ten is accused, or a confounded one is not. Phantoms that are in FOLDER are used again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from classification import header
from classification.cases.finder import Case
from classification.trust import probes
from classification.trust.subject import Subject
from cxr import cohort
from cxr.settings import config

MAKE = "data/make_phantom.py", "--tiny", "--jsrt", "0", "--per-class", "32"


def examined(files, label, names, seed=0, **about) -> Subject:
    """A subject without pairs and network: radiographs in files, each of a class; about: patient, source, view ..."""
    settings, _ = config.load(header, [])
    cases = [Case(Path(file).stem, names[c], Path("nowhere"), c) for file, c in zip(files, label, strict=True)]
    facts = pd.DataFrame({"source": "", "view": "", "sex": "", "age": np.nan, "file": list(map(str, files))} | about)
    patient = np.array(about.get("patient", [case.case for case in cases]), object)
    return Subject(settings, cases, names, np.array(label), patient, facts, None, None, torch.device("cpu"), seed)


def phantom(folder: Path) -> Subject:
    """A phantom of data/make_phantom.py as a subject."""
    table = cohort.read(folder / "metadata.xls")
    names = sorted(set(table["class"]))
    files = [folder / "cohort" / kind / file for kind, file in zip(table["class"], table.file, strict=True)]
    about = {name: table[name].to_numpy() for name in ("patient", "source", "view", "sex")}
    label = [names.index(kind) for kind in table["class"]]
    return examined(files, label, names, age=table.age.astype(float).to_numpy(), **about)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--keep", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    wrong = {"clean": 0, "confounded": 0}
    for kind in wrong:
        for seed in range(options.seeds if kind == "clean" else 1):
            folder = options.keep / f"{kind}-{seed}"
            words = ["-o", folder, "--seed", seed, *(["--confounded"] if kind == "confounded" else [])]
            if not folder.exists():
                subprocess.run([sys.executable, *map(str, (*MAKE, *words))], check=True, stdout=subprocess.DEVNULL)
            part = probes.measure(phantom(folder))
            print(f"{kind} {seed}: accused {part.accused}. {part.verdict}", flush=True)
            wrong[kind] += part.accused is not (kind == "confounded")
    print(wrong)
    sys.exit(wrong["clean"] > options.seeds / 10 or wrong["confounded"] > 0)


if __name__ == "__main__":
    main()
