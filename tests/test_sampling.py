"""The patches of an epoch: balanced, shared among processes, keyed by seed, epoch, case and occurrence."""

import numpy as np
import pytest
import torch
from conftest import CLASSIFYING, ROOT

from classification import backbone, cases, dataset, header, patches, sampling, train
from cxr import config


def settings_of(*words):
    return config.load(header, [*CLASSIFYING, "input_scaling=imagenet", *map(str, words)])[0]


def test_draws_are_balanced_by_class_in_expectation():
    labels = [0] * 60 + [1] * 30 + [2] * 6 + [4] * 4
    settings = settings_of("num_patches=200")
    drawn = np.bincount([labels[index] for index, _ in sampling.draws(labels, settings, 1)])
    assert drawn.sum() == 20_000 and drawn[3] == 0 and np.allclose(drawn[[0, 1, 2, 4]], 5000, atol=300)
    assert sampling.draws(labels, settings, 1) == sampling.draws(labels, settings, 1)
    assert sampling.draws(labels, settings, 1) != sampling.draws(labels, settings, 2)
    plain = sampling.draws(labels, settings_of("num_patches=3", "balanced=False"), 1)
    assert sorted(plain) == [(index, occurrence) for index in range(100) for occurrence in range(3)]


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_share_the_draws_evenly(processes):
    labels, settings = [0, 0, 1, 1, 1], settings_of("num_patches=2", "num_batch_train=2")
    drawn = sampling.draws(labels, settings, 5, processes)
    assert drawn[:10] == sampling.draws(labels, settings, 5) and 10 <= len(drawn) < 10 + processes
    assert len(set(drawn)) == len(drawn)  # a case that comes again is another patch
    for rank in range(processes):
        steps = sampling.steps(drawn[rank::processes], 2)
        assert len(steps) == sampling.count_steps(labels, settings, processes)


def test_steps_are_even():
    assert [len(step) for step in sampling.steps(list(range(17)), 16)] == [8, 9]
    assert sampling.steps(list(range(5)), 2) == [[0], [1, 2], [3, 4]]


def test_fewer_training_cases_are_of_all_classes_and_among_more():
    every = [dataset.Case(f"c{i}", "f", ROOT, 0 if i < 20 else 1 + i % 2) for i in range(26)]
    chosen = {count: sampling.choose(every, count, 1) for count in (3, 7, 12, 0, 99)}
    assert [len(chosen[count]) for count in (3, 7, 12)] == [3, 7, 12] and chosen[0] == chosen[99] == every
    assert sorted(np.bincount([case.label for case in chosen[7]])) == [2, 2, 3]
    assert set(chosen[3]) < set(chosen[7]) < set(chosen[12]) and chosen[7] == [c for c in every if c in chosen[7]]
    assert chosen[7] != sampling.choose(every, 7, 2)


def test_a_patch_depends_on_seed_epoch_case_and_occurrence_only(split_pairs):
    def cuts(*words, epoch=3):
        settings = settings_of(f"dir_split={split_pairs}", "balanced=False", *words)
        data = cases.find(settings)
        images, found = dataset.Images(data.train, settings), {}
        drawn = sampling.draws([case.label for case in data.train], settings, epoch)
        batches = sampling.batches(images, data.train, settings, epoch)
        rows = [row for batch in batches for row in zip(*batch, strict=True)]
        for (index, occurrence), row in zip(drawn, rows, strict=True):
            assert data.train[index].label == row[2] and row[1][tuple(row[3])] == 1  # the centre lies in the lung
            found[data.train[index].case, occurrence] = [part.tolist() for part in row[3:]]
        return found

    one, other = cuts(), cuts("num_batch_train=5", "num_workers=0", "num_patches=3", "cache_gb=0")
    assert len(one) == 48 and all(other[key] == cut for key, cut in one.items())
    assert len({str(cut) for cut in one.values()}) == 48
    assert all(cuts(epoch=4)[key] != cut and cuts("seed=1")[key] != cut for key, cut in list(one.items())[:3])
    turns = [cut[1] for cut in one.values()]
    assert min(turns) < -3 and max(turns) > 3 and max(map(abs, turns)) <= 5
    assert 10 < sum(cut[2] for cut in one.values()) < 38


def test_training_patches_are_cut_as_patches_py_cuts_them(split_pairs):
    """The network sees exactly the windows about the drawn centres, turned and mirrored."""
    settings = settings_of(f"dir_split={split_pairs}", "num_batch_train=4")
    data = cases.find(settings)
    batch = next(sampling.batches(dataset.Images(data.train, settings), data.train, settings, 1))
    seen = []

    def model(x):
        seen.append(x)
        return torch.zeros(len(x), 3)

    train.cross_entropy(model, batch, settings, "cpu")
    cut = patches.cut(batch.images, range(4), batch.centres, 48, batch.rotation, batch.flip)
    assert torch.equal(seen[0], backbone.scale(cut, "imagenet")) and seen[0].shape == (4, 3, 48, 48)
