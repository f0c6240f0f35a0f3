"""Settings: header.py's literals, NAME=VALUE over them, what --help and errors say, what is saved."""

import argparse
import importlib.util
import multiprocessing
import pickle
import shlex
import types

import pytest

from classification import header as second
from cxr.errors import BadRun
from cxr.settings import config, headerfile

HEADER = '''"""Settings of a stage.

# not a heading
"""

# --- network ---
net_label = "fcdensenet103"  # which member of the family
dropout = 0.2                # share of channels
classes = 4                  # background, heart, left, right

# --- training ---
# all of it
betas = (0.9, 0.999)         # Adam's moments
milestones = [70, 80, 90]    # epochs
flip = False                 # mirror
seed = None                  # a number, or None
merge = {
    "viral": "COVID-19",     # kept from the outside
}                            # folder to class

# --- where ---
dir_data_root = "data/JSRT"  # images
dir_images = ["data/a", "/elsewhere/b"]  # folders
file_weights = None          # a file
'''


def make_header(folder, text=HEADER, name="header"):
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def header(tmp_path):
    return make_header(tmp_path)


def test_none_can_be_typed_whatever_the_header_names(tmp_path):
    header = make_header(tmp_path, HEADER.replace("file_weights = None          #", 'file_weights = "a.pt"  #'))
    assert config.load(header, [])[0].file_weights.endswith("a.pt")
    assert config.load(header, ["file_weights=None"])[0].file_weights is None


def test_a_command_carries_what_was_typed(tmp_path):
    words = ["net_label=a b", "dir_images=x,y", "milestones=[1,2]"]
    settings = config.load(make_header(tmp_path), words)[0]
    names = ("milestones", "net_label", "dropout", "dir_images")
    told = shlex.split(config.command("train.py", settings, names, "-i", "some folder"))
    assert told[:6] == ["python", "train.py", "-i", "some folder", "milestones=[1,2]", "net_label=a b"]
    assert config.load(make_header(tmp_path), told[4:])[0] == settings


def refusal(capsys, header, *argv):
    """The one sentence on stderr of a call that must end with exit code 2."""
    with pytest.raises(SystemExit) as end:
        config.load(header, argv)
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_rows_come_with_heading_and_comment(header):
    rows = headerfile.read(header)
    assert [name for _, name, _, _ in rows] == [
        "net_label", "dropout", "classes", "betas", "milestones", "flip", "seed", "merge",
        "dir_data_root", "dir_images", "file_weights",
    ]  # fmt: skip
    assert rows[1] == ("network", "dropout", 0.2, "share of channels")
    assert rows[7] == ("training all of it", "merge", {"viral": "COVID-19"}, "folder to class")
    assert rows[-1][0] == "where"


@pytest.mark.parametrize(
    "argument",
    [
        "dropout=high", "classes=1.5", "betas=(0.5", "milestones=1,,2", "flip=maybe", "merge=3", "dir_images=[]",
        "dir_images=[3]", "dir_data_root=", "dir_data_root=None", "file_weights=",
    ],
)  # fmt: skip
def test_wrong_type_is_one_sentence_with_the_default(header, capsys, argument):
    name = argument.split("=")[0]
    sentence = refusal(capsys, header, argument)
    assert name in sentence and repr(getattr(header, name)) in sentence


def test_unknown_name_offers_the_nearest(header, capsys):
    assert "'milestones'" in refusal(capsys, header, "milestone=3")
    assert "'net_label'" in refusal(capsys, header, "net-label=x")


def test_stray_words_are_explained(header, capsys):
    assert "dropout=VALUE" in refusal(capsys, header, "--dropout=0.1")
    assert "'word'" in refusal(capsys, header, "word")
    assert "'--nothing'" in refusal(capsys, header, "--nothing")


def test_flags_of_the_script_and_settings_mix(header, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "case=7.png").touch()
    parser = argparse.ArgumentParser()
    parser.add_argument("-i", nargs="+")
    parser.add_argument("--overwrite", action="store_true")
    settings, flags = config.load(header, "flip=1 -i a.png case=7.png classes=2 --overwrite seed=3".split(), parser)
    assert vars(flags) == {"i": ["a.png", "case=7.png"], "overwrite": True}
    assert (settings.flip, settings.classes, settings.seed) == (True, 2, 3)


