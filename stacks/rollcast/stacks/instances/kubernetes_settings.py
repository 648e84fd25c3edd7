"""What the kind `kubernetes` takes: the namespace, the templates of its objects, and their address."""

from __future__ import annotations

from pydantic import Field, field_validator

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.values import Seconds
from rollcast.stacks.clusters.access import ClusterSettings
from rollcast.stacks.instances.variables import filled_template

ADDRESS_VARIABLES = ("name", "namespace", "component", "pipeline", "instance")


class KubernetesInstancesSettings(ClusterSettings):
    """Objects of a cluster for each instance, from a folder of templates."""

    templates: str = Field(min_length=1, description="a folder of manifests (*.yaml), filled as Jinja2 templates")
    address: str = Field("http://{name}.{namespace}.svc:8080", description="what the data plane calls an instance by")
    ready: Seconds = Field(300.0, gt=0, description="the provisioning fails where it is not ready by then")
    stop: Seconds = Field(120.0, gt=0, description="how long its objects may take to go")

    @field_validator("address")
    @classmethod
    def _known_variables(cls, given: str) -> str:
        try:
            filled_template(given, dict.fromkeys(ADDRESS_VARIABLES, ""))
        except KeyError as error:
            name = str(error.args[0])
            raise ValueError(f"'{{{name}}}' is no variable. {did_you_mean(name, ADDRESS_VARIABLES)}") from None
        if "{name}" not in given and "{instance}" not in given:
            raise ValueError("every instance would have this one: write '{name}' in it")
        return given

    @field_validator("templates")
    @classmethod
    def _is_path(cls, given: str) -> str:
        if "://" in given:
            raise ValueError("it is a folder, not an address")
        return given
