"""Manifests of templates, names and readiness: pure, so without a cluster."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.clusters.access import ClusterSettings, access_to
from rollcast.stacks.clusters.failures import ClusterCall, ConflictError, refused
from rollcast.stacks.clusters.marks import Marks, instance_name, is_of
from rollcast.stacks.clusters.permissions import Permission, missing_of, unpermitted
from rollcast.stacks.clusters.published import PublishedConfigMap
from rollcast.stacks.clusters.readiness import ReadyPhase as Ready
from rollcast.stacks.clusters.readiness import readiness_of
from rollcast.stacks.clusters.templates import VARIABLES, RenderedObject, rendered
from rollcast.stacks.flags.kubernetes import KubernetesFlagsSettings
from rollcast.stacks.flags.publishing import place_of
from tests.kubernetes.control_plane import manifests

NAME = "chat-bot-1-0123456789"
VALUES: dict[str, Any] = {
    **dict.fromkeys(VARIABLES, ""), "name": NAME, "namespace": "serving", "parameters": {"temperature": 0.5},
    "replicas": 2, "release": "rel-1", "needs": {"gpu": 1}, "regions": ["eu"], "content_items": [],
}  # fmt: skip
SERVICE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ name }}\nspec: {ports: [{port: 8080}]}\n"


def of(folder: Path, text: str, **more: str) -> list[RenderedObject]:
    manifests(text, folder / "k8s")
    for name, other in more.items():
        manifests(other, folder / "k8s", f"{name}.yaml")
    return rendered(folder / "k8s", "k8s", VALUES)


def test_all_files_and_documents_are_filled_in_order(tmp_path: Path) -> None:
    found = of(
        tmp_path, SERVICE + "---\n# nothing\n---\n" + SERVICE.replace("name }}", "name }}-two"),
        zz=SERVICE.replace("{{ name }}", "{{ name }}-{{ parameters.temperature | tojson | replace('.', '-') }}"),
    )  # fmt: skip
    assert [each.body["metadata"]["name"] for each in found] == [NAME, f"{NAME}-two", f"{NAME}-0-5"]
    assert [each.where for each in found] == ["k8s/all.yaml:1", "k8s/all.yaml:9", "k8s/zz.yaml:1"]


def test_numbers_and_words_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    (found,) = of(tmp_path, SERVICE + "data: {mode: 0644, on: yes, text: '0644'}\n")
    assert found.body["data"] == {"mode": 0o644, "true": True, "text": "0644"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: X\nspec: {{ replica }}\n", r"k8s/all\.yaml:2: 'replica' is no variable .*Did you mean 'replicas'\?"),
        ("{% if false %}\n{{ tempratur }}\n{% endif %}", r"k8s/all\.yaml:2: 'tempratur' is no variable"),
        ("a: 1\nb: {{ parameters.tempratur }}\n", r"k8s/all\.yaml:2: .*no attribute 'tempratur'"),
        ("a: 1\nb: {{ replicas / 0 }}\n", r"k8s/all\.yaml:2: division by zero"),
        ("a: 1\nb: {{ ''.__class__.__mro__ }}\n", r"k8s/all\.yaml:2: .*__class__.*unsafe"),
        ("a: 1\nb: {% if %}\n", r"k8s/all\.yaml:2: "),
        ("{% include 'absent.yaml' %}", r"k8s/all\.yaml: there is no template 'absent\.yaml'"),
        ("{% include '../secret.yaml' %}", r"k8s/all\.yaml: there is no template '\.\./secret\.yaml'"),
        ("a: [1\nb: 2\n", r"k8s/all\.yaml:2: "),
        ("a: 1\na: 2\n", r"k8s/all\.yaml:2: found duplicate key"),
        ("apiVersion: v1\nkind: Service\n", r"k8s/all\.yaml:1: it is no manifest"),
        ("\n[1, 2]\n", r"k8s/all\.yaml:2: it is no manifest"),
        (SERVICE.replace("{{ name }}", "generator"), r"all\.yaml:1: Service is called 'generator', as that of every"),
        (SERVICE.replace("{{ name }}", "[a]"), r"all\.yaml:1: metadata\.name is no text"),
        (SERVICE.replace("}}\n", "}}\n  namespace: kube-system\n", 1), r"yaml:1: .* is in namespace 'kube-system'"),
        (SERVICE.replace("Service", "Secret"), r"all\.yaml:1: a template makes no Secret"),
        (SERVICE + "---\n" + SERVICE, r"all\.yaml:7: Service \S+ stands at k8s/all\.yaml:1, too"),
        (SERVICE + "---\n" + SERVICE.replace("Service", "ServiceList") + "items: []\n", "is a list"),
        (SERVICE + "when: 2026-01-01\n", r"all\.yaml:1: a value is none of JSON"),
        ("# nothing\n", r"k8s renders to no object at all"),
        (SERVICE + "data: '{{ 'x' * 1000000 }}'\n", r"k8s renders to more than 900 KiB"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_template_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "secret.yaml").write_text(SERVICE)
    with pytest.raises(StackError, match=said):
        of(tmp_path, text)


def test_a_place_of_a_text_that_grew_is_its_document(tmp_path: Path) -> None:
    text = "{% for number in range(2) %}\n---\n" + SERVICE + "{% endfor %}"
    with pytest.raises(StackError, match=r"all\.yaml, document 2 of what it renders to: .* stands at .*document 1"):
        of(tmp_path, text)


@given(
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+@/-]{0,200}\Z"), st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+@/-]{0,200}\Z")
)
def test_an_instances_name_is_one_for_its_folder_and_may_stand_everywhere(one: str, other: str) -> None:
    name = instance_name(one)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name), "a Service is called so"
    assert len(name) <= 52, "a StatefulSet's revision is a label together with it"
    assert (name == instance_name(other)) == (one == other)


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_an_object_is_of_the_instance_and_owner_that_marked_it_and_of_no_other(
    folder: str, owner: str, other: str, notes: dict[str, str]
) -> None:
    item = {"metadata": {"name": "x", "annotations": notes}}
    assert not is_of(item, folder, owner), "whose labels were not set"
    made = Marks("x", folder, owner, "chat", "", 1).on(item)
    assert is_of(made, folder, owner)
    assert is_of(made, folder, other) == (not other or not owner or other == owner)
    assert not is_of(made, folder + "-2", owner)


def _deployment(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }  # fmt: skip


def _resource(*conditions: dict[str, str], **notes: str) -> dict[str, Any]:
    metadata = {"annotations": {f"rollcast.dev/{key}": value for key, value in notes.items()}}
    return {"apiVersion": "x/v1", "kind": "Y", "metadata": metadata, "status": {"conditions": list(conditions)}}


@pytest.mark.parametrize(
    ("item", "phase", "why"),
    [
        (_deployment(), Ready.READY, ""),
        (_deployment(observedGeneration=1), Ready.WAITING, "not yet looked at"),
        (_deployment(updatedReplicas=1), Ready.WAITING, "2 of 2"),
        (_deployment(availableReplicas=1), Ready.WAITING, "1 of 2 pods available"),
        (_deployment(replicas=3), Ready.WAITING, ""),
        (_deployment(conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "slow"}]),
         Ready.FAILED, "past its deadline: slow"),
        (_deployment(availableReplicas=0, conditions=[{"type": "ReplicaFailure", "status": "True", "message": "full"}]),
         Ready.WAITING, "0 of 2 pods available: full"),
        (_resource(), Ready.READY, ""),
        (_resource({"type": "Other", "status": "False"}), Ready.READY, ""),
        (_resource({"type": "Ready", "status": "False", "message": "loads"}), Ready.WAITING, "is not Ready: loads"),
        (_resource({"type": "Available", "status": "True"}), Ready.READY, ""),
        (_resource(ready="Loaded"), Ready.WAITING, "has no condition Loaded yet"),
        (_resource({"type": "Loaded", "status": "True"}, ready="Loaded"), Ready.READY, ""),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {}}, Ready.READY, ""),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"deletionTimestamp": "x"}}, Ready.WAITING, "deleted"),
        ({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 1}, "spec": {},
          "status": {"observedGeneration": 1, "readyReplicas": 1}}, Ready.WAITING, "0 of 1"),
        ({"apiVersion": "batch/v1", "kind": "Job", "metadata": {},
          "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "Late"}]}}, Ready.FAILED, "Late"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {}}, Ready.WAITING, "no condition Ready"),
    ],
)  # fmt: skip
def test_how_far_an_object_is_is_read_from_what_it_says(item: dict[str, Any], phase: Ready, why: str) -> None:
    found = readiness_of(item)
    assert found.phase is phase
    assert why in found.why


CALL = ClusterCall("patch", "Deployment", "bot", "apps", "deployments", "serving", "the cluster")


@given(st.integers(400, 599), st.text())
def test_every_refusal_of_a_cluster_is_one_message_with_a_remedy(status: int, said: str) -> None:
    body = json.dumps({"message": said})
    assert len(str(refused(status, body, CALL)).split(". ")) >= 2
    is_conflict = isinstance(refused(status, body, CALL), ConflictError)
    assert is_conflict is (status == 409), "nothing else is tried again"


def test_a_relay_finds_the_declared_flags_wherever_they_are_kept() -> None:
    given = {"namespace": "serving", "context": "a b", "kubeconfig": "~/k?c"}
    place = place_of(KubernetesFlagsSettings.model_validate(given).source, Path("/project"))
    assert isinstance(place, PublishedConfigMap)
    assert place.shown == "kubernetes://serving/rollcast-flags"
    assert place._settings.model_dump() == given
    with pytest.raises(StackError, match="names no ConfigMap"):
        place_of("kubernetes://serving/", Path("/project"))


ONE_CONTEXT = "contexts: [{name: a, context: {cluster: c, user: me}}]\n"
WORDS = st.sampled_from(["", "apps", "pods", "services", "get", "patch", "*"])


@given(st.lists(st.builds(Permission, WORDS, WORDS, WORDS)), st.lists(st.tuples(WORDS, WORDS, WORDS)))
def test_the_rules_that_are_said_to_be_missing_are_enough_and_none_is_there_already(
    needed: list[Permission], given: list[tuple[str, str, str]]
) -> None:
    rules = [{"apiGroups": [group], "resources": [name], "verbs": [verb]} for group, name, verb in given]
    missing = missing_of(needed, rules)
    assert all(missing_of([each], rules) for each in missing)
    added = yaml.safe_load(str(unpermitted(missing, "the cluster")).partition(":\n")[2])
    assert missing_of(needed, [*rules, *(added or [])]) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"can't be used \(Invalid kube-config"),
        ("users: [{name: me, user: {token: TOKEN}}", r"can't be used \(ParserError\)"),
        (ONE_CONTEXT + "users: [{name: me, user: {token: TOKEN}}]\nclusters: []", "can't be used"),
        (ONE_CONTEXT + "users: [{user: {token: TOKEN}}]\nclusters: []", "can't be used"),
        ("users: [{name: me, user: {token: TOKEN}}]", "can't be used"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_can_not_be_used_is_said_without_its_token(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config").write_text(text.replace("TOKEN", "a-token-that-nobody-may-read"))
    with pytest.raises(StackError, match=said) as caught:
        access_to(ClusterSettings(kubeconfig="config"), tmp_path)
    assert "a-token" not in str(caught.value)
    assert "Correct it, or log in again." in str(caught.value)


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (400, 'admission webhook "team.example.com" denied the request: no team', "denied by a rule of the cluster"),
        (403, 'admission webhook "team.example.com" denied the request: no team', "denied by a rule of the cluster"),
        (
            403,
            'pods "a" is forbidden: violates PodSecurity "restricted:latest"',
            "forbidden at the cluster.* the template",
        ),
        (403, 'pods "a" is forbidden: exceeded quota: small', "Make room, or raise the quota"),
        (
            403,
            'x is forbidden: User "me" cannot patch resource "deployments" in API group "apps"',
            "Add this rule to its",
        ),
        (422, "spec.selector: Invalid value: field is immutable", "Take 'in_place' from the component"),
        (500, "failed calling webhook: connection refused", "is refused by the cluster"),
    ],
)
def test_each_refusal_has_the_remedy_of_its_own(status: int, said: str, remedy: str) -> None:
    found = str(refused(status, json.dumps({"message": said}), CALL))
    assert re.search(remedy, found), found
    assert said.rpartition(": ")[2] in found or "Add this rule" in found
