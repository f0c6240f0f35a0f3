"""The patches of an epoch: balanced, shared among processes, keyed by seed, epoch, case and occurrence."""

import numpy as np
import pytest
import torch
from conftest import CLASSIFYING, ROOT
from hypothesis import given
from hypothesis import strategies as st

from classification import header, train
from classification.cases import dataset, packed
from classification.model import backbone
from classification.patches import epochs, patch
from classification.splitting import training_cases
from cxr.run import engine
from cxr.settings import config


def settings_of(*words):
    return config.load(header, [*CLASSIFYING, "input_scaling=imagenet", *map(str, words)])[0]


def test_draws_are_balanced_by_class_in_expectation():
    labels = [0] * 60 + [1] * 30 + [2] * 6 + [4] * 4
    settings = settings_of("num_patches=200")
    drawn = np.bincount([labels[index] for index, _ in epochs.draws(labels, settings, 1)])
    assert drawn.sum() == 20_000 and drawn[3] == 0 and np.allclose(drawn[[0, 1, 2, 4]], 5000, atol=300)
    assert epochs.draws(labels, settings, 1) == epochs.draws(labels, settings, 1)
    assert epochs.draws(labels, settings, 1) != epochs.draws(labels, settings, 2)
    plain = epochs.draws(labels, settings_of("num_patches=3", "balanced=False"), 1)
    assert sorted(plain) == [(index, occurrence) for index in range(100) for occurrence in range(3)]


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_share_the_draws_evenly(processes):
    labels, settings = [0, 0, 1, 1, 1], settings_of("num_patches=2", "num_batch_train=2")
    drawn = epochs.draws(labels, settings, 5, processes)
    assert drawn[:10] == epochs.draws(labels, settings, 5) and 10 <= len(drawn) < 10 + processes
    assert len(set(drawn)) == len(drawn)  # a case that comes again is another patch
    for rank in range(processes):
        steps = epochs.steps(drawn[rank::processes], 2)
        assert len(steps) == epochs.count_steps(labels, settings, processes)


def test_steps_are_even():
    assert [len(step) for step in epochs.steps(list(range(17)), 16)] == [8, 9]
    assert epochs.steps(list(range(5)), 2) == [[0], [1, 2], [3, 4]]


def test_fewer_training_cases_are_of_all_classes_and_among_more():
    every = [dataset.Case(f"c{i}", "f", ROOT, 0 if i < 20 else 1 + i % 2) for i in range(26)]
    chosen = {count: epochs.choose(every, count, 1) for count in (3, 7, 12, 0, 99)}
    assert [len(chosen[count]) for count in (3, 7, 12)] == [3, 7, 12] and chosen[0] == chosen[99] == every
    assert sorted(np.bincount([case.label for case in chosen[7]])) == [2, 2, 3]
    assert set(chosen[3]) < set(chosen[7]) < set(chosen[12]) and chosen[7] == [c for c in every if c in chosen[7]]
    assert chosen[7] != epochs.choose(every, 7, 2)


def test_a_patch_depends_on_seed_epoch_case_and_occurrence_only(split_pairs):
    def cuts(*words, epoch=3):
        settings = settings_of(f"dir_split={split_pairs}", "balanced=False", *words)
        data = training_cases.find(settings)
        images, found = dataset.Images(data.train, settings), {}
        drawn = epochs.draws([case.label for case in data.train], settings, epoch)
        batches = epochs.batches(images, data.train, settings, epoch)
        rows = [row for batch in batches for row in zip(*(part for part in batch if part is not None), strict=True)]
        for (index, occurrence), (_, label, *_, turn, mirrored) in zip(drawn, rows, strict=True):
            case = data.train[index]
            ((_, lung),), ((_, small),) = images.batch([index]), images.packed_batch([index])
            centre, *drawn_so = epochs.place(small, settings, epoch, case.case, occurrence)
            assert case.label == label and lung[centre] == 1  # the centre lies in the lung
            assert drawn_so == [pytest.approx(turn.item()), mirrored.item()]
            found[case.case, occurrence] = centre, turn.item(), mirrored.item()
        return found

    one, other = cuts(), cuts("num_batch_train=5", "num_workers=0", "num_patches=3", "cache_gb=0")
    assert len(one) == 48 and all(other[key] == cut for key, cut in one.items())
    assert len({str(cut) for cut in one.values()}) == 48
    assert all(cuts(epoch=4)[key] != cut and cuts("seed=1")[key] != cut for key, cut in list(one.items())[:3])
    turns = [cut[1] for cut in one.values()]
    assert min(turns) < -3 and max(turns) > 3 and max(map(abs, turns)) <= 5
    assert 10 < sum(cut[2] for cut in one.values()) < 38


