"""The stages' own header.py files, and that no file beside them hides an installed module."""

import importlib.util
import json
import sys

import pytest

from cxr.settings import config, headerfile

STAGES = sorted(path.parent.name for path in config.ROOT.glob("*/header.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_headers_of_the_stages(stage):
    module = importlib.import_module(f"{stage}.header")
    saved = config.as_dict(config.load(module, [])[0])
    assert json.loads(json.dumps(saved)) == saved
    settings = headerfile.read(module)
    assert all(heading and comment for heading, _, _, comment in settings)
    rows = {name: default for _, name, default, _ in settings}
    assert rows == {name: value for name, value in vars(module).items() if not name.startswith("_")}


def test_no_script_hides_an_installed_module():
    """`cd <stage> && python train.py` puts the stage's folder on the path, ahead of the installed modules."""
    own = [path for stage in STAGES for path in (config.ROOT / stage).glob("*.py") if path.stem != "__init__"]
    assert not {path.stem for path in own} & set(sys.stdlib_module_names)
    rooms = {path.parent.name for path in config.ROOT.glob("*/__init__.py")}  # the scripts put these ahead of their own
    assert not [path.name for path in own if path.stem not in rooms and importlib.util.find_spec(path.stem)]
