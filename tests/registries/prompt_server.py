"""A server that answers as Langfuse does for prompts, as its own client expects it (see `test_langfuse`)."""

from __future__ import annotations

import base64
import re
from typing import Any

from tests.registries.api import ApiServer, Asked, Reply, said

_PROMPT = re.compile(r"/api/public/v2/prompts/(.+)")
_INCLUDED = re.compile(r"@@@langfusePrompt:name=([^|@]+)\|(version|label)=([^@]+)@@@")


class PromptServer(ApiServer):
    """prompts: name -> its versions, the first is 1. labels: (name, label) -> version."""

    public, secret = "pk-lf-1", "sk-lf-secret"

    def __init__(self) -> None:
        super().__init__()
        self.prompts: dict[str, list[dict[str, Any]]] = {}
        self.labels: dict[tuple[str, str], int] = {}

    def put(self, name: str, prompt: Any, label: str = "production", config: Any = None) -> int:
        """Makes a new version and sets a label to it; gives its number."""
        versions = self.prompts.setdefault(name, [])
        versions.append(
            {"prompt": prompt, "config": config or {}, "type": "text" if isinstance(prompt, str) else "chat"}
        )
        self.labels[name, label] = self.labels[name, "latest"] = len(versions)
        return len(versions)

    def reply(self, asked: Asked) -> Reply:
        wanted = base64.b64encode(f"{self.public}:{self.secret}".encode()).decode()
        if asked.authorization != f"Basic {wanted}":
            return said({"message": "Invalid credentials. Confirm that you've configured the correct host."}, 401)
        found = _PROMPT.fullmatch(asked.path)
        number = self._number(found[1], asked.query) if found else 0
        if not found or not number:
            return said({"message": "Prompt not found", "error": "LangfuseNotFoundError"}, 404)
        name, version = found[1], self.prompts[found[1]][number - 1]
        included: list[dict[str, Any]] = []
        return said(
            {
                "id": f"{name}-{number}", "createdAt": "2026-11-01T10:00:00.000Z", "projectId": "p", "createdBy": "API",
                "updatedAt": "2026-11-01T10:00:00.000Z", "name": name, "version": number, "isActive": None, "tags": [],
                "labels": [each for (of, each), at in self.labels.items() if of == name and at == number],
                "commitMessage": None, "type": version["type"], "config": version["config"],
                "prompt": self._whole(version["prompt"], included),
                "resolutionGraph": {
                    "root": {"name": name, "version": number, "id": f"{name}-{number}"},
                    "dependencies": {f"{name}-{number}": included},
                } if included else None,
            }
        )  # fmt: skip

    def _number(self, name: str, query: dict[str, str]) -> int:
        """The version that is asked for; 0 where there is none."""
        if "version" in query:
            return int(query["version"]) if 1 <= int(query["version"]) <= len(self.prompts.get(name, ())) else 0
        return self.labels.get((name, query.get("label", "production")), 0)

    def _whole(self, prompt: Any, included: list[dict[str, Any]]) -> Any:
        """A prompt with those that it includes in their places."""
        if not isinstance(prompt, str):
            return prompt

        def one(tag: re.Match[str]) -> str:
            number = self._number(tag[1], {tag[2]: tag[3]})
            included.append({"name": tag[1], "version": number, "id": f"{tag[1]}-{number}"})
            return str(self.prompts[tag[1]][number - 1]["prompt"])

        return _INCLUDED.sub(one, prompt)


__all__ = ["PromptServer"]
