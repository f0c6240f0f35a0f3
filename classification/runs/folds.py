"""The runs of a cross-validation, one for every fold and seed: where each lies, and whether it is finished."""

from pathlib import Path
from typing import NamedTuple

from classification import train
from classification.cases import finder
from classification.splitting import parts, training_cases
from classification.voting import effect, predictions
from cxr import digest, tables
from cxr.errors import BadData, BadRun
from cxr.run import journal, runfolder, runreport, trainings
from cxr.settings import config


class Run(NamedTuple):
    """One training of a cross-validation."""

    fold: int
    seed: int
    settings: config.Settings  # with the fold's dir_split, the seed, and test_name=NAME/fold<i>-<seed>

    @property
    def name(self) -> str:
        return f"fold{self.fold}-{self.seed}"

    @property
    def folder(self) -> Path:
        return Path(self.settings.dir_checkpoint) / self.settings.test_name

    @property
    def weights(self) -> Path:
        return self.folder / "best.pt"

    @property
    def output(self) -> Path:
        return Path(self.settings.dir_save) / self.settings.test_name

    @property
    def test(self) -> Path:
        return Path(self.settings.dir_split) / "test"

    def command(self, script: str, *more) -> list[str]:
        """The command line of a script for this run, with what was typed for the cross-validation."""
        own = ("dir_split", "seed", "test_name")
        words = [f"{name}={getattr(self.settings, name)}" for name in own]
        return trainings.command(script, self.settings, *words, *more, without=("seeds", "folds"))


def check(settings) -> None:
    """Raise BadData for settings that no cross-validation could follow."""
    if settings.folds < 0 or settings.folds == 1:
        raise BadData(f"folds must be at least 2, not {settings.folds}.")
    seeds = settings.seeds
    if not all(type(seed) is int and seed >= 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise BadData(f"seeds takes different whole numbers from 0 on, such as [407, 408, 409], not {seeds}.")
    if settings.restart:
        raise BadData("restart would train finished folds again and again; give another test_name instead.")
    if "file_weights" in settings._typed:
        raise BadData("a cross-validation predicts with what it trains; leave file_weights out.")
    if settings.seeds and "seed" in settings._typed:
        raise BadData("seed and seeds say the same twice; leave one of them out.")
    single = [Path(settings.dir_checkpoint) / settings.test_name / "last.pt"]
    table = Path(settings.dir_save) / settings.test_name / "predictions.csv"
    single += [table] if table.is_file() and "fold" not in tables.read(table) else []
    taken = next((file for file in single if file.is_file()), None)
    if taken:
        raise BadData(
            f"{taken} is of a single run: give the folds a name of their own, test_name={settings.test_name}-cv."
        )


def place(settings) -> Path:
    """The folder of the folds: dir_split where it was typed or holds folds, else a folder beside it. Raises BadData."""
    root = Path(settings.dir_split)
    if "dir_split" in settings._typed or holds(root):
        return root
    if not settings.folds:
        raise BadData(f"{root} holds no folds: say how many to make, such as folds=5.")
    return root.with_name(f"{root.name}-folds{settings.folds}")


def holds(root: Path) -> bool:
    """Whether a folder holds fold1, fold2 ..."""
    return root.is_dir() and bool(finder.roots(root)) and finder.roots(root) != [root]


def all_runs(root: Path, settings) -> list[Run]:
    """Every run of a cross-validation whose folds lie in root, seed by seed. Raises BadData for other folds."""
    if not holds(root):
        what = "one split and no folds" if parts.state(root) in ("made", "hand") else "no folds"
        raise BadData(f"{root} holds {what}; name another folder with dir_split, which folds=5 then fills with folds.")
    found = finder.roots(root)
    if settings.folds not in (0, len(found)):
        raise BadData(f"{root} holds {len(found)} folds, not {settings.folds}; name another folder with dir_split.")
    runs = []
    for seed in settings.seeds or [settings.seed]:
        for fold in found:
            name = f"{settings.test_name}/{fold.name}-{seed}"
            own = config.replace(settings, dir_split=str(fold), seed=seed, test_name=name)
            runs.append(Run(int(fold.name.removeprefix("fold")), seed, own))
    return runs


def finished(run: Run) -> bool:
    """Whether a run is trained, and its test part predicted with its weights and these settings, all on the pairs as
    they are. Raises BadRun where it was trained with other settings, or from other weights."""
    state = runfolder.open_state(run.folder, config.as_dict(run.settings), train.UNREAD)
    if state:
        runfolder.start_of(run.settings, state)
    if not state or not runfolder.finished(state, run.settings):
        return False
    if not training_cases.unchanged(state, training_cases.find(run.settings)):
        return False  # train.py says so
    told = report(run)
    used, wanted = told.get("settings") or {}, config.as_dict(run.settings)
    mine = effect.decisive(run.settings, [name for name in effect.DECISIVE if name in train.UNREAD])
    same = all(used.get(name, wanted[name]) == wanted[name] for name in mine)
    return told.get("counts") is not None and predicted_by_these(run, told) and same and predicted_of_these(run)


def report(run: Run) -> dict:
    """report.json of a run's predictions; nothing where it has none. Raises BadData."""
    told = predictions.beside(run.output, "report.json")
    with tables.used(run.output / "report.json"):
        return told | {name: {**told[name]} for name in ("weights", "settings") if told.get(name)}


def predicted_by_these(run: Run, told: dict) -> bool:
    """Whether a report.json tells of the weights that the run has now."""
    return run.weights.is_file() and (told.get("weights") or {}).get("sha256") == runreport.digest(run.weights)


def predicted_of_these(run: Run) -> bool:
    """Whether the rows of a run's predictions are of the pairs that its test part holds now, and of all of them."""
    rows = journal.known(run.output / predictions.TABLE, predictions.TEXT)
    found = finder.find([run.test])
    now = {(c.folder, c.case): (d,) for c, d in zip(found.cases, digest.of_pairs(found.cases), strict=True)}
    whole = {*now, *((half.folder, half.case) for half in found.halves)} <= {*zip(rows.folder, rows.case, strict=True)}
    return whole and not journal.outdated(rows, now)


def share(runs: list[Run], task: str) -> list[Run]:
    """Runs I, I + N, I + 2 N ... of a task "I/N", all of them for "". Raises BadRun."""
    if not task:
        return runs
    number, slash, count = task.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise BadRun(f"{task} is no share of the {len(runs)} runs: give --task I/N with I from 1 to N.")
    return runs[int(number) - 1 :: int(count)]
