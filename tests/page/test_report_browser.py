"""The report page in a real browser: what a person does with mouse and keys, and what a hostile name cannot do."""

import sys

import pandas as pd
import pytest
from chromium import Browser, find
from report_runs import HOSTILE, write_run

from classification import report
from segmentation import report as masks_report

PROGRAM = find()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine: the report page is not tried out")

SHOWN = "Array.from(document.querySelectorAll('#table tbody tr:not([hidden])'))"
NAMES = f"{SHOWN}.map(row => row.querySelector('a').textContent)"
OPEN = "document.querySelector('#view').open"
FOCUS = "document.activeElement.textContent.trim()"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a drawn run, one whose pictures lie beside it, and one of 500 cases without, as addresses."""
    root = tmp_path_factory.mktemp("run #1?")
    rows = write_run(root)
    (root / "long").mkdir()
    many = pd.concat([rows[rows.status == "ok"]] * 30, ignore_index=True).head(500)
    many.assign(case=[f"case {i}" for i in range(500)]).to_csv(root / "long" / "predictions.csv", index=False)
    words = ["report.py", "-i", str(root / "run"), "dir_split=none", "dir_pairs=none"]
    linked, long = str(root / "linked.html"), str(root / "long.html")
    for more in (
        ["-o", str(root / "whole.html")],
        ["-o", linked, "--embed", "0"],
        ["-i", str(root / "long"), "-o", long],
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [*words, *more])
            report.main()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["report.py", "-i", str(root / "pairs"), "-o", str(root / "masks.html")])
        masks_report.main()
    return [(root / f"{name}.html").as_uri() for name in ("whole", "linked", "long", "masks")]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(PROGRAM, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def shown(chromium, pages):
    """The browser with the page open. Whatever a test does, nothing may be fetched, told by the console, or alerted."""
    chromium.open(pages[0])
    yield chromium
    assert chromium.console == [] and chromium.dialogs == []
    outside = [address for address in chromium.requests if not address.startswith("data:")]
    assert {address.split("#")[0] for address in outside} == {pages[0]}


def column(browser, key):
    """The values of the cases shown, in the table's order."""
    return browser.run(f"{SHOWN}.map(row => cases[row.dataset.i][{key!r}])")


def test_sort_by_mouse_and_keyboard(shown):
    before = shown.run(NAMES)
    shown.click("[data-sort=vote_entropy]")
    values = column(shown, "vote_entropy")
    assert values[-1] is None and values[:-1] == sorted(values[:-1], reverse=True)  # what failed comes last
    assert shown.run("document.querySelector('[aria-sort]').ariaSort") == "descending"
    shown.key("Enter")  # the button has the focus
    values = column(shown, "vote_entropy")
    assert values[-1] is None and values[:-1] == sorted(values[:-1])
    for key in ("label", "predicted", "right", "agreement", "probability", "set", "mask", "case"):
        shown.click(f"[data-sort={key}]")
        assert shown.run("document.querySelectorAll('[aria-sort]').length") == 1
        values = [value for value in column(shown, key) if value not in (None, "")]
        order = ["flagged", "unknown", "ok"] if key == "mask" else sorted(set(values))
        ranks = [order.index(value) for value in values]
        assert ranks == sorted(ranks) or key == "case"
    names = shown.run(NAMES)
    assert sorted(names) == sorted(before) and names.index("virus-0") < names.index("virus-5")