def whole(chosen, settings, epoch, step=slice(None)):
    """The whole images of an epoch's patches, which is whose, and the centres drawn on them."""
    images, drawn = dataset.Images(chosen, settings), epochs.draws([case.label for case in chosen], settings, epoch)
    items = images.batch([index for index, _ in drawn[step]])
    rngs = [engine.generator(settings.seed, "patch", epoch, chosen[i].case, k) for i, k in drawn[step]]
    centres = np.array([patch.centres(lung, 1, rng)[0] for (_, lung), rng in zip(items, rngs, strict=True)])
    return torch.from_numpy(np.stack([image for image, _ in items])), range(len(items)), centres


@pytest.mark.parametrize("rotation", [0.0, 5.0, 30.0, 90.0, 400.0])
def test_what_a_step_is_given_holds_its_patches_whole(split_pairs, rotation):
    """Windows about the centres, many beyond the image's border, give the very bits that whole images do."""
    settings = settings_of(f"dir_split={split_pairs}", f"rotation={rotation}", "patch_size=33", "num_batch_train=48")
    chosen = training_cases.find(settings).train
    (batch,) = epochs.batches(dataset.Images(chosen, settings), chosen, settings, 3)
    images, which, centres = whole(chosen, settings, 3)
    assert batch.images.shape[1:] == (2 * batch.centres[0, 0] + 1,) * 2 and batch.lungs is None
    assert ((centres < 24) | (centres > 72)).any()
    small = patch.cut(batch.images, which, batch.centres, 33, batch.rotation, batch.flip)
    assert torch.equal(small, patch.cut(images, which, centres, 33, batch.rotation, batch.flip))


@pytest.mark.parametrize("approach", ["dense", "global"])
def test_the_other_approaches_are_given_whole_images(split_pairs, approach):
    settings = settings_of(f"dir_split={split_pairs}", f"approach={approach}", "num_batch_train=3")
    chosen = training_cases.find(settings).train
    batch = next(epochs.batches(dataset.Images(chosen, settings), chosen, settings, 1))
    side = 96 if approach == "dense" else 48
    assert batch.images.shape == (3, side, side) and batch.centres.tolist() == [[side // 2] * 2] * 3
    if approach == "global":
        assert batch.lungs is None
    else:
        assert batch.lungs.shape == (3, side, side) and ((batch.images > 0) <= (batch.lungs > 0)).all()


def test_batches_for_a_gpu_are_pinned_whole(split_pairs, monkeypatch):
    """Without a GPU nothing can be: what would be is counted."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda part: pinned.append(part) or part)
    settings = settings_of(f"dir_split={split_pairs}", "num_workers=1")
    chosen = training_cases.find(settings).train
    images = dataset.Images(chosen, settings)
    assert len(list(epochs.batches(images, chosen, settings, 1))) == 6 and not pinned
    one, *_ = batches = list(epochs.batches(images, chosen, settings, 1, pin=True))
    assert len(pinned) == 5 * len(batches) and all(any(part is p for p in pinned) for part in one if part is not None)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**32))
def test_packed_lungs_give_the_same_centres(height, width, share, seed):
    lung = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    lung[seed % height, seed % width] = 1
    small = packed.pack(lung)
    assert np.array_equal(packed.unpack(small), lung) and small.nbytes == height * (-(-width // 8) + 8)
    one, other = np.random.default_rng(seed), np.random.default_rng(seed)
    for _ in range(5):
        assert packed.centre(small, one) == tuple(patch.centres(lung, 1, other)[0])
    assert one.random() == other.random()  # as many numbers were drawn


def test_training_patches_are_cut_as_patches_py_cuts_them(split_pairs):
    """The network sees exactly the windows about the drawn centres, turned and mirrored."""
    settings = settings_of(f"dir_split={split_pairs}", "num_batch_train=4")
    data = training_cases.find(settings)
    batch = next(epochs.batches(dataset.Images(data.train, settings), data.train, settings, 1))
    seen = []

    def model(x):
        seen.append(x)
        return torch.zeros(len(x), 3)

    train.cross_entropy(model, batch, settings, "cpu")
    cut = patch.cut(*whole(data.train, settings, 1, slice(0, 4)), 48, batch.rotation, batch.flip)
    assert torch.equal(seen[0], backbone.scale(cut, "imagenet")) and seen[0].shape == (4, 3, 48, 48)
