"""Scores of maps and the null maps they are held against, on maps whose worth is known."""

import numpy as np
import pytest
import torch

from classification.map_scores import criteria, nullmaps
from classification.model import backbone

SIDE = 96


@pytest.fixture
def lung():
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (
        (((rows - 48) / 36) ** 2 + ((columns - 26) / 18) ** 2 < 1)
        | (((rows - 48) / 36) ** 2 + ((columns - 70) / 18) ** 2 < 1)
    ).astype(np.uint8)


def blob(row, column, width=6.0):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)).astype(np.float32)


def test_pointing_and_mass(lung):
    lesion = (blob(40, 26) > 0.5) & (lung > 0)
    assert criteria.pointing(blob(40, 26), lesion) == 1 and criteria.pointing(blob(60, 70), lesion) == 0
    assert criteria.pointing(lung.astype(float), lesion) == pytest.approx(lesion.sum() / lung.sum())  # all tie
    assert criteria.mass(blob(40, 26), lesion) > 0.4 > 0.01 > criteria.mass(blob(60, 70), lesion)
    assert criteria.mass(lung.astype(float), lung) == 1
    nothing = np.zeros((SIDE, SIDE), np.float32)
    assert criteria.pointing(nothing, lesion) == 0 and criteria.mass(nothing, lesion) == 0


def test_similarity(lung):
    first = blob(40, 26, 30)
    assert criteria.similarity(first, first**3, lung) == pytest.approx(1)  # ranks
    assert criteria.similarity(first, -first, lung) == pytest.approx(-1)
    assert np.isnan(criteria.similarity(first, lung.astype(float), lung))  # the same everywhere in the lung


def test_order_takes_squares_by_their_mean(lung):
    turns = criteria.order(blob(40, 26), lung, 8, np.random.default_rng(0))
    assert (turns[lung == 0] == 2).all() and turns[lung > 0].max() == pytest.approx(1) and turns.min() > 0
    assert turns[42, 26] == turns.min()
    square = turns[40:48, 24:32]
    assert np.ptp(square) == 0
    for share in (0.25, 0.5):  # what has had its turn is at most that share of the lung, and nearly as much
        assert share - 0.03 < (turns <= share).sum() / lung.sum() <= share
    same = criteria.order(lung.astype(np.float32), lung, 8, np.random.default_rng(0))
    other = criteria.order(lung.astype(np.float32), lung, 8, np.random.default_rng(1))
    assert (same != other).any()


def test_perturbation_tells_a_map_that_knows_from_one_that_does_not(lung):
    """A classifier whose answer is the brightness of one spot."""
    image = np.where(lung > 0, 60, 0).astype(np.uint8)
    spot = (blob(40, 26) > 0.6) & (lung > 0)
    image[spot] = 250
    asked = []

    def ask(changed):
        assert changed.dtype == np.uint8 and (changed[lung == 0] == 0).all()
        asked.append(changed)
        return float(changed[spot].mean() - 60) / 190

    turns = {
        name: criteria.order(values, lung, 8, np.random.default_rng(0))
        for name, values in (("right", blob(40, 26)), ("wrong", blob(60, 70)))
    }
    areas = criteria.perturbation(ask, image, lung, turns, steps=5)
    assert len(asked) == 2 + 2 * 2 * 4
    assert areas["right"][0] < 0.2 < 0.6 < areas["wrong"][0]
    assert areas["right"][1] > 0.8 > 0.5 > areas["wrong"][1]


def test_noise_has_the_values_and_the_blur_of_the_map(lung):
    values = blob(40, 26, 8) + 0.5 * blob(60, 70, 8)
    coverage = np.ones((SIDE, SIDE))
    coverage[:10] = 0
    values[:10] = 0
    noise = nullmaps.noise(values, lung, coverage, np.random.default_rng(0))
    assert (noise[:10] == 0).all()
    for part in (lung > 0, (lung == 0) & (coverage > 0)):
        np.testing.assert_array_equal(np.sort(noise[part]), np.sort(values[part]))
    assert abs(criteria.similarity(values, noise, lung)) < 0.9

    def step(field):  # mean change to the next pixel, which blur makes small
        inside = (lung[:, 1:] > 0) & (lung[:, :-1] > 0)
        return np.abs(np.diff(field, axis=1))[inside].mean()

    white = values.copy()
    white[lung > 0] = np.random.default_rng(0).permutation(values[lung > 0])
    assert step(noise) < 2 * step(values) < 0.5 * step(white)
    places = [nullmaps.noise(values, lung, coverage, np.random.default_rng(i)).argmax() for i in range(20)]
    assert len(set(places)) > 10  # it points anywhere


def test_null_maps_keep_to_the_lung(lung):
    coverage = np.full((SIDE, SIDE), 3.0)
    found = nullmaps.null_maps(blob(40, 26), lung, coverage, np.random.default_rng(0))
    assert tuple(found) == nullmaps.NULLS
    assert (found["centre"][lung == 0] == 0).all() and (found["lung"] == lung).all()
    row, column = np.unravel_index(found["centre"].argmax(), lung.shape)
    assert abs(row - 48) <= 1 and 40 <= column <= 56  # the lung pixel nearest to the middle of both


def test_layers_are_drawn_anew_from_the_last():
    torch.manual_seed(0)
    model = backbone.build("resnet18", 2).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copies = criteria.randomised(model, seed=0)
    again = criteria.randomised(model, seed=0)
    changed = {}
    for name, copy in copies.items():
        state = copy.state_dict()
        weights = [key for key in before if key.endswith("weight") and state[key].ndim > 1]
        changed[name] = {key for key in weights if not torch.equal(before[key], state[key])}
        assert all(torch.equal(value, again[name].state_dict()[key]) for key, value in state.items())
        assert not copy.training
    assert changed["last"] == {"fc.weight"}
    assert changed["last"] < changed["quarter"] < changed["half"] < changed["three_quarters"] < changed["all"]
    assert "conv1.weight" in changed["all"] and len(changed["all"]) == 21
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
