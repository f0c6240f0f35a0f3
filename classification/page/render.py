"""report.html out of its template: one page that needs no network, with what it holds told in JSON."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from cxr import writing

TEMPLATES = Path(__file__).resolve().parent / "templates"
SCRIPTS = ("table.js", "view.js")


def write(file: Path, content: Mapping) -> None:
    """Render the template report.html.jinja with `content` into a file, whole or not at all. Raises LookupError for
    what the template looks for in vain, as in metrics.json."""
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    # Nothing but these lines may run, whatever a file's name tries, and nothing may be fetched from anywhere else.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data": data, "decimals": decimals, "anchor": anchor}
    stream = environment.get_template("report.html.jinja").stream(
        content,
        script=Markup(script),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        allowed=allowed,
    )
    stream.enable_buffering(64)
    try:
        with writing.replacing(file, "w") as opened:
            stream.dump(opened)
    except jinja2.UndefinedError as error:
        raise LookupError(error.message) from error


def data(held) -> Markup:
    """Plain types as JSON to stand within a script element, which no < can end."""
    text = json.dumps(held, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def decimals(value, digits: int = 2) -> str:
    """A number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def anchor(case: Mapping) -> str:
    """The part of an address behind # that opens a case."""
    seed = "" if case["seed"] is None else f"/{case['seed']}"
    return f"case={quote(case['folder'], safe='')}/{quote(case['case'], safe='')}{seed}"
