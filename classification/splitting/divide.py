"""Who goes into which part: groups that stay together, drawn so that every class comes near its shares."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

TRIES = 10  # draws of which the evenest is taken
_STEPS = 10_000  # groups placed in all tries together, so that large cohorts, which are even by themselves, stay fast


class TooSmall(ValueError):
    """No division gives every class something in every part. `classes`: index and number of groups of each that is
    too small by itself, `needs` groups being wanted; empty if the groups that hold several classes are to blame."""

    def __init__(self, classes: dict[int, int], needs: int):
        super().__init__(f"classes {classes} need {needs} groups each")
        self.classes, self.needs = classes, needs


def join(*labellings: Sequence) -> np.ndarray:
    """(N,) int group of each of N items: two are in one if any labelling gives them the same label, or by a chain."""
    count = len(labellings[0])
    rows, columns, nodes = [], [], count
    for labelling in labellings:
        codes = np.unique(np.asarray(labelling), return_inverse=True)[1]
        rows.append(np.arange(count))
        columns.append(codes + nodes)
        nodes += count
    row, column = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(len(row), bool), (row, column)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:count].astype(int)


def content(groups: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """(G, C) int: number of images of each class in each group. groups (N,) 0..G-1, labels (N,) 0..C-1."""
    table = np.zeros((groups.max(initial=-1) + 1, num_classes), int)
    np.add.at(table, (groups, labels), 1)
    return table


def assign(table: np.ndarray, shares: Sequence[float], rng: np.random.Generator, least: int = 1) -> np.ndarray:
    """The part (G,) int of each group, so that every class comes near its shares in images and in groups.

    table (G, C): images of each class in each group; shares (P,): of each part, summing to 1; every class has `least`
    groups or more in every part. Groups come in random order, each to the part that it brings nearest to its due
    (chi-squared over classes, images and groups alike); the evenest of several orders is taken. A large group is
    thereby as likely in a small part as fits, where sorting by size would put all of them into the largest.
    Raises TooSmall.
    """
    shares = np.asarray(shares, float)
    holds = (table > 0).sum(0)
    few = {int(c): int(holds[c]) for c in np.flatnonzero(holds < least * len(shares))}
    if few:
        raise TooSmall(few, least * len(shares))
    weights = np.concatenate([table, table > 0], axis=1).astype(float)
    due = shares[:, None] * weights.sum(0)
    best, best_cost = None, np.inf
    for _ in range(int(np.clip(_STEPS // len(table), 1, TRIES))):
        order = rng.permutation(len(table))
        parts = _draw(weights, due, order)
        if not _fill(parts, weights, due, least, order):
            continue
        cost = sum((((weights[parts == p].sum(0) - due[p]) ** 2) / due[p]).sum() for p in range(len(shares)))
        if cost < best_cost:
            best, best_cost = parts, cost
    if best is None:
        raise TooSmall({}, least * len(shares))
    return best


def fold(table: np.ndarray, count: int, val_share: float, rng: np.random.Generator) -> list[np.ndarray]:
    """For each of `count` folds the part (G,) of each group: 0 train, 1 val, 2 test. Every group is in one test part.

    val_share: what val takes of the groups not in test. Raises TooSmall.
    """
    # With two folds the groups outside the test part are those of one other fold, and must do for train and val.
    test = assign(table, [1 / count] * count, rng, least=2 if count == 2 else 1)
    folds = []
    for number in range(count):
        parts = np.full(len(table), 2)
        rest = test != number
        parts[rest] = assign(table[rest], [1 - val_share, val_share], rng)
        folds.append(parts)
    return folds


def _draw(weights, due, order):
    parts, counts = np.empty(len(weights), int), np.zeros_like(due)
    for group in order:
        weight = weights[group]
        part = int(_costs(weight, counts, due).argmin())
        parts[group] = part
        counts[part] += weight
    return parts


def _costs(weight, counts, due):
    """(P,): by how much chi-squared grows if a group of this weight (2C,) comes to each part."""
    return (weight * (weight + 2 * (counts - due)) / due).sum(1)


def _fill(parts, weights, due, least, order):
    """Move groups until each class has `least` in each part, in place. False where that does not succeed."""
    present = weights[:, weights.shape[1] // 2 :] > 0
    while True:
        held = np.stack([present[parts == part].sum(0) for part in range(len(due))])
        missing = np.argwhere(held < least)
        if not len(missing):
            return True
        part, label = missing[0]
        # Free to go are groups that leave enough of each of their classes behind.
        free = present[:, label] & (parts != part) & ~(present & (held[parts] <= least)).any(1)
        if not free.any():
            return False
        parts[order[free[order]][0]] = part
