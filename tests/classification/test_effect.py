"""Which settings decide a result: one that has no meaning for an approach is no reason to refuse or to warn."""

import numpy as np
import pytest
import torch

from classification import header
from classification.cases import finder
from classification.page import contents
from classification.voting import batch, effect
from cxr import pairs
from cxr.settings import config


@pytest.mark.parametrize(
    "approach,expected,typed",
    [
        ("local", ["repeat", "vote", "patch_size"], []),
        (
            "global",
            ["patch_size"],
            ["repeat, vote typed without effect: approach=global looks at the whole image once"],
        ),
        ("dense", ["vote", "patch_size"], ["repeat typed without effect: approach=dense judges every window once"]),
    ],
)
def test_what_decides_follows_the_approach(approach, expected, typed):
    settings, _ = config.load(header, [f"approach={approach}", "repeat=4", "vote=mean", "patch_size=64"])
    names = ["repeat", "vote", "patch_size"]
    assert effect.decisive(settings, names) == expected
    assert effect.idle(settings, names) == typed
    assert effect.idle(config.load(header, [f"approach={approach}"])[0], names) == []


@pytest.mark.parametrize("approach", ["global", "dense"])
def test_what_a_script_always_uses_decides_with_any_approach(approach):
    settings, _ = config.load(header, [f"approach={approach}", "seed=4", "repeat_val=3"])
    names = ["seed", "repeat_val"]
    assert effect.decisive(settings, names) == []
    assert effect.decisive(settings, names, ("seed",)) == ["seed"]
    assert effect.idle(settings, names)[0].startswith("repeat_val, seed typed without effect")
    assert effect.idle(settings, names, ("seed",))[0].startswith("repeat_val typed without effect")
    assert effect.idle(settings, ["seed"])[0].startswith("seed typed")  # not a word of what the script never uses


@pytest.mark.parametrize("approach,told", [("local", 1), ("global", 0)])
def test_the_report_page_warns_of_maps_made_otherwise_only_if_they_are(approach, told):
    made, mapped = (
        {"settings": {"approach": approach, "repeat": repeat}, "weights": {"sha256": "1"}} for repeat in (100, 25)
    )
    assert len(contents.disagreements(made, mapped)) == told
    mapped["weights"]["sha256"] = "2"
    assert "made with other" in contents.disagreements(made, mapped)[0]


class Share:
    """One process of several, for what asks each for its part and adds these up."""

    global_rank, world_size, is_global_zero, device = 1, 2, False, torch.device("cpu")

    def all_reduce(self, tensor, reduce_op):
        others = torch.tensor(3) if reduce_op == "max" else torch.ones(1, 3)
        return torch.maximum(tensor, others) if reduce_op == "max" else tensor + others


def test_a_process_without_a_case_takes_part_in_the_sum(tmp_path):
    """With more processes than validation cases."""
    pairs.save(tmp_path, "a", np.zeros((8, 8), np.float32), np.ones((8, 8), np.uint8))
    cases = finder.find([tmp_path]).cases
    assert batch.shared(Share(), cases, config.load(header, [])[0], None).tolist() == [[1, 1, 1]]
