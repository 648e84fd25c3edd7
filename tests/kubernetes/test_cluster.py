"""Flags and instances in a real cluster: both suites, what is edited there, and what goes wrong."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.clusters.cluster import Cluster, Ref
from rollcast.stacks.clusters.marks import instance_name
from rollcast.stacks.flags import FlagStore
from rollcast.stacks.flags.kubernetes import KubernetesFlags, KubernetesFlagsSettings
from rollcast.stacks.instances import Instances, InstanceSpec, Placed, Provisioning
from rollcast.stacks.instances.kubernetes import KubernetesInstances
from rollcast.stacks.instances.kubernetes_settings import KubernetesInstancesSettings
from rollcast.stacks.relay.source import SourceFault, source_at
from rollcast.testing.flags import FLAG, FlagsConformance
from rollcast.testing.instances import InstancesConformance
from tests.instances.programs import content, eventually, placed
from tests.kubernetes.control_plane import NODE, RESTRICTED, ControlPlane, manifests, programs

pytestmark = pytest.mark.slow

SMALL = """
apiVersion: v1
kind: Service
metadata: {name: "{{ name }}"}
spec: {ports: [{port: 8080}], selector: {app: "{{ name }}"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ name }}-config"}
data: {reference: "{{ reference }}", digest: "{{ digest }}", files: "{{ content }}"}
"""
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ name }}"}
spec:
  selector: {matchLabels: {app: "{{ name }}"}}
  template:
    metadata: {labels: {app: "{{ name }}"}}
    spec:
      nodeName: NODE
      containers: [{name: bot, image: "registry.example/bot:{{ reference }}"}]
""".replace("NODE", NODE)
NEVER_PULLED = WORKLOAD.replace('labels: {app: "{{ name }}"}', 'labels: {app: "{{ name }}", image: never-pulled}')


class TestFlags(FlagsConformance):
    @pytest.fixture(autouse=True)
    def _in(self, cluster: ControlPlane) -> None:
        type(self).cluster = cluster

    def make(self, tmp_path: Path, scope: str = "") -> FlagStore:
        return flags(self.cluster, tmp_path, scope)


class TestInstances(InstancesConformance):
    @pytest.fixture(autouse=True)
    def _in(self, cluster: ControlPlane) -> None:
        type(self).cluster = cluster

    def make(self, tmp_path: Path, scope: str = "") -> Instances:
        tmp_path.mkdir(exist_ok=True)
        return instances(self.cluster, tmp_path, SMALL, scope)


def flags(cluster: ControlPlane, root: Path, scope: str = "", **given: Any) -> KubernetesFlags:
    own = {"kubeconfig": str(cluster.kubeconfig), "context": "admin", "namespace": cluster.namespace(root), **given}
    return KubernetesFlags(KubernetesFlagsSettings.model_validate(own), root, scope)


def instances(
    cluster: ControlPlane, root: Path, template: str = SMALL, scope: str = "", **given: Any
) -> KubernetesInstances:
    manifests(template, root / "k8s")
    own = {
        "kubeconfig": str(cluster.kubeconfig), "context": "admin", "namespace": cluster.namespace(root),
        "templates": "k8s", "stop": "20s", **given,
    }  # fmt: skip
    return KubernetesInstances(KubernetesInstancesSettings.model_validate(own), root, scope)


def put(made: KubernetesInstances, root: Path, wanted: Placed, watch: Provisioning | None = None, **spec: Any) -> None:
    says = wanted.digest.removeprefix("sha256:")
    own = InstanceSpec.model_validate({"reference": "bot@1", **spec})
    made.put_instance(1, wanted, content(root, says), own, watch or Provisioning(30.0))


def names(cluster: ControlPlane, root: Path, kinds: str = "service,configmap,deployment") -> list[str]:
    """What is in a test's namespace, without what each has."""
    found = cluster.kubectl("get", kinds, "-n", cluster.namespace(root), "-o", "name").split()
    return sorted(each for each in found if "kube-root-ca" not in each and "rollcast-fence" not in each)


# ---- what is there, and what was edited ----------------------------------------------------------


