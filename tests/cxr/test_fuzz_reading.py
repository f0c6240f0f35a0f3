"""A few hundred mutated files; `python -m tests.fuzz_reading --count 100000` reads as many as one has time for."""

import numpy as np

from cxr.reading import radiograph
from tests import fuzz_reading


def test_whole_files_of_every_kind_are_read(tmp_path):
    for name, data in (fuzz_reading.pictures() | fuzz_reading.dicoms(tmp_path)).items():
        (tmp_path / "x").write_bytes(data)
        image = radiograph.read(tmp_path / "x")
        assert image.pixels.shape in ((60, 72), (72, 60)), name
        assert image.pixels.shape == ((72, 60) if name.split()[-1] == "turned" else (60, 72)), name


def test_mutated_files_are_read_or_refused_in_a_sentence(tmp_path):
    report = fuzz_reading.fuzz(400, 20, tmp_path)
    assert report.findings == []
    assert report.read.total() + report.refused.total() == 400 and min(report.read.total(), report.refused.total()) > 50


def test_a_mutation_is_the_same_again():
    whole = list(fuzz_reading.pictures().values())
    one, same = (fuzz_reading.mutate(whole[0], whole, np.random.default_rng((3, 7))) for _ in range(2))
    assert one == same != whole[0]
