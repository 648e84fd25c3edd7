"""`kubernetes`: an instance is the objects of a cluster that a folder of templates renders to.

They are dry-run together before any of them is changed, applied server-side as the field manager `rollcast`, and waited
for. A record says which they are, and says last that the instance is there. What is deleted, or edited in a field that
rollcast applied, does not count as kept up, so the next `apply` puts it back; fields that templates leave out
(`replicas`, for an autoscaler) are left alone.

Long because making, replacing and ending an instance are one order of steps, in which a kill may fall anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.clusters.cluster import MANAGER, Cluster, Object, Ref, ref_of
from rollcast.stacks.clusters.diagnosis import diagnosis
from rollcast.stacks.clusters.failures import ConflictError, UnknownKindError, settled
from rollcast.stacks.clusters.fences import ClusterFence
from rollcast.stacks.clusters.marks import (
    INSTANCE,
    LINEAGE,
    Marks,
    instance_name,
    is_of,
    notes_of,
    owner_in_words,
)
from rollcast.stacks.clusters.permissions import Permission
from rollcast.stacks.clusters.readiness import ReadyPhase, readiness_of
from rollcast.stacks.clusters.templates import RenderedObject, rendered
from rollcast.stacks.instances import (
    InstanceSpec,
    Placed,
    Provisioning,
    is_to_hand_over,
    owned_by_another,
    refusal,
)
from rollcast.stacks.instances.kubernetes_content import content_map
from rollcast.stacks.instances.kubernetes_records import (
    InstanceBody,
    InstanceRecord,
    InstanceRecords,
    InstanceState,
    ObjectRecord,
)
from rollcast.stacks.instances.kubernetes_settings import ADDRESS_VARIABLES, KubernetesInstancesSettings
from rollcast.stacks.instances.variables import filled_template

_ATTEMPTS = 10
_LOOK_S = 2.0
Items = Sequence[dict[str, Any]]


class KubernetesInstances:
    """Instances as objects of a cluster."""

    settings_model = KubernetesInstancesSettings
    addressed = True

    def __init__(self, settings: KubernetesInstancesSettings, root: Path, scope: str = "") -> None:
        """`scope`: whose tokens its writes carry. Who writes waits longer for a cluster that does not answer."""
        self._settings, self._root, self._scope = settings, root, scope
        self._cluster = Cluster.for_scope(settings, root, scope)
        self._fence = ClusterFence(self._cluster, scope)
        self._records = InstanceRecords(self._cluster)

    @property
    def place(self) -> str:
        return f"kubernetes:{self._cluster.place}"

    def claim(self, fence: int) -> None:
        self._fence.pass_through(fence)
        for record in self._records.all():
            body = record.body
            is_left = body.state in (InstanceState.MAKING, InstanceState.ENDING)
            if is_left and body.mark == self._fence.mark and body.fence < fence:
                self._end(fence, record)  # who began it is gone

    def newest(self) -> int:
        return self._fence.newest()

    def placed(self) -> dict[str, Placed]:
        found = {each.body.placed.folder: each.body.placed for each in self._records.all() if _was_ready(each)}
        return dict(sorted(found.items()))

    def down(self) -> dict[str, str]:
        records = [each for each in self._records.all() if _was_ready(each)]
        there = self._heads_of({(part.api_version, part.kind) for each in records for part in each.body.parts})
        found = {each.body.placed.folder: _why_down(each, there) for each in records}
        return {folder: why for folder, why in sorted(found.items()) if why}

    def _heads_of(self, kinds: Iterable[tuple[str, str]]) -> dict[Ref, Object]:
        """The metadata of every object of these kinds that is part of an instance."""
        found: dict[Ref, Object] = {}
        for api_version, kind in sorted(kinds):
            with suppress(UnknownKindError):  # its definition was taken away, and all of its kind with it
                found |= {ref_of(item): item for item in self._cluster.heads(api_version, kind, INSTANCE)}
        return found

    def content(self, folder: str) -> Path | None:
        return None

    # ---- to make ------------------------------------------------------------------------------

    def put_instance(self, fence: int, placed: Placed, content: Path, spec: InstanceSpec, watch: Provisioning) -> None:
        self._fence.pass_through(fence)
        record = self._records.of(placed.folder)
        if record is not None and owned_by_another(record.body.placed, placed.owner):
            raise StackError(refusal(placed.folder, record.body.placed))
        marks = self._marks(fence, placed)
        same = record is not None and bool(record.manifests) and record.body.placed.digest == placed.digest
        address = filled_template(self._settings.address, self._address_values(placed))
        wanted = placed.model_copy(update={"address": address})
        if record is not None and same:
            wanted = wanted.model_copy(update={"address": record.body.placed.address})
            if self._is_kept_up(record):
                self._records.write(record.with_body(placed=wanted, fence=fence, mark=self._fence.mark), marks)
                return
            manifests = [RenderedObject(item, "") for item in record.manifests]
        else:
            manifests = self._manifests(placed, content, spec)
        marked = [RenderedObject(marks.on(each.body), each.where) for each in manifests]
        self._try_all(marked, placed)
        self._put(record, wanted, [each.body for each in marked], marks, watch)

    def _put(
        self, record: InstanceRecord | None, wanted: Placed, items: Items, marks: Marks, watch: Provisioning
    ) -> None:
        refs = [ref_of(item) for item in items]
        begun = self._records.write(self._begun(record, wanted, refs, marks), marks)
        try:
            parts = self._apply_all(items, begun)
            failpoint("kubernetes: applied, and not yet ready")
            self._await(refs, wanted, marks.name, watch)
            self._fence.pass_through(marks.fence)
            self._remove([part.ref for part in begun.body.parts if part.ref not in refs], wanted)
            failpoint("kubernetes: ready, and not yet said")
            ready = begun.with_body(state=InstanceState.READY, placed=wanted, parts=parts)
            self._records.write(replace(ready, manifests=list(items)), marks)
        except FenceError:
            raise  # whoever took over has it now
        except StackError:
            self._undo(begun, marks)
            raise

    def _begun(
        self, record: InstanceRecord | None, wanted: Placed, refs: Sequence[Ref], marks: Marks
    ) -> InstanceRecord:
        """What is said before anything changes: all objects that there may be from now on, and what to put back."""
        own = {"mark": self._fence.mark, "fence": marks.fence}
        if record is None or not record.manifests:  # there is nothing to put back
            parts = {part.ref: part for part in (record.body.parts if record is not None else ())}
            parts |= {ref: _part(ref) for ref in refs}
            body = InstanceBody(state=InstanceState.MAKING, placed=wanted, parts=tuple(parts.values()), **own)
            return InstanceRecord(body, [], record.version if record is not None else "")
        known = [part.ref for part in record.body.parts]
        more = tuple(_part(ref) for ref in refs if ref not in known)
        return record.with_body(state=InstanceState.CHANGING, parts=(*record.body.parts, *more), **own)

    def _apply_all(self, items: Items, begun: InstanceRecord) -> tuple[ObjectRecord, ...]:
        parts = []
        for item in items:
            done = self._apply(item, begun.body.placed)
            parts.append(_part(ref_of(item), _owned_fields(done)))
            failpoint(f"kubernetes: applied {item['kind']}")
        return tuple(parts)

    def _apply(self, item: Object, placed: Placed) -> Object:
        """Applies an object over that which was looked at, and over none that another made meanwhile."""
        ref = ref_of(item)

        def change() -> Object:
            found = self._own(ref, placed)
            return self._cluster.apply(item, found["metadata"]["resourceVersion"] if found else "")

        return settled(f"{ref.shown} at {self._cluster.shown}", change, _ATTEMPTS)

    def _own(self, ref: Ref, placed: Placed) -> Object | None:
        """The object of an instance, where it is there. Raises StackError where it is another's."""
        found = self._cluster.get(ref)
        if found is not None and not is_of(found, placed.folder, placed.owner):
            raise StackError(
                f"{ref.shown} at {self._cluster.shown} is that of {owner_in_words(found)}, and stays as it is. Give "
                "the component or the pipeline another name, choose another namespace, or delete it."
            )
        return found

    def _try_all(self, manifests: Sequence[RenderedObject], placed: Placed) -> None:
        """Refuses what the cluster would refuse, while nothing is changed. Raises StackError."""
        self._cluster.refuse_unpermitted(self._needed(manifests))
        for each in manifests:
            ref = ref_of(each.body)
            with _at(each):
                if not self._cluster.kind_of(ref.api_version, ref.kind).namespaced:
                    raise StackError(
                        f"{ref.shown} belongs to no namespace but to the whole cluster, so a release may not make it. "
                        "Make it yourself, and refer to it."
                    )
                self._own(ref, placed)
        for each in manifests:
            with _at(each):
                self._cluster.apply(each.body, dry_run=True)

    def _needed(self, manifests: Sequence[RenderedObject]) -> Iterator[Permission]:
        """All that an instance of these objects takes, from its beginning to its end."""
        for verb in ("get", "list", "create", "update", "delete"):
            yield Permission("", "configmaps", verb)
        for each in manifests:
            ref = ref_of(each.body)
            with _at(each):
                kind = self._cluster.kind_of(ref.api_version, ref.kind)
            for verb in ("get", "list", "watch", "create", "patch", "delete") if kind.namespaced else ():
                yield Permission(kind.group, kind.resource, verb)

    def _undo(self, begun: InstanceRecord, marks: Marks) -> None:
        """What never became ready goes; what it was to replace is applied again. The first error is what is said."""
        with suppress(StackError):
            if not begun.manifests:
                self._end(marks.fence, begun)
                return
            parts = self._apply_all([marks.on(item) for item in begun.manifests], begun)
            refs = [part.ref for part in parts]
            self._remove([part.ref for part in begun.body.parts if part.ref not in refs], begun.body.placed)
            self._records.write(begun.with_body(state=InstanceState.READY, parts=parts), marks)

    def _await(self, refs: Iterable[Ref], placed: Placed, name: str, watch: Provisioning) -> None:
        """Returns once all objects are ready. Raises StackError, with what pods and events say."""
        timeout_s = min(self._settings.ready, watch.timeout_s)
        until, said = time.monotonic() + timeout_s, ""
        for ref in refs:
            state, version = readiness_of(found := self._there(ref)), found["metadata"]["resourceVersion"]
            while state.phase is not ReadyPhase.READY:
                late = time.monotonic() >= until
                if watch.stopped():
                    raise StackError(f"Instance {placed.folder} was cancelled before it was ready.")
                if late or state.phase is ReadyPhase.FAILED:
                    when = f"was not ready within {timeout_s:g} s" if late else "failed"
                    raise StackError(
                        f"Instance {placed.folder} {when}: {ref.shown} {state.why}. {self._diagnosis(name)}Correct the "
                        "template or its image, then run 'rollcast apply'; nobody is sent to it."
                    )
                if state.why != said:
                    watch.progress(f"{ref.shown} {state.why}")
                    said = state.why
                within_s = max(0.1, min(_LOOK_S, until - time.monotonic()))
                found = self._next(ref, version, within_s)
                state, version = readiness_of(found), found["metadata"]["resourceVersion"]

    def _next(self, ref: Ref, version: str, within_s: float) -> Object:
        """An object as it is after its next change, or once the time is over."""
        for found in self._cluster.changes(ref, version, within_s):
            if found is not None:
                return found
        return self._there(ref)

    def _diagnosis(self, name: str) -> str:
        said = diagnosis(self._cluster, name)
        return f"The cluster says: {said}. " if said else ""

    def _there(self, ref: Ref) -> Object:
        found = self._cluster.get(ref)
        if found is None:
            raise StackError(f"{ref.shown} at {self._cluster.shown} was deleted by someone else. Run 'rollcast apply'.")
        return found

    # ---- what it is made of -------------------------------------------------------------------

    def _manifests(self, placed: Placed, content: Path, spec: InstanceSpec) -> list[RenderedObject]:
        name = instance_name(placed.folder)
        kept = content_map(content, f"{name}-{placed.digest.removeprefix('sha256:')[:10]}")
        folder = self._root / self._settings.templates
        if not folder.is_dir():
            raise StackError(f"{self._settings.templates} is no folder. Correct 'templates', or put manifests there.")
        values = {
            "name": name, "namespace": self._cluster.namespace, "component": placed.slot, "pipeline": placed.pipeline,
            "instance": placed.folder, "reference": spec.reference, "kind": spec.kind, "digest": placed.digest,
            "release": placed.release, "replicas": spec.replicas, "needs": spec.needs, "parameters": spec.parameters,
            "region": spec.regions[0] if spec.regions else "", "regions": list(spec.regions),
            "content": kept[0]["metadata"]["name"] if kept else "", "content_items": kept[1] if kept else [],
        }  # fmt: skip
        found = rendered(folder, self._settings.templates.rstrip("/"), values)
        used = kept is not None and any(kept[0]["metadata"]["name"] in str(each.body) for each in found)
        return [RenderedObject(kept[0], "its content"), *found] if kept is not None and used else found

    def _address_values(self, placed: Placed) -> Mapping[str, str]:
        values = (instance_name(placed.folder), self._cluster.namespace, placed.slot, placed.pipeline, placed.folder)
        return dict(zip(ADDRESS_VARIABLES, values, strict=True))

    def _marks(self, fence: int, placed: Placed) -> Marks:
        name = instance_name(placed.folder)
        return Marks(name, placed.folder, placed.owner, placed.pipeline, self._fence.mark, fence)

    def _is_kept_up(self, record: InstanceRecord) -> bool:
        found = {part.ref: self._cluster.get(part.ref) for part in record.body.parts}
        return not _why_down(record, {ref: item for ref, item in found.items() if item is not None})

    # ---- to end -------------------------------------------------------------------------------

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        self._fence.pass_through(fence)
        record = self._records.of(folder)
        if record is None or owned_by_another(record.body.placed, owner):
            return
        marks = self._marks(fence, record.body.placed)
        if record.body.state is not InstanceState.ENDING:
            ending = record.with_body(state=InstanceState.ENDING, fence=fence, mark=self._fence.mark)
            record = self._records.write(ending, marks)
        failpoint("kubernetes: before it is ended")
        self._end(fence, record)

    def hand_over(self, fence: int, folder: str, before: str, owner: str) -> None:
        """Objects first, and the record last, so that a kill in between is done again; their pods stay."""
        self._fence.pass_through(fence)
        record = self._records.of(folder)
        if record is None or not is_to_hand_over(record.body.placed, before, owner):
            return
        wanted = record.body.placed.model_copy(update={"owner": owner})
        marks = self._marks(fence, wanted)
        manifests = [marks.on(item) for item in record.manifests]
        for item in manifests:
            settled(
                f"{ref_of(item).shown} at {self._cluster.shown}", partial(self._mark_again, item, record), _ATTEMPTS
            )
            failpoint("kubernetes: an object was handed over")
        self._fence.pass_through(fence)
        taken = record.with_body(placed=wanted, fence=fence, mark=self._fence.mark)
        self._records.write(replace(taken, manifests=manifests), marks)

    def _mark_again(self, item: Object, record: InstanceRecord) -> None:
        """Applies an object as it was made, with another owner, where it is there and says one of the two."""
        ref, placed = ref_of(item), record.body.placed
        found, owner = self._cluster.get(ref), notes_of(item)[LINEAGE]
        if found is not None and (is_of(found, placed.folder, placed.owner) or is_of(found, placed.folder, owner)):
            self._cluster.apply(item, found["metadata"]["resourceVersion"])

    def _end(self, fence: int, record: InstanceRecord) -> None:
        self._remove([part.ref for part in record.body.parts], record.body.placed)
        self._fence.pass_through(fence)
        self._records.remove(record.body.placed.folder)

    def _remove(self, refs: Iterable[Ref], placed: Placed) -> None:
        """Deletes those of an instance's objects that say they are its own; returns once they are gone."""
        going: list[Ref] = []
        for ref in refs:
            with suppress(UnknownKindError, ConflictError):  # gone with its kind, or somebody made it again
                found = self._cluster.get(ref)
                if found is not None and is_of(found, placed.folder, placed.owner):
                    self._cluster.delete(ref, found["metadata"]["uid"], after_dependents=bool(ref.group))
                    going.append(ref)
        until = time.monotonic() + self._settings.stop
        for ref in going:
            while (found := self._cluster.get(ref)) is not None and found["metadata"].get("deletionTimestamp"):
                if time.monotonic() > until:
                    holds = ", ".join(found["metadata"].get("finalizers") or ()) or "its pods"
                    raise StackError(
                        f"{ref.shown} at {self._cluster.shown} is still there after {self._settings.stop:g} s: {holds} "
                        "keep it. See to that, then run 'rollcast apply --resume'."
                    )
                for _ in self._cluster.changes(ref, found["metadata"]["resourceVersion"], _LOOK_S):
                    break