def test_content_that_fits_is_a_config_map_that_never_changes(cluster: ControlPlane, tmp_path: Path) -> None:
    made = instances(cluster, tmp_path, SMALL)
    put(made, tmp_path, placed("one"))
    folder = cluster.namespace(tmp_path)
    name = instance_name("chat/bot/1")
    (found,) = [
        each for each in json.loads(cluster.kubectl("get", "configmap", "-n", folder, "-o", "json"))["items"]
        if each["metadata"]["name"] == f"{name}-one"
    ]  # fmt: skip
    assert found["immutable"] is True
    assert "one" in found["data"].values()
    assert made.placed()["chat/bot/1"].address == f"http://{name}.{folder}.svc:8080"
    made.remove_instance(1, "chat/bot/1", "mine")
    assert names(cluster, tmp_path) == []


def test_content_that_does_not_fit_leaves_the_variable_empty(cluster: ControlPlane, tmp_path: Path) -> None:
    made = instances(cluster, tmp_path, SMALL)
    large = content(tmp_path, "one", weights="x" * 950 * 1024)
    made.put_instance(1, placed("one"), large, InstanceSpec(reference="bot@1"), Provisioning(30.0))
    name, folder = instance_name("chat/bot/1"), cluster.namespace(tmp_path)
    found = cluster.kubectl("get", "configmap", f"{name}-config", "-n", folder, "-o", "json")
    assert json.loads(found)["data"]["files"] == ""


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("delete", "service", "NAME"), "Service NAME was deleted"),
        (
            ("patch", "configmap", "NAME-config", "-p", '{"data": {"reference": "bot@9"}}'),
            "ConfigMap NAME-config was edited by 'kubectl-patch' at 20",
        ),
        (("patch", "service", "NAME", "-p", '{"spec": {"selector": {"app": "another"}}}'), "edited by 'kubectl-patch'"),
        (("label", "service", "NAME", "app.kubernetes.io/managed-by=me", "--overwrite"), "edited by 'kubectl-label'"),
    ],
)
def test_what_is_edited_by_hand_is_said_with_who_did_it_and_put_back(
    cluster: ControlPlane, tmp_path: Path, edit: tuple[str, ...], said: str
) -> None:
    made = instances(cluster, tmp_path)
    put(made, tmp_path, placed("one"))
    before = made.placed()
    assert made.down() == {}
    words = [word.replace("NAME", instance_name("chat/bot/1")) for word in edit]
    cluster.kubectl(*words, "-n", cluster.namespace(tmp_path))
    assert said.replace("NAME", instance_name("chat/bot/1")) in made.down()["chat/bot/1"]
    if "label" in edit:  # whose it is, it says no more: nothing is taken from anybody
        with pytest.raises(StackError, match="is that of me, and stays as it is"):
            put(made, tmp_path, placed("one"))
        return
    manifests("not even YAML: [", tmp_path / "k8s")  # what was applied is put back, whatever templates say by now
    put(made, tmp_path, placed("one"))
    assert (made.placed(), made.down()) == (before, {})


def test_what_others_add_is_left_alone(cluster: ControlPlane, tmp_path: Path) -> None:
    made = instances(cluster, tmp_path, SMALL)
    put(made, tmp_path, placed("one"))
    name, folder = instance_name("chat/bot/1"), cluster.namespace(tmp_path)
    cluster.kubectl("annotate", "service", name, "team=search", "-n", folder)
    put(made, tmp_path, placed("two"))  # the same folder, so it changes in place
    assert made.placed()["chat/bot/1"].digest == "sha256:two"
    assert '"team": "search"' in cluster.kubectl("get", "service", name, "-n", folder, "-o", "json")


def test_an_object_that_a_template_makes_no_more_is_removed(cluster: ControlPlane, tmp_path: Path) -> None:
    put(instances(cluster, tmp_path, SMALL), tmp_path, placed("one"))
    first = names(cluster, tmp_path)
    made = instances(cluster, tmp_path, SMALL.partition("---")[0])
    put(made, tmp_path, placed("two"))
    name = instance_name("chat/bot/1")
    assert {*first} - {*names(cluster, tmp_path)} == {f"configmap/{name}-config", f"configmap/{name}-one"}
    assert list(made.placed()) == ["chat/bot/1"]


# ---- what runs -----------------------------------------------------------------------------------


