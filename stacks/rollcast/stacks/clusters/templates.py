"""Manifests from a folder of templates: Jinja2 in a sandbox, each variable known, each object inside its namespace.

Pure but for the reading of files. Every refusal names the file and, where it can be known, the line. A line is that of
the template where rendering kept the number of lines, else that of the text that came out, which is said.
"""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateNotFound
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from rollcast.planner.base.errors import did_you_mean
from rollcast.stacks.base.errors import StackError

VARIABLES = (
    "name", "namespace", "component", "pipeline", "instance", "reference", "kind", "digest", "release", "replicas",
    "needs", "parameters", "region", "regions", "content", "content_items",
)  # fmt: skip
_SUFFIXES = (".yaml", ".yml", ".json")
_MOST_BYTES = 900 * 1024


@dataclass(frozen=True)
class RenderedObject:
    """One object that a template renders to. `where`: file and line."""

    body: dict[str, Any]
    where: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.body["apiVersion"].rpartition("/")[0], self.body["kind"], self.body["metadata"]["name"]


def rendered(folder: Path, shown: str, values: Mapping[str, Any]) -> list[RenderedObject]:
    """The objects of a folder's templates, in the order of files. Raises StackError.

    `shown`: the folder as it is declared; `values`: one for each of VARIABLES.
    """
    files = sorted(each for each in folder.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
    if not files:
        raise StackError(
            f"{shown} has no template: there is no file *.yaml in it. Correct 'templates', or put manifests there."
        )
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, keep_trailing_newline=True, auto_reload=False
    )
    found: list[RenderedObject] = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        text, is_same = _text(environment, file, name, f"{shown}/{name}", values)
        found += _manifests(text, f"{shown}/{name}", is_same)
    if not found:
        raise StackError(f"{shown} renders to no object at all. Put manifests there.")
    if sum(len(json.dumps(each.body)) for each in found) > _MOST_BYTES:
        raise StackError(f"{shown} renders to more than {_MOST_BYTES // 1024} KiB for one instance. Make it smaller.")
    _refuse_twice(found)
    for each in found:
        _refuse_outside(each, str(values["name"]), str(values["namespace"]))
    return found


def _text(
    environment: ImmutableSandboxedEnvironment, file: Path, name: str, shown: str, values: Mapping[str, Any]
) -> tuple[str, bool]:
    """What a file renders to, and whether its lines are those of the file."""
    try:
        source = file.read_text("utf-8")
        _refuse_unknown(environment, source, shown)
        text = environment.get_template(name).render(values)
    except TemplateSyntaxError as error:
        raise StackError(f"{shown}:{error.lineno}: {error.message}. Correct the template.") from None
    except TemplateNotFound as error:
        raise StackError(f"{shown}: there is no template '{error.name}'. Correct what it includes.") from None
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        line = next(
            (at.lineno for at in reversed(traceback.extract_tb(error.__traceback__)) if at.filename == str(file)), 0
        )
        raise StackError(f"{shown}:{line or 1}: {error}. Correct the template.") from None
    except OSError as error:
        raise StackError(f"{shown} can't be read ({error.strerror}). Correct its permissions.") from None
    return text, text.count("\n") == source.count("\n")


def _refuse_unknown(environment: ImmutableSandboxedEnvironment, source: str, shown: str) -> None:
    tree = environment.parse(source)
    unknown = find_undeclared_variables(tree) - {*VARIABLES, *environment.globals}
    for node in sorted(tree.find_all(nodes.Name), key=lambda each: each.lineno):
        if node.name in unknown:
            hint = did_you_mean(node.name, VARIABLES)
            raise StackError(f"{shown}:{node.lineno}: '{node.name}' is no variable of a template. {hint}")


def _manifests(text: str, shown: str, is_same: bool) -> list[RenderedObject]:
    found = []
    for number, (line, data) in enumerate(_documents(text, shown), 1):
        where = f"{shown}:{line}" if is_same else f"{shown}, document {number} of what it renders to"
        if data is None:
            continue
        metadata = data.get("metadata") if isinstance(data, dict) else None
        if not isinstance(metadata, dict) or not all(isinstance(data.get(key), str) for key in ("apiVersion", "kind")):
            raise StackError(f"{where}: it is no manifest: it needs 'apiVersion', 'kind' and 'metadata'. Correct it.")
        if not isinstance(metadata.get("name"), str):
            raise StackError(f"{where}: metadata.name is no text. Write 'name: {{{{ name }}}}'.")
        try:
            found.append(RenderedObject(json.loads(json.dumps(data, allow_nan=False)), where))
        except (TypeError, ValueError) as error:
            raise StackError(f"{where}: a value is none of JSON ({error}). Put it into quotes.") from None
    return found


def _documents(text: str, shown: str) -> list[tuple[int, Any]]:
    """(line, data) of each document, read as `kubectl` does: YAML 1.1, in which 0644 is octal."""
    try:
        lines = [node.start_mark.line + 1 if node is not None else 1 for node in _yaml().compose_all(io.StringIO(text))]
        return list(zip(lines, _yaml().load_all(io.StringIO(text)), strict=True))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise StackError(f"{shown}:{line}: {error.problem or 'it is no YAML'}. Correct the template.") from None
    except (YAMLError, ValueError) as error:
        raise StackError(f"{shown}: it is no YAML ({str(error).splitlines()[0]}). Correct the template.") from None


def _yaml() -> YAML:
    made = YAML(typ="safe", pure=True)
    made.version = (1, 1)
    return made


def _refuse_twice(found: list[RenderedObject]) -> None:
    seen: dict[tuple[str, str, str], RenderedObject] = {}
    for each in found:
        first = seen.setdefault(each.key, each)
        if first is not each:
            _, kind, name = each.key
            raise StackError(
                f"{each.where}: {kind} {name} stands at {first.where}, too. Give one of them another name."
            )


def _refuse_outside(each: RenderedObject, name: str, namespace: str) -> None:
    metadata, kind = each.body["metadata"], each.body["kind"]
    own = metadata["name"]
    given = metadata.get("namespace", namespace)
    if given != namespace:
        raise StackError(
            f"{each.where}: {kind} {own} is in namespace '{given}', and this environment's is '{namespace}'. Take "
            "'namespace' from the template, or correct that of the declaration."
        )
    if own != name and not own.startswith(f"{name}-"):
        raise StackError(
            f"{each.where}: {kind} is called '{own}', as that of every other instance would be. Two versions run side "
            "by side, so write 'name: {{ name }}', or begin with it: '{{ name }}-config'."
        )
    if kind == "Secret":
        raise StackError(
            f"{each.where}: a template makes no Secret, for rollcast's record would keep it in the clear. Make it "
            "yourself, and name it in the template ('secretKeyRef')."
        )
    if each.body.get("items") is not None and kind.endswith("List"):
        raise StackError(
            f"{each.where}: {kind} is a list of objects. Write each as a document of its own, after '---'."
        )


__all__ = ["VARIABLES", "RenderedObject", "rendered"]
