"""The learning rate over a training, and what is said when a run goes on with another end."""

from types import SimpleNamespace

import numpy as np
import pytest

from classification import header as header_2
from cxr.errors import BadRun
from cxr.run import schedule
from cxr.settings import config
from segmentation import header as header_1


def settings_of(header, *words):
    return config.load(header, ["learning_rate=1", *words])[0]


@pytest.mark.parametrize("header", [header_1, header_2])
def test_one_cycle_is_the_same_in_both_stages(header):
    settings = settings_of(header, "schedule=onecycle", "epoch_max=10")
    rates = [schedule.learning_rate(settings, progress) for progress in np.linspace(0, 10, 101)]
    assert np.argmax(rates) == 20 and max(rates) == 1 and rates[10] == pytest.approx(0.52)
    assert rates[0] == pytest.approx(0.04) and rates[60] == pytest.approx(0.5005) and rates[-1] == pytest.approx(1e-3)
    assert np.all(np.diff(rates[:21]) > 0) and np.all(np.diff(rates[20:]) < 0)


def test_steps_and_a_constant():
    settings = settings_of(header_1, "milestones=[2,4]")
    found = [schedule.learning_rate(settings, progress) for progress in (0, 1.9, 2, 3.9, 4, 99)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert {schedule.learning_rate(settings_of(header_2), progress) for progress in (0, 3.3, 99)} == {1.0}


@pytest.mark.parametrize(
    "header,word,known", [(header_1, "constant", "step or onecycle"), (header_2, "step", "constant or onecycle")]
)
def test_each_stage_has_its_own_schedules(header, word, known):
    with pytest.raises(BadRun, match=f"schedule='{word}' is unknown; it is {known}"):
        schedule.learning_rate(settings_of(header, f"schedule={word}"), 0)


def test_a_run_that_goes_on_to_another_end_leaves_its_curve():
    settings = SimpleNamespace(schedule="onecycle", epoch_max=20, learning_rate=1e-3)
    told = schedule.jump(settings, {"settings": {"epoch_max": 10}, "epoch": 10})
    assert "epoch_max was 10 and is 20" in told and "goes on from 0.00069, after 1e-06 at the end of epoch 10" in told
    assert schedule.jump(settings, {"settings": {"epoch_max": 20}, "epoch": 10}) == ""
    assert schedule.jump(settings, None) == ""
    settings.schedule = "constant"
    assert schedule.jump(settings, {"settings": {"epoch_max": 10}, "epoch": 10}) == ""
