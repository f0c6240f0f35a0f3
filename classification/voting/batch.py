"""What inference.py, visualize_cnn.py and scorecard.py share: how they open, close and report."""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from lightning_fabric import Fabric
from torch import nn

from classification.cases import finder
from classification.cases.classes import class_map
from classification.cases.finder import Case
from classification.model import ensemble
from classification.model.weightfile import find_weights
from classification.voting import calibration, effect, predict
from classification.voting.refusal import Refusal
from cxr import digest, pairs
from cxr.run import caselist, engine, journal, lock, runreport
from cxr.settings import config

# Which weights and cases a run takes
NAMED = ("file_weights", "dir_checkpoint", "test_name", "dir_split", "dir_save", "file_metadata", "device")
PACKAGES = ("torch", "torchvision", "numpy", "lightning-fabric")


class Kind(NamedTuple):
    """What a script writes."""

    table: str  # its file
    text: Sequence[str]  # its columns of text
    folder: str = ""  # below dir_save/test_name
    decisive: Sequence[str] = effect.DECISIVE  # settings and options that decide a row
    always: Sequence[str] = ()  # of these, what does so whatever the approach
    packages: Sequence[str] = PACKAGES  # what computes it


def parser(doc: str, output: str, overwrite: str) -> argparse.ArgumentParser:
    """The flags that the scripts share; output and overwrite: what --help says of -o and --overwrite."""
    found = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    found.add_argument("-o", "--output", metavar="FOLDER", help=output)
    found.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    found.add_argument("--overwrite", action="store_true", help=overwrite)
    return found


