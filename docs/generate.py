"""Writes the pages of docs/reference from the code: models, commands and formats say themselves what they are.

`python docs/generate.py` writes them; a test fails when what is committed is not what the code says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

REFERENCE = Path(__file__).parent / "reference"
TERMS = Path(__file__).parent / "terms.yaml"
NOTE = "<!-- Written by docs/generate.py from the code. Edit the code. -->"
Schema = Mapping[str, Any]


def pages() -> dict[str, str]:
    """Every generated page by file name."""
    return {"declaration.md": declaration(), "commands.md": commands(), "json.md": formats(), "glossary.md": glossary()}


# ---- models -------------------------------------------------------------------------------------


def declaration() -> str:
    """All keys of rollcast.yaml."""
    from rollcast.planner.declaration.models import Declaration
    from rollcast.plugins.finding import brought_by
    from rollcast.plugins.settings import SEAMS, models

    lines = [NOTE, "", "# Declaration", ""]
    lines += [
        "What may stand in `rollcast.yaml`. `rollcast schema` prints the same as a JSON Schema for editors; every",
        "mistake is reported with its line, its column and the nearest valid name by `rollcast validate`.",
        "",
        *model(Declaration.model_json_schema(by_alias=True), "declaration"),
        "## Settings of kinds {: #declaration-kinds }",
        "",
        "What stands beside `kind`, for each kind that rollcast brings. Installed packages may bring more.",
        "",
    ]
    for key, kind, settings in models():
        if brought_by(SEAMS[key][0], kind).startswith("rollcast "):
            schema = settings.model_json_schema(by_alias=True)
            lines += [f"### {key}: `kind: {kind}` {{: #declaration-{key}-{kind} }}", ""]
            lines += [_first_paragraph(schema.get("description", "")), ""]
            own, nested = f"declaration-{key}-{kind}", schema.get("$defs", {})
            lines += [*_fields(schema, nested, own), ""] if schema.get("properties") else []
            for name, body in nested.items():
                lines += [f"#### {_readable(name)} {{: #{_anchor(own, name)} }}", ""]
                lines += [_first_paragraph(body.get("description", "")), "", *_fields(body, nested, own), ""]
    return "\n".join(lines) + "\n"


def formats() -> str:
    """What `--format json` and saved files hold."""
    from rollcast.planner.plan.models import Plan
    from rollcast.policies import Judgement
    from rollcast.simulator.forecast.models import Forecast
    from rollcast.stacks.ledger.records import Record

    described: list[tuple[str, str, type[BaseModel], str]] = [
        ("Plan", "`rollcast plan --format json` and `--out`. `milestones[].serving` lists all shares of the "
         "pipelines in `milestones[].pipelines`; in all others nothing moves. `rollback[].operations` are operation "
         "ids with the operations themselves in `steps`; there `serving` is a map of lines that move.",
         Plan, "plan"),
        ("Forecast", "`rollcast simulate --format json` and `--out`.", Forecast, "forecast"),
        ("Guardrail", "An entry of a plan's `guardrails`.", Judgement, "guardrail"),
        ("Ledger record", "What `rollcast history` and `audit` read; `body` depends on the kind.", Record, "record"),
    ]  # fmt: skip
    lines = [NOTE, "", "# JSON formats", ""]
    lines += [
        "Readers ignore fields that they don't know and refuse a `format_version` with another major number. Times are",
        "seconds (`_s`), money US dollars (`_usd`). `null` stands for a value that does not exist.",
        "",
    ]
    for title, where, of, key in described:
        schema = of.model_json_schema(mode="serialization", by_alias=True)
        lines += [f"## {title}", "", where, "", *model(schema, key, level=3)]
    return "\n".join(lines) + "\n"


def model(schema: Schema, key: str, level: int = 2) -> list[str]:
    """A model and every model that it uses, each with a table of its fields."""
    known: Mapping[str, Schema] = schema.get("$defs", {})
    lines = [*_fields(schema, known, key), ""]
    for name in sorted(known):
        anchor = _anchor(key, name)
        lines += [f"{'#' * level} {_readable(name)} {{: #{anchor} }}", ""]
        text = _first_paragraph(known[name].get("description", ""))
        lines += [text, ""] if text else []
        if "enum" in known[name]:
            lines += ["One of " + ", ".join(f"`{value}`" for value in known[name]["enum"]) + ".", ""]
        elif "properties" in known[name]:
            lines += [*_fields(known[name], known, key), ""]
        else:
            lines += [_type(known[name], known, key), ""]
    return lines


def _fields(schema: Schema, known: Mapping[str, Schema], key: str) -> Iterator[str]:
    wanted = set(schema.get("required", ()))
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, about in schema.get("properties", {}).items():
        default = "**needed**" if name in wanted and "default" not in about else _default(about)
        meaning = _cell(_first_paragraph(about.get("description", "")) or _meaning(about, known))
        yield f"| `{name}` | {_cell(_type(about, known, key))} | {_cell(default)} | {meaning} |"


def _meaning(about: Schema, known: Mapping[str, Schema]) -> str:
    """What the model that a field refers to says of itself."""
    name = _reference(about)
    return _first_paragraph(known[name].get("description", "")) if name in known else ""


def _reference(about: Schema) -> str:
    return str(about.get("$ref", "")).rpartition("/")[2]


def _type(about: Schema, known: Mapping[str, Schema], key: str) -> str:
    if "$ref" in about:
        name = _reference(about)
        return f"[{_readable(name)}](#{_anchor(key, name)})" if name in known else f"`{name}`"
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    for several in ("anyOf", "oneOf"):
        if several in about:
            return " or ".join(dict.fromkeys(_type(each, known, key) for each in about[several]))
    if about.get("type") == "array":
        inner = about.get("prefixItems")
        if inner:
            return "[" + ", ".join(_type(each, known, key) for each in inner) + "]"
        return f"list of {_type(about.get('items', {}), known, key)}"
    if about.get("type") == "object":
        values = about.get("additionalProperties") or next(iter(about.get("patternProperties", {}).values()), None)
        return f"map of {_type(values, known, key)}" if isinstance(values, dict) and values else "map"
    kinds = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "nothing"}
    return kinds.get(str(about.get("type")), str(about.get("type", "anything"))) + _range(about)


def _range(about: Schema) -> str:
    bounds = [("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")]
    found = [f"{sign} {about[name]:g}" for name, sign in bounds if name in about]
    return f" ({', '.join(found)})" if found else ""


def _default(about: Schema) -> str:
    if "default" not in about:
        return ""
    text = json.dumps(about["default"], ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else ""


def _anchor(key: str, name: str) -> str:
    return f"{key}-{name.lower()}".replace("_", "-")


def _readable(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() and i else c for i, c in enumerate(name.partition("-")[0])).strip()


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# ---- words --------------------------------------------------------------------------------------


def glossary() -> str:
    """The words of `terms.yaml`, in order."""
    from ruamel.yaml import YAML

    terms = YAML(typ="safe").load(TERMS.read_text("utf-8"))
    lines = [NOTE, "", "# Glossary", "", "One word for each concept: in code, messages, pages and JSON.", ""]
    lines += ["| word | meaning |", "| --- | --- |"]
    lines += [f"| {term['term']} | {_cell(term['means'])} |" for term in sorted(terms, key=lambda term: term["term"])]
    return "\n".join(lines) + "\n"


# ---- commands -----------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its options."""
    from rollcast.cli.main import app

    group: Any = typer.main.get_command(app)
    lines = [NOTE, "", "# Commands", ""]
    lines += [
        "Results go to standard output, everything else to standard error. `-C DIR`, `--env NAME` and `--file FILE`",
        "choose project, environment and declaration, before or after the command. `-C` changes into the folder before",
        "anything is read, as `git -C` does: every relative path on the command line is below it.",
        "",
        *_exit_codes(),
        *_options(group),
    ]
    for name, command in group.commands.items():
        lines += _command(name, command)
    return "\n".join(lines) + "\n"