def test_filters(shown):
    everything = len(shown.run(NAMES))
    for name, letters, key, expected in (
        ("label", "bact", "label", {"bacterial"}),
        ("predicted", "vir", "predicted", {"viral <b>&"}),
        ("outcome", "wro", "right", {False}),
        ("outcome", "fail", "status", {"failed"}),
        ("mask", "flag", "mask", {"flagged"}),
    ):
        shown.run(f"document.querySelector('[name={name}]').focus()")
        shown.key(*letters)
        found = column(shown, key)
        assert set(found) == expected and 0 < len(found) < everything
        assert shown.text("#count") == f"{len(found)} of {everything} cases"
        shown.click("#filters [type=reset]")
        shown.wait(f"{SHOWN}.length === {everything}")
    shown.choose("[name=entropy]", "0.5")
    sure = column(shown, "vote_entropy")
    shown.choose("[name=entropy]", "-0.25")
    assert sure and min(sure) >= 0.5 * 1.0986 and max(column(shown, "vote_entropy")) < 0.25 * 1.0987
    shown.click("#filters [type=reset]")
    shown.key("/", *"VIRUS-3")
    assert shown.run(NAMES) == ["virus-3"]
    shown.key("x")
    assert shown.run(NAMES) == [] and "No case matches" in shown.text("#none")


def test_numbers_of_the_summary_lead_to_their_cases(shown):
    shown.click(".confusion tbody tr:nth-child(2) td:nth-child(3) button")
    assert {*column(shown, "label"), *column(shown, "predicted")} == {"bacterial"}
    assert len(shown.run(NAMES)) == int(shown.text(".confusion tbody tr:nth-child(2) td:nth-child(3) b"))
    assert shown.run("document.activeElement === links[shown[0]]")
    shown.click("[data-filter=mask]")
    assert set(column(shown, "mask")) == {"flagged"} and len(set(column(shown, "label"))) > 1
    assert shown.text("[data-filter=mask] b") == str(len(shown.run(NAMES)))
    shown.click("[data-filter=entropy]")
    assert shown.text("[data-filter=entropy] b") == str(len(shown.run(NAMES)))


def test_open_a_case_and_go_on_in_the_order_of_the_table(shown):
    shown.choose("[name=label]", "normal")
    shown.click("[data-sort=vote_entropy]")
    names = shown.run(NAMES)
    shown.click("#table tbody tr:not([hidden]) td:nth-child(2)")
    shown.wait(OPEN)
    assert shown.text("#view-title") == names[0] and shown.text("#place") == "1 of 6"
    assert shown.run("document.querySelector('#previous').disabled")
    for key, at in (("ArrowRight", 1), ("n", 2), ("ArrowLeft", 1), ("p", 0), ("ArrowLeft", 0)):
        shown.key(key)
        shown.wait(f"document.querySelector('#view-title').textContent === {names[at]!r}")
    shown.click("#next")
    shown.wait(f"document.querySelector('#view-title').textContent === {names[1]!r}")
    assert names[1] in shown.run("decodeURIComponent(location.hash)")
    shown.key("Escape")
    shown.wait(f"!{OPEN} && location.hash === ''")  # a dialog's close event comes after it is closed
    assert shown.run(FOCUS) == names[1]
    shown.key("ArrowDown", "Enter")  # from row to row, and in
    shown.wait(OPEN)
    assert shown.text("#view-title") == names[2]
    address = shown.run("location.href")
    shown.run("history.back()")
    shown.wait(f"!{OPEN}")
    shown.open(address)
    assert shown.run(OPEN) and shown.text("#view-title") == names[2]


def test_radiograph_map_and_outlines(shown):
    shown.run("location.hash = links[cases.findIndex(one => one.case === 'normal-3')].hash")
    shown.wait(f"{OPEN} && radiograph.complete && map.complete")
    sizes = shown.run("[radiograph, map].map(e => [e.naturalWidth, e.naturalHeight])")
    assert sizes == [[120, 100], [120, 100]]
    boxes = shown.run("['radiograph', 'map', 'outlines'].map(id => JSON.stringify(byId(id).getBoundingClientRect()))")
    assert len(set(boxes)) == 1
    assert shown.run("byId('outlines').children.length") == 2 and "left lung" in shown.text("#organs")
    shown.click("#opacity", across=0.25)
    value = int(shown.run("opacity.value"))
    assert 15 <= value <= 35 and float(shown.run("getComputedStyle(map).opacity")) == value / 100
    shown.key("ArrowRight")  # on the slider it moves the slider, not the case
    assert int(shown.run("opacity.value")) == value + 5 and shown.text("#view-title") == "normal-3"
    shown.key("m")
    assert shown.run("getComputedStyle(map).opacity") == "0"
    shown.key("m")
    assert float(shown.run("getComputedStyle(map).opacity")) == (value + 5) / 100
    shown.key("o")
    assert shown.run("getComputedStyle(byId('outlines')).visibility") == "hidden"
    before = shown.run("map.src")
    shown.run("byId('map-class').focus()")
    shown.key(*("viral" if shown.run("byId('map-class').value") == "normal" else "normal"))
    assert shown.run("map.src") != before
    shown.run("location.hash = links[cases.findIndex(one => one.case === 'normal-2')].hash")
    shown.wait("byId('view-title').textContent === 'normal-2'")
    assert "zero everywhere" in shown.text("#heat")


