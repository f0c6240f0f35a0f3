"""Cases that several processes share."""

import torch
from drawn_pairs import write

from classification import header
from classification.cases import finder, stream
from cxr.settings import config


class Share:
    """One process of several, for what asks each for its part and adds these up."""

    global_rank, world_size, is_global_zero, device = 1, 2, False, torch.device("cpu")

    def all_reduce(self, tensor, reduce_op):
        others = torch.tensor(3) if reduce_op == "max" else torch.ones(1, 3)
        return torch.maximum(tensor, others) if reduce_op == "max" else tensor + others


def test_a_process_without_a_case_takes_part_in_the_sum(tmp_path):
    """With more processes than validation cases."""
    write(tmp_path, "a")
    cases = finder.find([tmp_path]).cases
    assert stream.shared(Share(), cases, config.load(header, [])[0], None).tolist() == [[1, 1, 1]]
