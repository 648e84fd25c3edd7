"""A bill of materials of what serves: CycloneDX 1.6, checked by its own library before anybody gets it.

A component's `hashes` would be of its file. What rollcast knows is the digest of a recipe, and of a registry's content
or manifest, so those stand among the properties, by name, with what they are of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from rollcast.planner.declaration.models import Artifact, ArtifactKind
from rollcast.planner.releases.lineage import all_makers, lineage_graph
from rollcast.planner.releases.releases import Release, digest_of
from rollcast.stacks.artifacts.recipes import BY_NAME
from rollcast.stacks.base.errors import StackError

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

_MODELS = (
    ArtifactKind.MODEL_WEIGHTS, ArtifactKind.EMBEDDING_MODEL, ArtifactKind.RERANKER, ArtifactKind.STYLE_ADAPTER,
)  # fmt: skip
_NAMESPACE = UUID("6c1a6b2e-6f0e-5c7b-9a3c-0d5f3b1f6f10")  # of serial numbers: the same content has the same


def bom_of(
    pipeline: str, releases: Mapping[str, Release], artifacts: Iterable[Artifact], digests: Mapping[str, str],
    time_s: float, tool_version: str,
) -> str:  # fmt: skip
    """The bill of materials of some releases as JSON text, what their artifacts were made from included.

    artifacts, digests: of the declarations that they came from. Raises StackError: the library is not installed, or
    does not accept what was made.
    """
    try:
        from cyclonedx.model import Property
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        raise StackError("A bill of materials needs CycloneDX's library: pip install 'rollcast[bom]'.") from None

    known = {artifact.reference: artifact for artifact in artifacts}
    known |= {v.reference: v.artifact for release in releases.values() for v in release.slots.values()}
    used = {v.reference: v.digest for release in releases.values() for v in release.slots.values()}
    wanted = known.keys() & (used.keys() | all_makers(used, lineage_graph(known.values())))
    bom = Bom()
    bom.serial_number = uuid5(_NAMESPACE, digest_of([pipeline, sorted(releases), time_s]))
    bom.metadata.timestamp = datetime.fromtimestamp(time_s, UTC)
    bom.metadata.tools.components.add(Component(name="rollcast", version=tool_version, type=ComponentType.APPLICATION))
    root = Component(
        name=pipeline, version=", ".join(sorted(releases)), type=ComponentType.APPLICATION, bom_ref=pipeline
    )
    bom.metadata.component = root
    parts = {name: _component(known[name], used.get(name) or digests.get(name, "")) for name in sorted(wanted)}
    for release_id, release in sorted(releases.items()):
        for slot, version in sorted(release.slots.items()):
            parts[version.reference].properties.add(Property(name=f"rollcast:serves:{release_id}", value=slot))
    for part in parts.values():
        bom.components.add(part)
    bom.register_dependency(root, [parts[name] for name in sorted(used)])
    for name, part in parts.items():
        bom.register_dependency(part, [parts[maker] for maker in known[name].makers if maker in parts])
    text = str(JsonV1Dot6(bom).output_as_string(indent=2))
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise StackError(f"CycloneDX does not accept the bill of materials ({wrong}). Report it.")
    return text


def _component(artifact: Artifact, digest: str) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import ExternalReference, ExternalReferenceType, Property, XsUri
    from cyclonedx.model.component import Component, ComponentType

    is_data = artifact.kind in (ArtifactKind.DATASET, ArtifactKind.EVALUATION_SUITE, ArtifactKind.RETRIEVAL_INDEX)
    kind = ComponentType.MACHINE_LEARNING_MODEL if artifact.kind in _MODELS else ComponentType.FILE
    found = Component(
        name=artifact.name, version=artifact.version, bom_ref=artifact.reference,
        type=ComponentType.DATA if is_data else kind,
        licenses=[LicenseFactory().make_from_string(artifact.license)] if artifact.license else [],
    )  # fmt: skip
    said = {"kind": artifact.kind.value, "recipe-digest": digest, "source": artifact.source or ""}
    if artifact.pinned is not None:
        said |= {"identity": artifact.pinned.identity, f"{artifact.pinned.covers}-digest": artifact.pinned.digest}
        url = XsUri(artifact.pinned.identity)
        found.external_references.add(ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=url))
    if artifact.by_name:
        said["pinned"] = BY_NAME
    for name, value in said.items():
        if value:
            found.properties.add(Property(name=f"rollcast:{name}", value=value))
    return found


__all__ = ["bom_of"]
