"""The stages' own header.py files, and that no file beside them hides an installed module."""

import importlib.util
import json
import runpy
import shutil
import sys

import pytest

from cxr.settings import config, headerfile

STAGES = sorted(path.parent.name for path in config.ROOT.glob("*/header.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_headers_of_the_stages(stage):
    module = importlib.import_module(stage).header
    saved = config.as_dict(config.load(module, [])[0])
    assert json.loads(json.dumps(saved)) == saved
    settings = headerfile.read(module)
    assert all(heading and comment for heading, _, _, comment in settings)
    rows = {name: default for _, name, default, _ in settings}
    run = runpy.run_path(module.__file__)
    assert rows == {name: value for name, value in run.items() if not name.startswith("_")}
    assert module.seed == rows["seed"] and not hasattr(module, "sead")


MISTAKES = {
    'seed = "1  # seed': "is not Python (unterminated string literal",
    'dir_save = "C:\\Users"': "is not Python ((unicode error)",
    "seed = 1\0": "is not Python (",
    "milestones = [1": "is not Python ('[' was never closed)",
    "seed = one": "is not NAME = literal",
    "seed = 1  # Zufälle": "is not in UTF-8",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_in_a_header_is_one_sentence(line, stage, tmp_path, monkeypatch, capsys):
    name = f"copy_of_{stage}"
    (tmp_path / name).mkdir()
    shutil.copy(config.ROOT / stage / "__init__.py", tmp_path / name)
    (tmp_path / name / "header.py").write_text(f"# Network\nseed = 4  # seed\n{line}\n", encoding="latin-1")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as end:
        config.load(__import__(name, fromlist=["header"]).header, [])  # from name import header
    told = capsys.readouterr().err
    assert end.value.code == 2 and f"header.py line 3 {MISTAKES[line]}" in told and told.count("\n") == 1
    sys.modules.pop(name)


READERS = [
    str(path.relative_to(config.ROOT))
    for folder in (*STAGES, "data")
    for path in sorted((config.ROOT / folder).glob("*.py"))
    if "config.load(" in path.read_text()
] + ["weights/make_classification.py distance --weights w.pt --split s"]


@pytest.mark.parametrize("script", READERS)
def test_every_script_tells_of_a_mistake_in_its_header(script, tmp_path, monkeypatch, call):
    (tmp_path / "header.py").write_text("seed = one\n")
    for stage in STAGES:
        monkeypatch.setattr(importlib.import_module(stage).header, "__file__", str(tmp_path / "header.py"))
    done = call(*script.split())
    assert done.code == 2 and "header.py line 1 is not NAME = literal" in done.err and done.err.count("\n") == 1


def test_a_header_from_a_windows_editor_is_read(tmp_path):
    (tmp_path / "header.py").write_bytes("\ufeff# Network\r\nseed = 4  # seed\r\n".encode())
    assert headerfile.read(headerfile.Header(str(tmp_path / "x"))) == [("Network", "seed", 4, "seed")]


def test_no_script_hides_an_installed_module():
    """`cd <stage> && python train.py` puts the stage's folder on the path, ahead of the installed modules."""
    own = [path for stage in STAGES for path in (config.ROOT / stage).glob("*.py") if path.stem != "__init__"]
    assert not {path.stem for path in own} & set(sys.stdlib_module_names)
    rooms = {path.parent.name for path in config.ROOT.glob("*/__init__.py")}  # the scripts put these ahead of their own
    assert not [path.name for path in own if path.stem not in rooms and importlib.util.find_spec(path.stem)]
