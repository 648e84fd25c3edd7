"""A page as one HTML file: style and script inside, nothing fetched, and a policy that allows exactly these two texts.

Templates are autoescaped; only drawings of our own (`Markup`, which escapes what is put into it) are taken as they are.
Control characters are taken out of the whole text at the end. Should an escape ever be missed, the policy still lets
no foreign script run.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rollcast.cli.reports.page import SIGNS, Page
from rollcast.cli.terminal import clean


def html_of(page: Page) -> str:
    """The page as one file that fetches nothing and runs no script but its own."""
    style, script = asset("page.css"), asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{source(style)}'; script-src '{source(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return rendered("report.html.j2", page=page, style=Markup(style), script=Markup(script), policy=Markup(policy))


def rendered(template: str, **values: Any) -> str:
    """A template with its values, without control characters wherever they came from."""
    return clean(environment().get_template(template).render(**values))


@cache
def environment() -> Environment:
    """The templates of this package. Every value is escaped; a value that is missing is an error."""
    loaded = Environment(
        loader=PackageLoader("rollcast.cli.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    loaded.globals["signs"] = SIGNS
    return loaded


@cache
def asset(name: str) -> str:
    """The text of a style or a script."""
    return files("rollcast.cli.reports").joinpath("templates", name).read_text("utf-8")


def source(text: str) -> str:
    """The source expression that allows exactly this text (Content Security Policy level 3, hash-source)."""
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()