def test_a_workload_is_there_once_its_pods_are_and_an_autoscaler_is_left_alone(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    made, said = instances(cluster, tmp_path, WORKLOAD), list[str]()
    put(made, tmp_path, placed("one"), Provisioning(60.0, progress=said.append))
    name, folder = instance_name("chat/bot/1"), cluster.namespace(tmp_path)
    assert any("0 of 1 pods available" in each for each in said), said
    before = made.placed()
    cluster.kubectl("scale", "deployment", name, "--replicas=3", "-n", folder)
    assert made.down() == {}
    put(made, tmp_path, placed("one", release="rel-2"))
    assert made.placed()["chat/bot/1"].release == "rel-2"
    assert made.placed()["chat/bot/1"].address == before["chat/bot/1"].address
    assert cluster.kubectl("get", "deployment", name, "-n", folder, "-o", "jsonpath={.spec.replicas}") == "3"
    made.remove_instance(1, "chat/bot/1", "mine")
    assert cluster.kubectl("get", "pods", "-n", folder, "-o", "name") == "", "it returned before its pods were gone"


def test_an_image_that_never_pulls_is_said_with_its_reason_and_leaves_nothing(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    made = instances(cluster, tmp_path, NEVER_PULLED, ready="3s")
    with pytest.raises(StackError, match=r"was not ready within 3 s: Deployment .*ImagePullBackOff \(Back-off pulling"):
        put(made, tmp_path, placed("one"))
    assert (made.placed(), names(cluster, tmp_path)) == ({}, [])


def test_a_version_that_never_becomes_ready_leaves_the_one_that_it_was_to_replace(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    made = instances(cluster, tmp_path, WORKLOAD)
    put(made, tmp_path, placed("one"))
    before = made.placed()
    made = instances(cluster, tmp_path, NEVER_PULLED, ready="2s")
    with pytest.raises(StackError, match="ImagePullBackOff"):
        put(made, tmp_path, placed("two"))
    assert (made.placed(), made.down()) == (before, {})


def test_a_quota_is_said_as_the_cluster_says_it(cluster: ControlPlane, tmp_path: Path) -> None:
    folder = cluster.namespace(tmp_path)
    cluster.kubectl("create", "quota", "small", "--hard=pods=0,services=0", "-n", folder)
    until = time.monotonic() + 20
    while "services" not in cluster.kubectl("get", "quota", "small", "-n", folder, "-o", "jsonpath={.status.hard}"):
        assert time.monotonic() < until
        time.sleep(0.1)
    with pytest.raises(StackError, match=r"k8s/all\.yaml:2: Service \S+ is over a quota of .*exceeded quota: small"):
        put(instances(cluster, tmp_path, SMALL), tmp_path, placed("one"))
    with pytest.raises(StackError, match=r"0 of 1 pods available: .*exceeded quota: small"):
        put(instances(cluster, tmp_path, WORKLOAD, ready="3s"), tmp_path, placed("one"))
    assert names(cluster, tmp_path) == []


# ---- refused before anything has changed ---------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"context": "absent"}, r"\(context 'absent'\), namespace \S+ can't be reached, tried for \d s .*refused"),
        ({"context": "distrusted"}, "shows a certificate that the kubeconfig does not trust"),
        ({"context": "expired"}, r"does not take these credentials \(401\). They may have expired: log in again"),
        ({"context": "adnim"}, "has no context 'adnim'. Did you mean 'admin'?"),
        ({"context": ""}, r"has \d contexts, and 'context' says none of them. Name one: admin"),
        ({"kubeconfig": "no/such"}, "There is no kubeconfig: no/such is not there"),
        ({"namespace": "no-such-namespace"}, r"no-such-namespace is not there. Make it with 'kubectl create namespace"),
    ],
)
def test_a_cluster_that_can_not_be_used_is_one_message(
    cluster: ControlPlane, tmp_path: Path, given: dict[str, str], said: str
) -> None:
    for make in (flags, instances)[given.get("context") == "absent" :]:
        with pytest.raises(StackError, match=said):
            make(cluster, tmp_path, **given).claim(1)  # type: ignore[operator]


def test_a_missing_permission_is_the_rule_that_grants_it(cluster: ControlPlane, tmp_path: Path) -> None:
    folder, rules = cluster.namespace(tmp_path), list[dict[str, Any]]()
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": folder},
    }
    cluster.kubectl("apply", "-f", "-", text=json.dumps({**role, "rules": rules}))
    cluster.kubectl("create", "rolebinding", "r", "--role=r", "--user=restricted", "-n", folder)
    made = instances(cluster, tmp_path, SMALL, context="restricted")
    for _ in range(30):  # whoever does what each message says comes to an end
        said = _refusal(lambda: _life(made, tmp_path))
        if not said:
            break
        assert re.search(r"'restricted' may not \w+ configmaps|Permissions are missing", said), said
        assert names(cluster, tmp_path) == [], "something was changed before"
        rules += yaml.safe_load(said.partition(":\n")[2])
        cluster.kubectl("apply", "-f", "-", text=json.dumps({**role, "rules": rules}))
        _await_rules(cluster, folder, len(rules))
    assert {"configmaps", "services"} == {name for rule in rules for name in rule["resources"]}
    assert names(cluster, tmp_path) == []