def test_paths(header, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings, _ = config.load(header, [])
    assert settings.dir_data_root == str(config.ROOT / "data" / "JSRT")
    assert settings.dir_images == [str(config.ROOT / "data" / "a"), "/elsewhere/b"]
    assert settings.file_weights is None
    assert config.as_dict(settings)["dir_images"] == ["data/a", "/elsewhere/b"]
    settings, _ = config.load(header, ["dir_data_root=../x", "dir_images=q,~/r", "file_weights=12.pt"])
    assert settings.dir_data_root == str(tmp_path.parent / "x")
    assert settings.dir_images == [str(tmp_path / "q"), str(tmp_path / "home" / "r")]
    assert settings.file_weights == str(tmp_path / "12.pt")
    assert config.as_dict(settings)["dir_data_root"] == str(tmp_path.parent / "x")


def test_settings_are_frozen(header):
    settings, _ = config.load(header, [])
    with pytest.raises(AttributeError, match="frozen"):
        settings.classes = 5
    with pytest.raises(AttributeError, match="frozen"):
        settings.new = 5
    with pytest.raises(AttributeError, match="frozen"):
        del settings.classes


def test_a_setting_that_the_header_has_lost_is_one_sentence(header):
    settings, _ = config.load(header, [])
    with pytest.raises(BadRun, match=r"header\.py has no setting nothing, which is needed; put it back"):
        settings.nothing  # noqa: B018
    assert not hasattr(settings, "nothing") and getattr(settings, "nothing", 3) == 3


def test_header_is_never_mutated(header):
    before = {name: repr(value) for name, value in vars(header).items() if not name.startswith("_")}
    settings, _ = config.load(header, ["milestones=1", "dropout=0.5"])
    settings.merge["new"] = "class"
    settings.dir_images.append("more")
    assert {name: repr(value) for name, value in vars(header).items() if not name.startswith("_")} == before
    assert "new" not in config.load(header, [])[0].merge


def test_two_headers_in_one_process(tmp_path):
    first = make_header(tmp_path, "# a\nimg_size = 256  # pixels\n", "first")
    second = make_header(tmp_path, "# a\nimg_size = 1024  # pixels\n", "second")
    one, two = config.load(first, ["img_size=128"])[0], config.load(second, [])[0]
    assert (one.img_size, two.img_size) == (128, 1024)


def test_settings_reach_a_spawned_process(header):
    settings, _ = config.load(header, ["classes=3"])
    assert pickle.loads(pickle.dumps(settings)) == settings
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(config.as_dict, (settings,)) == config.as_dict(settings)
        assert "header.py: 4" in pool.apply(config.describe, (settings,))


def test_describe_marks_what_differs(header):
    settings, _ = config.load(header, ["classes=3", "dropout=0.2", "dropout=0.3", "flip=False"])
    lines = {line.split()[0]: line for line in config.describe(settings).splitlines()}
    assert {line.index("=") for line in lines.values()} == {len("dir_data_root") + 1}
    assert [name for name, line in lines.items() if "<-" in line] == ["dropout", "classes"]
    assert lines["dropout"].endswith("= 0.3  <- header.py: 0.2")
    assert "classes=3" in repr(settings)


def test_help_lists_flags_and_every_setting(header, capsys):
    parser = argparse.ArgumentParser(description="What the script does.\n\n    python script.py classes=3\n")
    parser.add_argument("-o", help="where it goes")
    with pytest.raises(SystemExit) as end:
        config.load(header, ["--help"], parser)
    assert end.value.code == 0
    text = capsys.readouterr().out
    places = [text.index(part) for part in ("    python script.py", "where it goes", "network", "dropout=0.2")]
    assert places == sorted(places)
    for _, name, default, comment in headerfile.read(header):
        assert f"{name}={default!r}" in text and comment in text


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "size = 2 * 128  # computed",
        "size = other  # another setting",
        "size = open('x')  # an object",
        "size: int = 3  # annotated",
        "a, b = 1, 2  # two",
        "_hidden = 3  # private",
        "size = {1, 2}  # a set",
        "size = 1e999  # infinite",
        "size = {3: 4}  # key is no text",
        "classes = 5  # again",
    ],
)
def test_header_holds_literals_only(tmp_path, capsys, line):
    text = f"# heading\nclasses = 4  # four\n{line}\n"
    module = types.SimpleNamespace(__file__=str(tmp_path / "header.py"))
    (tmp_path / "header.py").write_text(text)
    with pytest.raises(ValueError, match="line 3"):
        headerfile.read(module)
    assert "line 3" in refusal(capsys, module)


def test_replaced_values_keep_what_was_typed_and_leave_the_settings_alone():
    settings = config.load(second, ["repeat=3"])[0]
    other = config.replace(settings, seed=9, target="all")
    assert (other.seed, other.repeat, other.target) == (9, 3, "all") and other._typed == {"repeat"}
    assert settings.seed == second.seed and not hasattr(settings, "target")
    assert pickle.loads(pickle.dumps(other)) == other != settings
