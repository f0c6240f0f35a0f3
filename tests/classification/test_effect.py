"""Which settings decide a result: one that has no meaning for an approach is no reason to refuse or to warn."""

import pytest

from classification import header
from classification.page import contents
from classification.voting import effect
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