def _life(made: KubernetesInstances, root: Path) -> None:
    put(made, root, placed("one"))
    made.placed()
    made.remove_instance(1, "chat/bot/1", "mine")


def _refusal(call: Callable[[], None]) -> str:
    """What a call raises; empty where it does not."""
    try:
        call()
    except StackError as error:
        return str(error)
    return ""


def _await_rules(cluster: ControlPlane, folder: str, count: int) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": folder}
    }  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = cluster.ask("POST", path, review, RESTRICTED)["status"]["resourceRules"]
        if sum("selfsubject" not in str(each) for each in found) >= count:
            return
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (SMALL + "---\n{apiVersion: example.com/v1, kind: Bot, metadata: {name: '{{ name }}'}}\n",
         r"all\.yaml:12: .* knows no kind Bot of example\.com/v1. Install its CustomResourceDefinition"),
        (SMALL + "---\n{apiVersion: v1, kind: Namespace, metadata: {name: '{{ name }}'}}\n",
         r"all\.yaml:12: Namespace \S+ belongs to no namespace but to the whole cluster"),
        (SMALL + "spec: {replicsa: 2}\n", r"all\.yaml:7: ConfigMap \S+ is refused by .*spec"),
        (SMALL.replace("8080", "80800"), r"all\.yaml:2: Service \S+ is refused by .*80800"),
    ],
)  # fmt: skip
def test_a_template_that_the_cluster_refuses_is_said_and_nothing_changes(
    cluster: ControlPlane, tmp_path: Path, template: str, said: str
) -> None:
    with pytest.raises(StackError, match=said):
        put(instances(cluster, tmp_path, template), tmp_path, placed("one"))
    assert names(cluster, tmp_path) == []


def test_a_name_that_another_has_is_refused_with_both(cluster: ControlPlane, tmp_path: Path) -> None:
    name, folder = instance_name("chat/bot/1"), cluster.namespace(tmp_path)
    cluster.kubectl("create", "configmap", f"{name}-config", "--from-literal=a=b", "-n", folder)
    with pytest.raises(
        StackError, match=rf"ConfigMap {name}-config .* is that of 'kubectl-create', and stays as it is"
    ):
        put(instances(cluster, tmp_path), tmp_path, placed("one"))
    assert names(cluster, tmp_path) == [f"configmap/{name}-config"]
    cluster.kubectl("create", "configmap", "rollcast-flags", "--from-literal=a=b", "-n", folder)
    with pytest.raises(StackError, match=r"rollcast-flags at .* was made by 'kubectl-create', and stays as it is"):
        flags(cluster, tmp_path).put_flag(1, "chat", FLAG)


def test_a_field_that_can_not_change_is_said_and_what_serves_stays(cluster: ControlPlane, tmp_path: Path) -> None:
    made = instances(cluster, tmp_path, WORKLOAD)
    put(made, tmp_path, placed("one"))
    before = made.placed()
    changed = WORKLOAD.replace('{app: "{{ name }}"}', '{app: "{{ name }}", digest: "{{ digest[7:] }}"}')
    with pytest.raises(StackError, match=r"can't be changed as the template says: .*immutable.* Take 'in_place'"):
        put(instances(cluster, tmp_path, changed), tmp_path, placed("two"))
    assert made.placed() == before


