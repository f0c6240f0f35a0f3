"""The version and the commit that scripts print and results record, and what an editable install is told."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from cxr import version

FOLDERS = ("segmentation", "classification", "data", "weights")
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in FOLDERS
    for path in (ROOT / folder).glob("*.py")
    if "__main__" in path.read_text()
)
SCRIPTS += ["benchmarks/bench.py", "benchmarks/growth.py"]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A folder that holds pyproject.toml alone and stands for the project; the commit is looked up there."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(version, "ROOT", tmp_path)
    version.commit.cache_clear()
    yield tmp_path
    version.commit.cache_clear()


def git(folder, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True).stdout


def test_the_number_is_that_of_pyproject():
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.number())
    assert f'version = "{version.number()}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {version.number()}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {version.number()}" in (ROOT / "CITATION.cff").read_text()


def test_no_commit_outside_a_clone(copied):
    assert version.about() == {"version": version.number(), "commit": None}
    assert version.text() == f"limited-cxr {version.number()}"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_clone_and_whether_it_was_changed(copied):
    git(copied, "init", "-q")
    git(copied, "add", "pyproject.toml")
    git(copied, "commit", "-qm", "first")
    git(copied, "tag", "v1")
    head = git(copied, "rev-parse", "HEAD").strip()
    assert version.commit() == head
    version.commit.cache_clear()
    with open(copied / "pyproject.toml", "a") as file:
        file.write("\n")
    assert version.commit() == f"{head}-dirty"


def test_no_commit_of_a_repository_around_the_project(copied):
    inner = copied / "inner"
    inner.mkdir()
    shutil.copy(ROOT / "pyproject.toml", inner)
    if shutil.which("git"):
        git(copied, "init", "-q")
    version.ROOT = inner  # undone with the fixture's
    assert version.commit() is None


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_print_it(script, call):
    done = call(script, "--version")
    assert done.code == 0, done.err
    assert done.out == f"{version.text()}\n"


def test_an_editable_install_is_told_name_version_and_requirements(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    shutil.copytree(ROOT / "cxr", tmp_path / "cxr", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    code = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_editable('.'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / done.stdout.split()[-1] / "METADATA").read_text().splitlines()
    assert "Name: limited-cxr" in lines and f"Version: {version.number()}" in lines
    wanted = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    asked = [Requirement(line.split(": ")[1]) for line in lines if line.startswith("Requires-Dist")]
    assert asked == [Requirement(line) for line in wanted if line]
