"""README and docs: links lead somewhere, commands are ones that the scripts take, code runs, what is named exists."""

import argparse
import importlib
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, run

from classification import biomarkers
from classification import header as stage2
from classification.cases import dataset
from classification.measuring import measures
from classification.voting import predict, predictions
from cxr import pairs
from cxr.settings import config, headerfile
from cxr.stats import comparison, metrics
from segmentation import header as stage1
from segmentation import masks

FOLDERS = ("data", "weights", "output")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *(ROOT / folder / "README.md" for folder in FOLDERS)])
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
SETTINGS = {name for header in (stage1, stage2) for _, name, _, _ in headerfile.read(header)}
# What starts a command that is none of the project's
OTHERS = {"git", "cd", "pip", "python3", ".", "tensorboard", "#", "apt"}


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(text):
    """What a forge makes of the headings, to stand behind # in a link."""
    headings = re.findall(r"^#+ +(.+?)\s*$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-") for heading in headings}


def commands(text):
    """The command lines of a page as words: from its sh blocks, and from inline code that starts like one."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = [re.sub(r"\s+", " ", code) for code in re.findall(r"`((?:python|make|torchrun|srun)\s[^`]*)`", prose)]
    for line in lines + inline:
        for part in shlex.split(line, comments=True) and line.split("&&"):
            words = shlex.split(part.replace("<address of this repository>", "ADDRESS"), comments=True)
            if words:
                yield words


COMMANDS = {(page, shlex.join(words)) for page, text in TEXTS.items() for words in commands(text)}
# Those of the Makefile that hold no variable of make or the shell: the demo's
RECIPES = re.sub(r"\\\n\s*", " ", (ROOT / "Makefile").read_text())
COMMANDS |= {
    ("Makefile", line.strip()) for line in RECIPES.splitlines() if re.match(r"\t\.venv/bin/python [^$]*$", line)
}
COMMANDS = sorted(COMMANDS)


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(TEXTS[page])):
        if re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}, which does not exist"
        assert file.resolve().is_relative_to(ROOT.resolve()), f"{page} links to {target}, outside the repository"
        if anchor:
            known = anchors(file.read_text(encoding="utf-8"))
            assert anchor in known, f"{page} links to {target}; the headings there are {sorted(known)}"


def test_there_are_commands_and_links_to_check():
    assert len(COMMANDS) > 60
    assert sum(len(re.findall(r"\]\(", text)) for text in TEXTS.values()) > 80


class Parsed(Exception):
    """A script has taken its command line, and need not go on."""


@pytest.fixture
def parse(monkeypatch, capsys):
    """Let a script parse words, and do no more: the sentence that it refuses them with, or None."""
    load, parse_args = config.load, argparse.ArgumentParser.parse_args

    def stop(function):
        def parsing(*given, **named):
            function(*given, **named)
            raise Parsed

        return parsing

    monkeypatch.setattr(config, "load", stop(load))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop(parse_args))

    def start(script, words):
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(sys, "argv", [script, *words])
        try:
            importlib.import_module(script.removesuffix(".py").replace("/", ".")).main()
        except Parsed:
            return None
        except SystemExit as end:
            return capsys.readouterr().err if end.code else None
        return f"{script} parses nothing"

    return start


@pytest.mark.parametrize("page,command", COMMANDS)
def test_commands_are_taken(page, command, parse):
    words = shlex.split(command)
    while words and words[0] in ("torchrun", "srun"):  # what stands between these and the script is theirs
        start = next(i for i, word in enumerate(words) if word.endswith(".py"))
        words = ["python", *words[start:]]
    if words[0] == "make":
        check_make(words[1:], parse)
    elif words[0] in ("python", ".venv/bin/python"):
        check_python(words[1:], parse)
    else:
        assert words[0] in OTHERS, f"{page} shows {command}; is this a command?"


def check_make(words, parse):
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            assert f"$({name})" in makefile or f"$${name}" in makefile, f"the Makefile has no {name}"
        else:
            assert re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE), f"the Makefile has no {word}"
        if name == "BENCH":
            refused = parse("benchmarks/bench.py", shlex.split(value))
            assert refused is None, refused


def check_python(words, parse):
    if words[0] == "-m":
        module, *words = words[1:]
        if module == "pytest":
            assert all((ROOT / word).exists() for word in words if not word.startswith("-") and "/" in word)
            return
        words = [module.replace(".", "/") + ".py", *words]
    script, *words = words
    assert (ROOT / script).is_file(), f"there is no {script}"
    if words and set(words) != {"..."}:
        refused = parse(script, [word for word in words if word != "..."])
        assert refused is None, refused


@pytest.mark.parametrize("page", TEXTS)
def test_settings_named_in_the_text_exist(page):
    named = set(re.findall(r"`'?([a-z][a-z0-9_]*)=", re.sub(r"```.*?```", "", TEXTS[page], flags=re.DOTALL)))
    named -= {entry.partition("=")[0] for entry in stage2.classes}  # CLASS=FOLDER
    assert named <= SETTINGS, f"no header.py has {', '.join(sorted(named - SETTINGS))}"


def test_the_settings_of_the_readme_have_their_defaults():
    """The table of the ten most used."""
    defaults = [{name: value for _, name, value, _ in headerfile.read(header)} for header in (stage1, stage2)]
    rows = re.findall(r"^\| `(\w+)` \| (both|1|2) \| (.+?) \|", TEXTS["README.md"], re.MULTILINE)
    assert len(rows) == 10
    for name, stage, shown in rows:
        held = [defaults[i].get(name) for i in ((0, 1) if stage == "both" else (int(stage) - 1,))]
        assert name in SETTINGS and all(name in defaults[int(s) - 1] for s in ("12" if stage == "both" else stage))
        for text in re.findall(r"`([^`]+)`", shown):
            assert text in map(str, held), f"{name} is {held}, not {text}"
        for text in re.findall(r"\b\d+(?:e-?\d+)?\b", re.sub(r"`[^`]*`", "", shown)):
            assert float(text) in held, f"{name} is {held}, not {text}"


def test_the_readme_is_short_and_every_page_is_linked_from_it():
    assert len(TEXTS["README.md"].splitlines()) <= 300
    linked = set(re.findall(r"\]\(([^)#\s]+)", TEXTS["README.md"]))
    assert {page for page in TEXTS if page.startswith("docs/")} <= linked


@pytest.mark.parametrize("page", [page for page in TEXTS if page.startswith("docs/")])
def test_pages_begin_with_an_answer(page):
    title, first = TEXTS[page].split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.match(r"\*\*[^*]+\?[^*]*\*\* ", first), f"{page} begins with {first[:60]!r}"


def tree():
    """The files and folders of the tree in docs/code.md."""
    block = TEXTS["docs/code.md"].split("## The tree")[1].split("```")[1]
    places, found = {}, []
    for line in block.strip("\n").splitlines():
        names = re.split(r"\s{2,}", line.strip())[0]
        depth = (len(line) - len(line.lstrip())) // 2
        for name in names.split(", "):
            places[depth] = name
            if depth and (places[depth - 1].endswith("/")):
                name = "".join(places[level] for level in range(depth)) + name
            found.append(name)
    return found


def test_the_tree_is_that_of_the_repository():
    named = tree()
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing, f"docs/code.md names {', '.join(missing)}, which are not there"
    rooms = ("segmentation", "classification", "cxr", "data", "weights", "benchmarks")
    modules = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py" and "phantom" not in path.relative_to(ROOT).parts
    }
    assert not modules - set(named), f"docs/code.md does not name {', '.join(sorted(modules - set(named)))}"


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory):
    """A synthetic radiograph of 384 pixels."""
    out = tmp_path_factory.mktemp("phantom") / "set"
    done = run("data/make_phantom.py", "-o", out, "--tiny", "--jsrt", 0, "--per-class", 1, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return next((out / "cohort" / "normal").iterdir())


@pytest.mark.slow
def test_the_library_page_runs(radiograph, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", TEXTS["docs/library.md"], re.MULTILINE | re.DOTALL)
    shutil.copy(radiograph, tmp_path / "radiograph.png")
    monkeypatch.chdir(tmp_path)
    held = {}
    exec(blocks[0], held)
    assert held["mask"].any() and held["labels"].max() == 3
    assert held["p"].shape == (100, len(held["names"])) and abs(held["vote"]["p"].sum() - 1) < 1e-5
    assert held["calibrated"]
    assert held["cam"].shape == held["labels"].shape and held["cam"].max() > 0
    assert held["names"][held["vote"]["predicted"]] in capsys.readouterr().out

    pairs.save(tmp_path / "output" / "normal", "radiograph", held["item"].image, held["mask"], held["labels"])
    exec(blocks[1], held)
    assert (held["labels"] > 1).sum() == held["mask"].sum()
    assert len(blocks) == 2 and sum(bool(line) for line in blocks[0].splitlines()) < 45


def test_no_path_of_a_machine():
    for page, text in TEXTS.items():
        assert not re.search(r"(/home/|/root/|/work/|/tmp/|[A-Z]:\\)", text), page
    assert Path(os.path.commonpath(PAGES)) == ROOT


def test_every_column_is_in_the_data_dictionary():
    """Of the tables whose columns can be asked without a run."""
    labels = np.repeat(np.arange(4, dtype=np.uint8), 8).reshape(4, 8)
    tally = predict.tally(np.array([[0.7, 0.3]], np.float32))
    case = dataset.Case("a", "b", Path("b"), 0)
    scores = metrics.organs(labels, {"heart": labels == 1, "left": labels == 2, "right": labels == 3}, boundary=True)
    columns = {
        "masks.csv": masks.measures(labels, (1, 1)),
        "metrics.csv": scores,
        "predictions.csv": predictions.row(case, "p", ["<class>", "<class>"], tally | {"coverage": 1, "patches": 1}),
        "biomarkers.csv": [*biomarkers.ABOUT, *measures.COLUMNS],
        "comparisons.csv": comparison.COLUMNS,
    }
    words = {word for code in re.findall(r"`([^`\n]+)`", TEXTS["docs/outputs.md"]) for word in code.split()}
    named = [word for word in words if re.match(r"[a-z*]+", word)]  # no placeholder alone, which fits anything
    known = [re.compile(re.sub(r"\\\*|<\w+>", ".*", re.escape(word))) for word in named]
    for table, names in columns.items():
        unknown = [name for name in names if not any(pattern.fullmatch(name) for pattern in known)]
        assert not unknown, f"docs/outputs.md does not explain {', '.join(unknown)} of {table}"
