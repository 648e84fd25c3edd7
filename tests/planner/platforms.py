"""Platforms of many pipelines, all alike."""

from __future__ import annotations


def platform(pipelines: int, version: str) -> dict[str, object]:
    """Each pipeline has an index and a generator, both of one version."""
    artifacts: list[dict[str, str]] = []
    own: dict[str, object] = {}
    for number in range(pipelines):
        index, generator = f"index-{number}", f"generator-{number}"
        artifacts += [
            {"kind": "retrieval-index", "name": index, "version": version},
            {"kind": "model-weights", "name": generator, "version": version},
        ]
        own[f"pipeline-{number}"] = {
            "components": {
                "index": {"artifact": f"{index}@{version}"},
                "generator": {"artifact": f"{generator}@{version}", "upstream": ["index"]},
            }
        }
    return {"pipeline": "platform", "artifacts": artifacts, "pipelines": own}