def test_a_rule_of_the_cluster_that_denies_is_quoted(cluster: ControlPlane, tmp_path: Path) -> None:
    folder = cluster.namespace(tmp_path)
    policy = f"""
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {folder}}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [services]}}]
  validations: [{{expression: "false", message: "services need a team"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {folder}}}
spec:
  policyName: {folder}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {folder}}}}}}}
"""
    cluster.kubectl("apply", "-f", "-", text=policy)
    made, until = instances(cluster, tmp_path, SMALL), time.monotonic() + 20
    while not (said := _refusal(lambda: _life(made, tmp_path))):  # a policy takes a moment to be enforced
        assert time.monotonic() < until, "it was never denied"
    assert "is denied by a rule of the cluster" in said
    assert "services need a team" in said
    assert names(cluster, tmp_path) == []


# ---- others at work, and servers that go away ----------------------------------------------------


def test_an_edit_between_reading_and_writing_is_not_overwritten_unseen(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder, name = instances(cluster, tmp_path), cluster.namespace(tmp_path), instance_name("chat/bot/1")
    put(made, tmp_path, placed("one"))
    plain, edits = Cluster.apply, list[str]()

    def apply(self: Cluster, item: dict[str, Any], version: str = "", dry_run: bool = False) -> dict[str, Any]:
        if version and item["kind"] == "Service" and not edits:
            edits.append(cluster.kubectl("label", "service", name, "app.kubernetes.io/managed-by=me", "--overwrite",
                                         "-n", folder))  # fmt: skip
        return plain(self, item, version, dry_run)

    monkeypatch.setattr(Cluster, "apply", apply)
    with pytest.raises(StackError, match="is that of me, and stays as it is"):
        put(made, tmp_path, placed("two"))
    assert edits


def test_what_a_dead_driver_began_is_removed_by_the_next_one(cluster: ControlPlane, tmp_path: Path) -> None:
    made = instances(cluster, tmp_path, SMALL, "chat/dev")
    folder = content(tmp_path, "one")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    made._await = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        made.put_instance(3, placed("one"), folder, InstanceSpec(reference="bot@1"), Provisioning())
    assert len(names(cluster, tmp_path)) == 4
    assert made.placed() == {}
    instances(cluster, tmp_path, SMALL, "search/dev").claim(9)
    made.claim(3)
    assert len(names(cluster, tmp_path)) == 4, "its driver may be at work"
    made.claim(4)
    assert names(cluster, tmp_path) == []


def test_a_server_that_is_gone_for_a_moment_is_waited_for(cluster: ControlPlane, tmp_path: Path) -> None:
    made, wanted = instances(cluster, tmp_path, SMALL, "chat/dev"), placed("one")
    own, folder = flags(cluster, tmp_path, "chat/dev"), content(tmp_path, "one")
    impatient = instances(cluster, tmp_path)
    own.claim(1)
    cluster.stop_api()
    calls: list[Callable[[], None]] = [
        lambda: made.put_instance(1, wanted, folder, InstanceSpec(), Provisioning(60.0)),
        lambda: own.put_flag(1, "chat", FLAG),
    ]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    with pytest.raises(StackError, match=r"can't be reached, tried for \d s"):
        impatient.placed()
    cluster.start_api()
    for thread in threads:
        thread.join(60)
    assert (list(made.placed()), own.flags()) == (["chat/bot/1"], {"chat": FLAG})


def test_a_relay_reads_flags_of_a_cluster_as_soon_as_they_change(cluster: ControlPlane, tmp_path: Path) -> None:
    own, folder = flags(cluster, tmp_path), cluster.namespace(tmp_path)
    source = source_at(f"kubernetes://{folder}/rollcast-flags?context=admin&kubeconfig={cluster.kubeconfig}", tmp_path)
    with pytest.raises(SourceFault, match="holds no flags yet"):
        source.read()
    own.put_flag(1, "chat", FLAG)
    assert json.loads(_next(source))["flags"] == {"chat": FLAG}
    began_s = time.monotonic()
    own.put_flag(1, "search", FLAG)
    assert set(json.loads(_next(source))["flags"]) == {"chat", "search"}
    assert time.monotonic() - began_s < 2, "a watch says it at once"


def _next(source: Any) -> str:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            found = source.read()
        except SourceFault:
            found = None
        if found is not None:
            return str(found)
        time.sleep(0.02)
    raise AssertionError("nothing came")


def test_a_late_write_of_flags_never_gets_through_whenever_it_comes(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, newer = flags(cluster, tmp_path), flags(cluster, tmp_path)
    late.put_flag(4, "chat", FLAG)
    plain = Cluster.replace

    def replace(self: Cluster, item: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.undo()
        newer.claim(5)  # after the late one looked, before it writes
        return plain(self, item)

    monkeypatch.setattr(Cluster, "replace", replace)
    with pytest.raises(FenceError):
        late.put_flag(4, "chat", None)
    assert newer.flags() == {"chat": FLAG}


def test_objects_of_one_page_and_of_many_are_all_read(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = instances(cluster, tmp_path)
    for number in range(3):
        put(made, tmp_path, placed("one", number))
    monkeypatch.setattr("rollcast.stacks.clusters.cluster._PAGE", 2)
    assert len(made.placed()) == 3
    assert made.down() == {}
    assert made._cluster.get(Ref("v1", "Service", "absent")) is None


# ---- rules of a Gateway --------------------------------------------------------------------------


def _flag(*numbers: int) -> dict[str, Any]:
    return {
        "state": "ENABLED",
        "variants": {
            f"rel-{each}": {"release": f"rel-{each}", "components": {"bot": {"instance": f"chat/bot/{each}"}}}
            for each in numbers
        },
    }


def _rules(cluster: ControlPlane, root: Path) -> list[str]:
    found = cluster.kubectl("get", "httproutes", "-n", cluster.namespace(root), "-o", "json")
    return [
        rule["matches"][0]["headers"][0]["value"]
        for item in json.loads(found)["items"]
        for rule in item["spec"]["rules"]
    ]


def test_a_gateway_leads_to_a_release_before_its_flag_does_and_until_its_service_is_gone(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(programs() / "httproutes.yaml"))
    eventually(lambda: bool(cluster.ask("GET", "/apis/gateway.networking.k8s.io/v1/httproutes")["items"] == []))
    running = instances(cluster, tmp_path, SMALL)
    own = flags(cluster, tmp_path, route={"gateway": "entry", "component": "bot", "hostnames": ["bot.example"]})
    for number in (1, 2):
        put(running, tmp_path, placed("one", number))
    own.put_flag(1, "chat", _flag(1))
    assert _rules(cluster, tmp_path) == ["rel-1"]
    plain = Cluster.replace

    def replace(self: Cluster, item: dict[str, Any]) -> dict[str, Any]:
        named = {*re.findall("rel-[12]", str(item.get("data")))}
        assert named <= {*_rules(cluster, tmp_path)}, "a flag names a release that nobody is led to"
        return plain(self, item)

    monkeypatch.setattr(Cluster, "replace", replace)
    own.put_flag(1, "chat", _flag(1, 2))
    own.put_flag(1, "chat", _flag(2))
    assert _rules(cluster, tmp_path) == ["rel-1", "rel-2"], "who is pinned to the old one is led nowhere"
    running.remove_instance(1, "chat/bot/1", "mine")
    own.put_flag(1, "chat", _flag(2))
    assert _rules(cluster, tmp_path) == ["rel-2"]
    with pytest.raises(StackError, match="has no component 'bot', which the route leads to; it has other"):
        own.put_flag(1, "chat", {"variants": {"r": {"release": "r", "components": {"other": {"instance": "a/b/c"}}}}})
    running.remove_instance(1, "chat/bot/2", "mine")
    own.put_flag(1, "chat", None)
    eventually(lambda: _rules(cluster, tmp_path) == [])


def test_a_route_without_its_definition_is_refused_before_the_flag_is_written(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollcast.stacks.flags.kubernetes_routes._API", "gateway.networking.k8s.io/v9")
    own = flags(cluster, tmp_path, route={"gateway": "entry", "component": "bot"})
    with pytest.raises(StackError, match=r"knows no kind HTTPRoute of .* Install its CustomResourceDefinition"):
        own.put_flag(1, "chat", _flag(1))
    assert own.flags() == {}
