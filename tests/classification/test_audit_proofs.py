"""The audit catches a planted shortcut and only that; `python -m tests.audit_proofs` shows it on ten cohorts."""

from dataclasses import replace

import numpy as np
import pytest

from classification.model import ensemble
from classification.splitting import known
from classification.trust import answers, controls, copies, leakage, probe, shifted, sources, travel, views
from cxr.shifts import measured, suite
from tests import audit_proofs as proofs


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(probe, "PERMUTATIONS", 4)
    monkeypatch.setattr(answers, "PATCHES", 2)


@pytest.fixture(scope="module")
def drawn():
    return proofs.draw(0)


@pytest.fixture(scope="module")
def clean(drawn, tmp_path_factory):
    return proofs.plant(drawn, proofs.CLEAN, tmp_path_factory.mktemp("clean"), 0, network=True)


def test_a_letter_that_goes_with_class_is_caught(drawn, tmp_path):
    found = controls.measure(proofs.plant(drawn, proofs.LETTER, tmp_path / "letter", 0, network=False))
    assert found.accused and "as well outside the lungs" in found.verdict
    value = {figure.name: figure.value for figure in found.figures}
    assert value["retrained, border strip"] > 0.9 > value["retrained, lungs only"]
    assert not any(name.startswith("network") for name in value)
    assert not controls.measure(proofs.plant(drawn, proofs.CLEAN, tmp_path / "clean", 0, network=False)).accused


def test_a_texture_of_the_hospital_is_caught_where_hospital_goes_with_class(drawn, clean, tmp_path):
    found = sources.measure(proofs.plant(drawn, proofs.TEXTURE, tmp_path, 0, network=True))
    assert found.accused and "recognising the hospital" in found.verdict
    floor = next(figure for figure in found.figures if figure.name == "source within normal, labels permuted")
    assert floor.low < 0.5 < floor.high
    found = sources.measure(clean)
    assert found.accused is False and "is not shown to go with class" in found.verdict


def test_permuted_labels_hold_chance(clean, monkeypatch):
    monkeypatch.setattr(probe, "PERMUTATIONS", 39)
    seen = answers.of_cases(clean)[views.LUNGS]
    assert proofs.held(seen.features, clean, 20) >= 19
    clean.model.forward = None  # the second time nothing is asked
    try:
        assert np.array_equal(answers.of_cases(clean)[views.LUNGS].p, seen.p)
    finally:
        del clean.model.forward


def test_an_ensemble_has_the_features_of_its_members(clean):
    image = np.full((96, 96), 90, np.uint8)
    one = answers.ask(clean, clean.cases[0], image, np.ones_like(image))
    two = replace(clean, model=ensemble.Ensemble([clean.model] * 2, [clean.settings.input_scaling] * 2))
    features, p, _ = answers.ask(two, clean.cases[0], image, np.ones_like(image))
    assert np.allclose(features, np.tile(one[0], 2)) and np.allclose(p, one[1])
    assert not any(part._forward_hooks for part in clean.model.modules())


def test_views_show_what_they_say():
    image = np.full((100, 80), 200, np.uint8)
    lung = np.zeros_like(image)
    lung[30:60, 10:30] = lung[30:60, 50:70] = 1
    shown = {name: views.show(name, image, lung) for name in views.VIEWS}
    for name, (picture, where) in shown.items():
        assert picture.any() and not picture[where == 0].any(), name
    assert shown[views.LUNGS][0].sum() + shown[views.REMOVED][0].sum() == shown[views.FULL][0].sum()
    assert not shown[views.BOX][0][30:60, 10:70].any() and shown[views.BOX][0][29].all()
    assert set(np.unique(shown[views.SHAPE][0])) == {0, views.GREY}
    assert not shown[views.BORDER][0][10:-10, 10:-10].any() and shown[views.BORDER][0][:8].all()
    picture, where = views.show(views.REMOVED, image, np.ones_like(lung))
    assert not picture.any() and where.all()