@contextmanager
def _at(manifest: RenderedObject) -> Iterator[None]:
    """Says in an error which place of a template it is about."""
    try:
        yield
    except StackError as error:
        raise (type(error)(f"{manifest.where}: {error}") if manifest.where else error) from None


def _part(ref: Ref, fields: str = "") -> ObjectRecord:
    return ObjectRecord(api_version=ref.api_version, kind=ref.kind, name=ref.name, fields=fields)


def _was_ready(record: InstanceRecord) -> bool:
    return record.body.state in (InstanceState.READY, InstanceState.CHANGING)


def _why_down(record: InstanceRecord, there: Mapping[Ref, Object]) -> str:
    """Why an instance is not as it was made; empty where it is."""
    if record.body.state is not InstanceState.READY:
        return "a change of it was broken off"
    for part in record.body.parts:
        item = there.get(part.ref)
        if item is None or item["metadata"].get("deletionTimestamp"):
            return f"{part.ref.shown} was deleted"
        if _owned_fields(item) != part.fields:
            return f"{part.ref.shown} was edited by {_last_editor(item)}"
    return ""


def _last_editor(item: Mapping[str, Any]) -> str:
    """Who last took fields over, as far as the API noted it."""
    others = [
        each
        for each in item["metadata"].get("managedFields") or ()
        if each.get("manager") != MANAGER and each.get("subresource") != "status"
    ]
    last = max(others, key=lambda each: str(each.get("time") or ""), default=None)
    return f"'{last['manager']}' at {last.get('time')}" if last is not None and last.get("manager") else "someone"


def _owned_fields(item: Mapping[str, Any]) -> str:
    """Digest of the fields that rollcast owns: an edit of one of them by anyone else takes it out of these."""
    own = [
        each.get("fieldsV1")
        for each in item["metadata"].get("managedFields") or ()
        if each.get("manager") == MANAGER and each.get("operation") == "Apply" and not each.get("subresource")
    ]
    return digest_of(own)


__all__ = ["KubernetesInstances"]
