"""Which folders belong to which class."""

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from classification import header
from classification.cases import classes as class_names
from cxr.errors import BadData

PUBLISHED = header.classes


def test_folders_merge_into_classes():
    names, found = class_names.class_map(PUBLISHED, ["virus", "normal", "COVID-19"])
    assert names == ["normal", "bacterial", "tuberculosis", "viral"]
    assert found == {"normal": 0, "bacteria": 1, "Tuberculosis": 2, "virus": 3, "COVID-19": 3}


def test_without_classes_each_folder_is_one():
    assert class_names.class_map([], ["b", "a+c"]) == (["a+c", "b"], {"a+c": 0, "b": 1})
    with pytest.raises(BadData, match="rename"):
        class_names.class_map([], ["a=b", "c"])


def test_folders_may_differ_in_case():
    found = class_names.class_map(PUBLISHED, ["tuberculosis", "covid-19"])[1]
    assert (found["tuberculosis"], found["covid-19"], len(found)) == (2, 3, 7)
    # two folders that differ in case only can still be two classes
    assert class_names.class_map(["a", "A"], ["a", "A"])[1] == {"a": 0, "A": 1}


def test_an_unknown_folder_is_an_error_with_both_lists():
    with pytest.raises(BadData) as fault:
        class_names.class_map(PUBLISHED, ["normal", "SARS", "edema"])
    for word in ("SARS", "edema", "normal", "bacteria", "Tuberculosis", "virus", "COVID-19"):
        assert word in str(fault.value)


@pytest.mark.parametrize("classes", [["a", "a=b"], ["a=b", "c=b"], ["a=b+b"], ["a="], ["=b"], [""], ["a=b+"]])
def test_classes_named_badly_are_told(classes):
    with pytest.raises(BadData, match="once"):
        class_names.class_map(classes, [])


def test_folders_that_no_class_takes_become_classes_of_their_own():
    def mapped(classes, folders):
        entries, own = class_names.with_own(classes, folders)
        names, found = class_names.class_map(entries, folders)
        return {folder: names[found[folder]] for folder in folders}, own

    known = {"normal": "normal", "Virus": "viral", "COVID-19": "viral"}
    assert mapped(PUBLISHED, ["normal", "Virus", "COVID-19"]) == (known, [])
    more = known | {"SARS": "SARS", "a+b": "a+b"}
    assert mapped(PUBLISHED, [*more]) == (more, ["SARS", "a+b"])
    assert mapped(PUBLISHED, ["viral", "SARS"]) == ({"viral": "viral", "SARS": "SARS"}, ["SARS"])  # called as a class
    assert class_names.with_own(PUBLISHED, ["ill", "healthy"]) == ([], ["healthy", "ill"])  # and none of the header's
    assert class_names.with_own([], ["ill", "healthy"]) == ([], [])
    with pytest.raises(BadData, match="rename"):
        class_names.with_own(PUBLISHED, ["normal", "a=b"])


folders = st.text("abcdeXY-1 ", min_size=1, max_size=4)


@budget(max_examples=60, deadline=None)
@given(st.lists(st.lists(folders, min_size=1, max_size=3), min_size=1, max_size=4), st.booleans())
def test_entries_make_the_same_map_again(groups, written):
    flat = [folder for group in groups for folder in group]
    if len(set(flat)) < len(flat):
        return
    classes = [f"class {i}={'+'.join(group)}" for i, group in enumerate(groups)] if written else []
    names, found = class_names.class_map(classes, flat)
    assert class_names.class_map(class_names.class_entries(names, found), []) == (names, found)
