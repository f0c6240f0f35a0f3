"""What requirements.txt installs is under licences that a project under Apache-2.0 may depend on."""

import re
from importlib.metadata import PackageNotFoundError, distribution

from conftest import ROOT

ALLOWED = re.compile(r"\b(Apache|BSD|0BSD|MIT|MPL-2|PSF|Python Software Foundation|Zlib|ISC)\b")
GPU = re.compile(r"nvidia-|cuda-")  # what PyTorch brings for NVIDIA's cards, under NVIDIA's own licence


def installed(names):
    """The distributions called by name, and those that these need, by name; what is for other systems is not there."""
    found, left = {}, list(names)
    while left:
        name = re.match(r"[\w.-]+", left.pop())[0].lower().replace("_", "-")
        try:
            if name not in found:
                found[name] = distribution(name)
                left += [line for line in found[name].requires or [] if "extra ==" not in line]
        except PackageNotFoundError:
            continue
    return found


def test_licences():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = installed(line for line in lines if line and not line.startswith("#"))
    assert len(found) > 40
    told = {}
    for name, package in found.items():
        about = package.metadata
        kinds = [kind for kind in about.get_all("Classifier") or [] if kind.startswith("License")]
        told[name] = " ".join([about.get("License-Expression") or (about.get("License") or "")[:200], *kinds])
    bad = {name: text for name, text in told.items() if not ALLOWED.search(text) or "GPL" in text}
    assert not {name for name in bad if not GPU.match(name)}, bad