@pytest.mark.parametrize("lost", [True, False])
def test_a_class_that_other_sources_show_otherwise_does_not_travel(clean, monkeypatch, lost):
    b, ill = (clean.facts.source == "B").to_numpy(), clean.label == clean.label.min()
    x = np.random.default_rng(0).normal(0, 1, (len(b), 20))
    x[:, 0] += 6 * (ill & ~(b & lost))
    x[:, 1] += 6 * (ill & b & lost)  # at B another feature shows it
    seen = answers.Answers(x, None, None, None)
    monkeypatch.setattr(answers, "of_cases", lambda subject: {views.LUNGS: seen})
    found = travel.measure(clean)
    assert found.accused is lost
    drop = next(figure for figure in found.figures if figure.name == "drop")
    assert (drop.value > 0.2) is lost


@pytest.mark.parametrize("told_apart", [True, False])
def test_a_split_by_image_flatters_where_patients_can_be_told_apart(clean, monkeypatch, told_apart):
    """Features show who a patient is, or the class alone; each patient has three images."""
    rng = np.random.default_rng(0)
    who, label = np.repeat(np.arange(30), 3), np.repeat(rng.permutation(30) % 2, 3)
    x = rng.normal(0, 1, (30, 40))[who] if told_apart else label[:, None] * 3 + rng.normal(0, 1, (90, 4))
    people = replace(clean, patient=who.astype(str), label=label)
    seen = answers.Answers(x + rng.normal(0, 0.1, x.shape), None, None, None)
    monkeypatch.setattr(answers, "of_cases", lambda subject: {views.LUNGS: seen})
    gap = leakage.measure(people).figures[2]
    assert (gap.low > 0.2) if told_apart else (gap.low <= 0 <= gap.high)
    alone = leakage.measure(replace(people, patient=np.arange(90).astype(str)))
    assert alone.accused is None and "several images" in alone.missing


def test_what_cannot_be_tested_is_said(drawn, clean, tmp_path, monkeypatch):
    blind = proofs.plant(drawn, proofs.CLEAN, tmp_path, 0, network=False)
    for part in (sources, travel, copies):
        found = part.measure(blind)
        assert found.accused is None and "file_weights=FILE" in found.missing
    monkeypatch.setitem(clean.facts, "source", np.where(clean.label == clean.label.max(), "A", "B"))
    found = travel.measure(clean)
    assert found.accused is None and "normal (A)" in found.missing and "another hospital" in found.missing
    found = copies.measure(clean)
    assert found.accused is None and "masks.csv" in found.missing


def test_the_worst_copy_is_named(clean, monkeypatch):
    stays = []  # whether a case's class does, under the worst copy

    def measure(case, files, grey, shifts, settings, names, answer):
        rows, stay = [], stays.pop()
        for name, kind in ((measured.CLEAN, measured.CLEAN), *((shift.name, shift.kind) for shift in shifts)):
            predicted = names[0] if name == "blur 0.003" and not stay else names[1]
            p = {f"p_{other}": float(other == predicted) for other in names}
            rows.append({"case": case.case, "folder": case.folder, "label": "", "shift": name, "kind": kind} | p)
            rows[-1]["predicted"] = predicted
        return rows

    monkeypatch.setattr(known, "one_masks_table", lambda *_: "masks.csv")
    monkeypatch.setattr(shifted, "radiographs", lambda *_: ({}, {}))
    monkeypatch.setattr(shifted, "measure", measure)
    clean = replace(clean, patient=np.arange(len(clean.cases)).astype(str))
    stays += [False] * 9 + [True] * 31
    worst = copies.measure(clean)
    high = min(figure.high for figure in worst.figures)  # chance alone gives one of 14 copies such an interval
    assert worst.accused is False and high < copies.LEAST and worst.verdict.startswith("blur 0.003 changes most: 0.78")
    stays += [False] * 40
    found = copies.measure(clean)
    assert found.accused and found.verdict.startswith("blur 0.003 changes most: 0.00")
    assert {figure.cases for figure in found.figures} == {copies.CASES}
    assert len(found.table) == len(found.figures) == len(suite.choose(["copy"]))
