"""make page: a page is of one folder as it is now. One that tells its words stands in for the scripts."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT


@pytest.fixture
def page(tmp_path):
    """make page in a project of its own: its exit code and what it printed, of the scripts that are to write masks."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / ".venv" / "bin" / "python").write_text('#!/bin/sh\ncase "$1" in seg*) printf "%s\\n" "$3";; esac\n')
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)

    def make(folder):
        words = ["make", "--no-print-directory", "page", f"FOLDER={folder}"]  # `make test` would have it print
        home = os.environ | {"HOME": str(tmp_path / "home")}
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=home)
        return done.returncode, done.stdout

    return make


def test_a_page_of_other_files_is_refused(page, tmp_path):
    for name in ("a/x rays/one.png", "a/x rays/two.png", "b/x rays/two.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert page("a/x rays") == page("a/x rays") == (0, f"{tmp_path}/a/x rays\n")
    gone = f"output/page/x rays was made with {tmp_path / 'a' / 'x rays' / 'one.png'}, which is not in"
    code, told = page("b/x rays")
    assert code == 2 and told.startswith(gone) and "rename FOLDER, or delete output/page/x rays" in told
    assert page("a/x rays")[0] == 0
    (tmp_path / "a" / "x rays" / "one.png").unlink()
    assert page("a/x rays")[1].startswith(gone)


@pytest.mark.parametrize("name", ["$(touch pwned)", "a$b", "-x", "~/x", "'\"`;#%"])
def test_the_folder_is_the_one_that_was_typed(page, tmp_path, name):
    place = tmp_path / name.replace("~", "home")
    place.mkdir(parents=True)
    assert page(name) == (0, f"{place}\n")
    assert not (tmp_path / "pwned").exists()