@dataclass
class Batch:
    """A run of one of the scripts: a network and the cases that it is to answer for."""

    kind: Kind
    fabric: Fabric
    settings: config.Settings  # those to use the network with
    inputs: list  # folders as given
    output: Path
    overwrite: bool
    weights: Path | list[Path]  # several of an ensemble
    which: str  # a few words on which weights these are
    model: nn.Module  # on the CPU, in evaluation mode
    names: list[str]  # of the classes
    cases: list[Case]
    notes: list[str]
    seen: dict[tuple[str, str], str]  # the cases that the weights were trained on, by folder and name: train or val
    calibrated: dict | None  # the weights' calibration, where it is to be applied
    refusal: Refusal
    made: str = ""  # what weights and settings made them
    changed: bool = False  # whether the output holds rows that were made otherwise
    given: bool = False  # whether -i named the inputs
    root: Path | None = None  # where -o puts what is in dir_save/test_name else; None without -o
    earlier: Sequence[str] = ()  # the inputs of runs before, whose rows the output keeps
    start: float = 0.0  # time.perf_counter() at its start
    beside: Callable[[Case], Path | None] | None = None  # the file that a row is made from as well as its pair

    @property
    def table(self) -> Path:
        return self.output / self.kind.table

    @property
    def told(self) -> str:
        """Which weights these are, for a person."""
        files = [self.weights] if isinstance(self.weights, Path) else self.weights
        return f"{finder.some(files)} ({f'{len(files)} networks, ' if len(files) > 1 else ''}{self.which})"

    @property
    def places(self) -> list[str]:
        return [os.path.abspath(given) for given in self.inputs]

    @property
    def keys(self) -> set[tuple[str, str]]:
        return {(case.folder, case.case) for case in self.cases}

    def decide(self, **options) -> None:
        """Take options of the script among the settings, and see whether the output was made with the same. Raises
        ValueError if not, unless it is to be overwritten."""
        self.settings = config.replace(self.settings, **options)
        names = effect.decisive(self.settings, self.kind.decisive, self.kind.always)
        self.made = runreport.made_with(self.settings, self.weights, names)
        if self.fabric.is_global_zero:
            lock.take(self.output / lock.NAME)
        try:
            runreport.check(self.output / "report.json", self.settings, self.weights, names)
        except ValueError:
            if not self.overwrite:
                raise
            self.changed = True

    def begin(self, notes: Sequence[str] = ()) -> None:
        """Print what is to be done, and make the output ready for it; every process calls this."""
        say = self.fabric.print
        say(f"{len(self.cases)} cases; classes: {', '.join(self.names)}; weights: {self.told}")
        for note in [*self.notes, *notes]:
            say(f"Note: {note}.")
        self.fabric.barrier()
        if self.fabric.is_global_zero:
            if self.changed:  # rows made otherwise must not stand beside new ones
                journal.clear(self.table)
            else:
                self.earlier = runreport.inputs(self.output / "report.json")
            # Forgotten first: a run that overwrites and is killed must not leave old cases that count as new.
            journal.merge(self.table, self.kind.text, self.keys if self.overwrite else self._outdated())
            self._report()
        self.fabric.barrier()

    def _outdated(self) -> set[tuple[str, str]]:
        """The cases whose pair is another than the one that their row tells of; they are done again."""
        rows = journal.known(self.table, self.kind.text)
        noted = set(zip(rows.folder, rows.case, strict=True))
        cases = [case for case in self.cases if (case.folder, case.case) in noted]
        contents = map(self._content, cases, digest.of_pairs(cases))
        now = {(c.folder, c.case): (content, self.made) for c, content in zip(cases, contents, strict=True)}
        found = journal.outdated(rows, now)
        if found:
            print(f"Note: {len(found)} cases are done again: what they were made from has changed since.")
        return found

    def _written(self, case: Case) -> float:
        """When the files of a case were last written, seconds since 1970."""
        file = self.beside and self.beside(case)
        return max(pairs.changed(case.place, case.case), file.stat().st_mtime if file else 0.0)

    def _content(self, case: Case, pair: str) -> str:
        """What a row notes of its input: the digest of its pair, and of the file beside it where there is one."""
        more = digest.of_file(file) if pair and (file := self.beside and self.beside(case)) else ""
        return digest.of_text(pair + more) if more else pair

    @contextmanager
    def journal(self) -> Iterator[Callable[[dict], None]]:
        """A context with the function that adds a row to this process's journal, and what the row was made from."""
        known = {(case.folder, case.case): case for case in self.cases}
        began = time.time()
        with journal.writer(self.table, self.fabric.global_rank) as write:

            def add(row: dict) -> None:
                case = known[row["folder"], row["case"]]
                content = digest.of_pair(case.place, case.case) if self._written(case) < began else ""
                content = self._content(case, content)
                write(row | {"digest": content, "made": self.made})

            yield add

    def finished(self) -> set[tuple[str, str]]:
        """The cases, by folder and name, that have a row without failure."""
        return journal.finished(self.table, self.kind.text)

    def mine(self, done: set[tuple[str, str]]) -> list[Case]:
        """The cases of this process that are not done."""
        share = self.cases[self.fabric.global_rank :: self.fabric.world_size]
        return [case for case in share if (case.folder, case.case) not in done]

    def close(self, rows: pd.DataFrame, statuses: Sequence[str]) -> tuple[pd.DataFrame, dict[str, int]]:
        """Print what was refused or failed; the rows of this run's cases, of all in the table, and how many have each
        status."""
        keys = self.keys  # which makes them anew whenever it is asked
        rows = rows[[key in keys for key in zip(rows.folder, rows.case, strict=True)]]
        for status in ("refused", "failed"):
            for reason in rows.reason[rows.status == status]:
                print(f"{status}: {reason}")
        return rows, {status: int((rows.status == status).sum()) for status in statuses}

    def report(self, counts: dict[str, int]) -> None:
        """Write report.json of a run that is through."""
        self._report(counts, time.perf_counter() - self.start)

    def command(self, script: str, folder: str = "") -> str:
        """The command that runs another script on these cases with these weights and settings, and writes to `folder`
        of this run's output where that was typed."""
        names = dict.fromkeys((*NAMED, *self.kind.decisive))
        words = ["-i", *self.places] if self.given else []
        words += ["-o", str(self.root / folder)] if self.root else []
        method = getattr(self.settings, "method", "gradcam")
        words += ["--method", method] if method != "gradcam" else []
        return config.command(script, self.settings, [name for name in names if hasattr(self.settings, name)], *words)

    def _report(self, *result) -> None:
        file = self.output / "report.json"
        about = file, self.settings, self.fabric, self.weights, self.kind.packages
        runreport.write(*about, *result, inputs=list(dict.fromkeys([*self.earlier, *self.places])))


def prepare(kind: Kind, settings: config.Settings, options: argparse.Namespace) -> Batch:
    """The network and the cases that the settings and a script's options name.

    Raises ValueError for weights, settings or folders that no answer could follow from.
    """
    start = time.perf_counter()
    fabric = engine.launch(options.device or settings.device, settings.precision)
    output = Path(options.output or Path(settings.dir_save) / settings.test_name / kind.folder).absolute()
    inputs = options.input or [finder.test_part(settings)]
    weights, which = find_weights(settings)
    model, settings, names, notes = ensemble.open_weights(weights, settings)
    predict.check(settings, model)
    found = finder.find(inputs, class_map(settings.classes, [])[1])
    cases = finder.in_order([*found.cases, *found.halves])  # a half pair becomes a row with its reason
    strange = {case.folder for case in cases if case.label is None}
    if strange:
        notes.append(f"these weights know no folder {finder.some(strange)}: its cases have no label")
    notes += effect.idle(settings, kind.decisive, kind.always) + found.notes
    seen, told = caselist.seen(weights, map(finder.about, cases))
    calibrated, uncalibrated = calibration.kept(weights, settings)
    refusal = Refusal(model, weights, settings)
    notes += [*told, *uncalibrated, *refusal.notes]
    known = weights, which, model, names, cases, notes, seen, calibrated, refusal
    root = (output.parent if kind.folder else output) if options.output else None
    about = {"given": bool(options.input), "root": root, "start": start}
    return Batch(kind, fabric, settings, inputs, output, options.overwrite, *known, **about)