def test_votes_biomarkers_and_mask_of_a_case(shown):
    at = shown.run("cases.findIndex(one => one.case === 'virus-1')")
    shown.run(f"location.hash = links[{at}].hash")
    shown.wait(OPEN)
    one = shown.run(f"cases[{at}]")
    widths = shown.run("Array.from(byId('vote-bar').children, e => parseFloat(e.style.width))")
    assert widths == pytest.approx([100 * votes / 20 for votes in one["votes"]])
    rows = shown.run("Array.from(byId('vote-table').rows, row => Array.from(row.cells, cell => cell.textContent))")
    assert rows[1:] == [
        [name, str(votes), f"{p:.3f}"]
        for name, votes, p in zip(["normal", "bacterial", "viral <b>&"], one["votes"], one["p"], strict=True)
    ]
    assert one["predicted"] in shown.text("#verdict")
    assert ("right" if one["right"] else "true class: viral <b>&") in shown.text("#verdict").replace("\n", " ")
    assert "flagged" in shown.text("#mask-told") and HOSTILE in shown.text("#mask-told")
    told = shown.text("#marker-table")
    assert "Mean lung intensity" in told and "Cardiothoracic" not in told  # these have no heart
    at = shown.run("cases.findIndex(one => one.status === 'failed')")
    shown.run(f"location.hash = links[{at}].hash")
    shown.wait("byId('view-title').textContent === 'cut'")
    assert "cannot be read" in shown.text("#verdict") and not shown.run("byId('view-votes').offsetHeight")
    assert "was not found" in shown.text("#told") and not shown.run("frame.offsetHeight")


def test_a_hostile_name_is_text(shown):
    link = "links[cases.findIndex(one => one.case.startsWith('<img'))]"
    assert shown.run(f"{link}.textContent") == HOSTILE and shown.run(f"{link}.querySelector('img')") is None
    shown.run(f"{link}.closest('tr').id = 'hostile'")
    shown.click("#hostile th a")
    shown.wait(OPEN)
    assert shown.text("#view-title") == HOSTILE and HOSTILE in shown.text("#view-about")
    assert shown.run("radiograph.alt") == f"Radiograph of {HOSTILE}"
    assert shown.run("document.querySelectorAll('img[onerror], img[src=x], #view bdi *').length") == 0
    # Even what did become an element could run nothing.
    shown.run("document.body.insertAdjacentHTML('beforeend', '<p onclick=\"document.title = 1\">x</p>')")
    shown.run("document.body.lastElementChild.click()")
    assert shown.run("document.title") != "1"
    assert any("Content Security Policy" in text for text in shown.console)
    shown.console.clear()


