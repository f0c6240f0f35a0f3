"""From the network's small probabilities to a radiograph's own grid."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segmentation import segment


@pytest.mark.parametrize("size", [(90, 70), (23, 31), (500, 333)])
def test_the_largest_class_is_that_of_torch_s_bilinear_interpolation(size):
    p = torch.randn(4, 37, 53, generator=torch.Generator().manual_seed(0)).softmax(0)
    large = F.interpolate(p[None], size, mode="bilinear", align_corners=False)[0]
    first, second = large.topk(2, dim=0).values
    differ = segment.largest(p.numpy(), size[::-1]) != large.argmax(0).numpy()
    assert not differ[(first - second).numpy() > 1e-5].any() and differ.mean() < 1e-3
    lying_otherwise = p.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert np.array_equal(segment.largest(lying_otherwise.numpy(), size), segment.largest(p.numpy(), size))


def test_of_equal_classes_the_first_is_the_largest():
    p = torch.randint(0, 3, (4, 37, 53), generator=torch.Generator().manual_seed(0)).float()
    assert np.array_equal(segment.largest(p.numpy(), (53, 37)), p.argmax(0).numpy())
    assert segment.largest(np.ones((4, 2, 2), np.float32), (2, 2)).sum() == 0


def test_a_label_map_fills_the_box_and_nothing_else():
    p = torch.zeros(4, 8, 8)
    p[3, :, :3], p[2, :, 5:] = 1.0, 1.0
    p[0, :, 3:5] = 1.0
    image = np.full((120, 200), 90, np.float32)
    before, labels, _, margin = segment.label_map(p, segment.Prepared(image, (10, 110, 20, 180), None, None))
    assert margin == pytest.approx(1.0)
    assert before.shape == labels.shape == image.shape and before.dtype == labels.dtype == np.uint8
    assert set(np.unique(before[10:110, 20:180])) == {0, 2, 3} and before[60, 40] == 3 and before[60, 160] == 2
    before[10:110, 20:180] = 0
    assert not before.any()
