"""Figures of a classification: files that open, whatever the classes are called and however few the cases are."""

import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from classification.voting import reliability
from cxr.figures import diagrams, plots, vectors
from cxr.stats import scores


def draw(folder, truth, p, names):
    found = scores.classification(truth, p.argmax(1), p, names, np.arange(len(truth)), 20)
    plots.save(diagrams.confusion(np.array(found["confusion"]), names), folder / "confusion.png")
    plots.save(diagrams.roc(truth, p, names, found["per_class"]), folder / "roc.png")
    before = np.sqrt(p) / np.sqrt(p).sum(1, keepdims=True)
    figure = diagrams.reliability(truth, p, np.arange(len(truth)), found["overall"], before)
    plots.save(figure, folder / "reliability.png")
    kept = reliability.abstention(p.argmax(1) == truth, 1 - p.max(1), np.arange(len(truth)))
    plots.save(diagrams.abstention(kept), folder / "abstention.png")
    return {path.stem: cv2.imread(str(path)) for path in folder.glob("*.png")}


@pytest.mark.parametrize(
    "names,count",
    [
        (["normal", "viral"], 40),
        (["$x_1$", "<b>", "a name so long that it fits into no figure at all", "", "d", "e", "f", "COVID-19"], 200),
        (["normal", "never seen", "viral"], 1),
    ],
)
def test_figures(tmp_path, names, count):
    rng = np.random.default_rng(0)
    truth = 2 * (rng.integers(0, len(names), count) // 2)
    p = rng.dirichlet(np.ones(len(names)), count)
    pictures = draw(tmp_path, truth, p, names)
    assert set(pictures) == {"confusion", "roc", "reliability", "abstention"}
    for picture in pictures.values():
        assert picture.std() > 5  # something is drawn, and its edge is left free
        assert (picture[:, -2:] > 250).all() and (picture[-2:] > 250).all()


def test_shades_follow_the_share_of_the_true_class(tmp_path):
    counts = np.array([[90, 10], [1, 1]])
    plots.save(diagrams.confusion(counts, ["a", "b"]), tmp_path / "c.png")
    picture = cv2.imread(str(tmp_path / "c.png"))[..., ::-1].reshape(-1, 3)

    def area(share):
        colour = np.array(diagrams._SHADES(share)[:3]) * 255
        return int((abs(picture - colour).max(1) < 2).sum())

    assert area(0.9) > 5000 and area(0.1) > 5000
    assert 1.8 < area(0.5) / area(0.9) < 2.2  # both cells of the second row


def test_same_figure_again(tmp_path):
    rng = np.random.default_rng(1)
    truth, p = rng.integers(0, 3, 30), rng.dirichlet(np.ones(3), 30)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = draw(tmp_path / "a", truth, p, list("abc")), draw(tmp_path / "b", truth, p, list("abc"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_figure_within_a_page_follows_its_theme_and_holds_no_name_as_markup():
    rng = np.random.default_rng(2)
    truth, p = rng.integers(0, 3, 30), rng.dirichlet(np.ones(3), 30)
    names = ["<script>alert(1)</script>", "a --> b", "normal"]
    first, again = (vectors.svg(diagrams.roc(truth, p, names), 'areas "below"') for _ in range(2))
    root = ElementTree.fromstring(first)
    assert first == again and root.attrib["role"] == "img" and root.attrib["aria-label"] == 'areas "below"'
    assert "var(--c0)" in first and "var(--ink)" in first and not re.search("#0072b2|#262626|alert|<!--|<style", first)
    other = vectors.svg(diagrams.reliability(truth, p, np.arange(30)), "other")
    ids = [set(re.findall(r'clipPath id="([^"]+)"', one)) for one in (first, other)]
    assert not ids[0] & ids[1]  # both stand in one page