def test_themes_and_widths(chromium, pages):
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = (chromium.open(pages[0], dark=dark) or chromium.run(paper) for dark in (False, True))
    assert sum(map(int, light[4:-1].split(", "))) > 600 and sum(map(int, dark[4:-1].split(", "))) < 150
    chromium.click("#theme")
    assert chromium.run(paper) == light and chromium.text("#theme span") == "light"
    chromium.click("#theme")
    chromium.open(pages[0])
    assert chromium.run(paper) == dark  # chosen before, and kept
    chromium.click("#theme")
    for width, height in ((390, 844), (768, 1024), (1400, 1000)):
        chromium.open(pages[0], width, height)
        assert chromium.run("document.documentElement.scrollWidth") == width
        assert chromium.run("document.querySelector('.bar .caution').getBoundingClientRect().height > 20")
        chromium.click("#table tbody tr:nth-child(3) a")
        chromium.wait(OPEN)
        assert chromium.run("view.scrollWidth") <= width and chromium.run("frame.offsetWidth") > 0.45 * width
        assert chromium.run("document.querySelector('#view .caution').getBoundingClientRect().bottom") < 200
    assert chromium.console == []


def test_every_control_can_be_reached_and_shows_its_focus(shown):
    seen = []
    for _ in range(60):
        shown.key("Tab")
        seen.append(
            shown.run("""(e => [e.id || e.name || e.dataset.sort || e.className || e.tagName,
                                        getComputedStyle(e).outlineStyle])(document.activeElement)""")
        )
        if seen[-1][0] == "A":
            break
    names = [name for name, _ in seen]
    assert {"theme", "search", "label", "outcome", "entropy", "mask", "case", "vote_entropy", "A"} <= set(names)
    assert {style for name, style in seen} <= {"solid", "auto"}
    shown.key("Enter")
    shown.wait(OPEN)
    for _ in range(8):  # within the case, and the browser's own bar, until it is closed
        shown.key("Tab")
        assert shown.run("view.contains(document.activeElement) || document.activeElement === document.body")


def test_pictures_beside_the_page(chromium, pages):
    chromium.open(pages[1])
    chromium.click("#table tbody tr:nth-child(2) a")
    chromium.wait(f"{OPEN} && radiograph.complete && map.complete")
    assert chromium.run("radiograph.naturalWidth") == 120 and chromium.run("map.naturalWidth") == 120
    chromium.wait("document.querySelector('.thumb img').naturalWidth > 20")  # it is loaded lazily
    root = pages[1].rsplit("/", 1)[0]
    assert all(address.startswith((root, "data:")) for address in chromium.requests)
    assert chromium.console == []


def test_a_long_table_comes_as_it_is_scrolled(chromium, pages):
    chromium.open(pages[2])
    assert len(chromium.run(NAMES)) == 200 and chromium.text("#count") == "500 cases"
    chromium.run("scrollTo(0, document.body.scrollHeight)")
    chromium.wait(f"{SHOWN}.length === 400")
    chromium.click("[data-sort=case]")
    chromium.key("Enter")
    assert chromium.run(NAMES) == [f"case {i}" for i in range(499, 299, -1)]
    chromium.run("document.querySelector('#table tbody tr:nth-child(199) a').focus({preventScroll: true})")
    chromium.key("Enter")
    chromium.wait(OPEN)
    assert chromium.text("#place") == "199 of 500" and "pair of this case was not found" in chromium.text("#told")
    chromium.key("n", "n", "n")
    assert chromium.text("#place") == "202 of 500"
    chromium.key("Escape")
    chromium.wait(f"!{OPEN} && location.hash === ''")
    assert chromium.run(FOCUS) == "case 298" and chromium.console == []


def test_the_page_of_stage_1(chromium, pages):
    """On a phone the flags stand beside the names; a case opens with its outlines and without votes."""
    chromium.open(pages[3], 390, 844)
    badges = f"{SHOWN}.filter(row => row.querySelector('.badge.warn')?.checkVisibility()).length"
    assert chromium.run(badges) == 4
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
    chromium.open(pages[3])
    for key in ("ctr", "margin", "mask", "view"):
        chromium.click(f"[data-sort={key}]")
    chromium.click("#table tbody a")
    chromium.wait(OPEN)
    assert chromium.run("document.querySelectorAll('#outlines path').length") > 1
    assert chromium.run(
        "document.querySelector('#view-votes').hidden && document.querySelector('#verdict').innerText === ''"
    )
    assert chromium.console == [] and chromium.dialogs == []
