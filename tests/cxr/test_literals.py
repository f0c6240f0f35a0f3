"""What a typed value becomes, by the type of the default it replaces."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxr.settings import literals


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ("fcdensenet103", "fcdensenet56", "fcdensenet56"),
        ("a", "'a b'", "a b"),
        ("a", "", ""),
        ("a", "a=b", "a=b"),
        ("a", "'", "'"),
        ("a", "None", "None"),
        (0.2, "0", 0.0),
        (0.2, "1e-3", 0.001),
        (4, "1e3", 1000),
        (4, "-1", -1),
        (4, "123456789012345678901", 123456789012345678901),
        ((0.9, 0.999), "0.5,1", (0.5, 1.0)),
        ((0.9, 0.999), "(0.5, 1)", (0.5, 1.0)),
        ((0.9, 0.999), "[0.5,1]", (0.5, 1.0)),
        ((0.9, 1), "1,2", (1.0, 2.0)),
        ([70, 80], "10,20,", [10, 20]),
        ([70, 80], "5", [5]),
        ([70, 80], "[]", []),
        (["a"], "2020, b", ["2020", "b"]),
        (["a"], "['b, c']", ["b, c"]),
        ([], "1,b", [1, "b"]),
        (((1, 2), (3, 4)), "[(5, 6)]", ((5, 6),)),
        (False, "True", True),
        (False, "yes", True),
        (False, "1", True),
        (True, "false", False),
        (True, "no", False),
        ([True], "0,1", [False, True]),
        (None, "7", 7),
        (None, "None", None),
        (None, "word", "word"),
        (None, "007", "007"),
        ({"viral": "COVID-19"}, "{'a': 'b'}", {"a": "b"}),
    ],
)
def test_text_takes_the_type_of_the_default(default, text, value):
    found = literals.convert(text, default)
    assert found == value and type(found) is type(value)
    if isinstance(value, (list, tuple)):
        assert [type(item) for item in found] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("default", "texts"),
    [
        (0.2, ["high", "nan", "inf", "", "True", "0.1,0.2"]),
        (4, ["1.5", "True", "1e999", "", "9" * 5000, "nan"]),
        (True, ["maybe", "2", ""]),
        ((0.9, 0.999), ["(0.5", "0.5,x", "", "(True, 1)", "(None,)"]),
        ([70, 80], ["1.5", "1,,2", "[3.7]", "{1}", "[10 ** 9]"]),
        (["a"], ["[1]", "[['b']]", ","]),
        ({"a": "b"}, ["3", "{1: 2}", "{", "", "{'a': {1}}"]),
    ],
)
def test_text_of_another_type_is_refused(default, texts):
    for text in texts:
        with pytest.raises(literals.REFUSALS):
            literals.convert(text, default)


def test_kinds_read_as_words():
    defaults = [4, 0.5, True, [70], (0.9, 1), None]
    kinds = ["an int", "a float", "a bool", "a list of int", "a tuple", "a Python literal or text"]
    assert [literals.kind(default) for default in defaults] == kinds


WHOLE = st.integers(-(2**53), 2**53)  # beside a float an integer becomes one, exactly up to here
PLAIN = st.one_of(st.none(), st.booleans(), WHOLE, st.floats(allow_nan=False, allow_infinity=False), st.text())


@settings(deadline=None)  # other work on the machine is no failure
@example([None, "0"])
@example([True, "1"])
@example(["'b'"])
@example([None, ["0", {"a": "1"}]])
@example([["0", None], [], ["1"]])
@example({"a": [None, "0"]})
@given(st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(st.text(), PLAIN)))
def test_a_value_typed_as_python_prints_it_comes_back(value):
    assert literals.convert(repr(value), value) == value


@settings(deadline=None)  # other work on the machine is no failure
@given(st.text(), st.sampled_from([None, True, 3, 0.5, "a", (1, 2), [0.5], ["a"], {"a": 1}, [], ()]))
def test_any_text_is_taken_or_refused(text, default):
    try:
        value = literals.convert(text, default)
    except literals.REFUSALS:
        return
    assert literals.is_plain(value)
    assert default is None or type(value) is type(default)
