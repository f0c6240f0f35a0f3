"""report.json: which versions a run was made with."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from cxr.run import runreport


@pytest.mark.parametrize("installed", ["opencv-python-headless", "opencv-python", "opencv-contrib-python", None])
def test_any_distribution_of_opencv_is_reported_under_its_name(monkeypatch, installed):
    def version(name):
        if name.startswith("opencv") and name != installed:
            raise PackageNotFoundError(name)
        return "4.14"

    monkeypatch.setattr(runreport, "version", version)  # two distributions cannot be installed at a time
    found = runreport.versions(["numpy", "opencv-python-headless"])
    assert found == {"numpy": "4.14", installed or "opencv-python-headless": installed and "4.14"}


def test_versions_are_those_of_this_machine():
    assert runreport.versions(["numpy"]) == {"numpy": np.__version__}