def _exit_codes() -> list[str]:
    known = [
        ("0", "done, or no change"),
        ("1", "an error, usage errors included"),
        ("2", "`plan --detailed-exitcode`: there are changes"),
        ("3", "a mandatory guardrail blocks"),
        ("4", "rolled back"),
        ("5", "held: a person, or more evidence, must come"),
        ("6", "the plan is stale"),
        ("7", "locked by another rollout"),
        ("130", "interrupted, resumable"),
    ]
    rows = [f"| {code} | {meaning} |" for code, meaning in known]
    return ["| exit code | meaning |", "| --- | --- |", *rows, ""]


def _command(name: str, command: Any, above: str = "rollcast") -> list[str]:
    full = f"{above} {name}"
    if hasattr(command, "commands"):
        lines = [f"## {full}", "", _cell(command.help or ""), ""]
        for inner, each in command.commands.items():
            lines += [f"#{line}" if line.startswith("## ") else line for line in _command(inner, each, full)]
        return lines
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = f"{full} [OPTIONS] {' '.join(str(p.metavar or p.name).upper() for p in arguments)}".strip()
    return [f"## {full}", "", command.help or "", "", "```", usage, "```", "", *_options(command)]


def _options(command: Any) -> list[str]:
    """A table of arguments and options, in the words of `--help`."""
    context = typer.Context(command)
    rows = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is None or parameter.name in ("install_completion", "show_completion", "help"):
            continue
        rows.append(f"| `{_cell(record[0])}` | {_cell(record[1])} |")
    return ["| option | meaning |", "| --- | --- |", *rows, ""] if rows else []


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, "utf-8")
