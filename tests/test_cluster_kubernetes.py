"""cluster/kuberay.yaml, by the models of Kubernetes' own client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import pytest
import yaml
from kubernetes import client

from search.tune.nodes import AUTOSCALER_CONFIG, Node, NodeType, node_types
from tests.cluster_files import ROOT

RAY_CLUSTER = {
    "type": "object",
    "required": ["headGroupSpec"],
    "additionalProperties": False,
    "properties": {
        "rayVersion": {"type": "string"},
        "authOptions": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"mode": {"enum": ["disabled", "token"]}},
        },
        "enableInTreeAutoscaling": {"type": "boolean"},
        "autoscalerOptions": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "idleTimeoutSeconds": {"type": "integer"},
                "upscalingMode": {"enum": ["Default", "Aggressive", "Conservative"]},
            },
        },
        "headGroupSpec": {
            "type": "object",
            "required": ["template"],
            "additionalProperties": False,
            "properties": {
                "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
                "template": {"type": "object"},
            },
        },
        "workerGroupSpecs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["groupName", "minReplicas", "maxReplicas", "template"],
                "additionalProperties": False,
                "properties": {
                    "groupName": {"type": "string"},
                    "replicas": {"type": "integer"},
                    "minReplicas": {"type": "integer"},
                    "maxReplicas": {"type": "integer"},
                    "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
                    "template": {"type": "object"},
                },
            },
        },
    },
}
"""What of KubeRay's RayCluster (ray.io/v1, as in its raycluster_types.go) the file uses. Its whole
definition, of 900 kB, is on no package index; pods and all else are checked by Kubernetes' own client."""


def kubernetes_objects() -> dict[str, dict[str, Any]]:
    listed = yaml.safe_load_all((ROOT / "cluster" / "kuberay.yaml").read_text())
    return {each["kind"]: each for each in listed}


def pods() -> dict[str, dict[str, Any]]:
    spec = kubernetes_objects()["RayCluster"]["spec"]
    workers = {group["groupName"]: group["template"] for group in spec["workerGroupSpecs"]}
    return {"head": spec["headGroupSpec"]["template"], **workers}


def test_kubernetes_knows_every_value() -> None:
    found = kubernetes_objects()
    assert list(found) == ["RayCluster", "ConfigMap", "PersistentVolumeClaim", "NetworkPolicy"]
    assert found["RayCluster"]["apiVersion"] == "ray.io/v1"
    jsonschema.validate(found["RayCluster"]["spec"], RAY_CLUSTER)
    # Its client's models take no unknown name and no other type, and miss what is required.
    for template in pods().values():
        client.V1PodTemplateSpec.model_validate(template)
    client.V1ConfigMap.model_validate(found["ConfigMap"])
    client.V1PersistentVolumeClaim.model_validate(found["PersistentVolumeClaim"])
    client.V1NetworkPolicy.model_validate(found["NetworkPolicy"])


@pytest.mark.parametrize(
    "fault", [{"containerz": []}, {"containers": [{"image": "x"}]}, {"containers": [], "hostNetwork": "?"}]
)
def test_the_check_of_pods_sees_faults(fault: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        client.V1PodTemplateSpec.model_validate({"spec": fault})


def test_pods_have_a_token_no_privileges_and_one_disk() -> None:
    spec = kubernetes_objects()["RayCluster"]["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] is True
    claims = set()
    for template in pods().values():
        pod = template["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        mounted = {volume["name"] for volume in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        claims |= {volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]}
    assert claims == {None, kubernetes_objects()["PersistentVolumeClaim"]["metadata"]["name"]}
    (worker,) = pods()["gpu"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_search_on_the_head_is_told_which_pods_may_come(tmp_path: Path) -> None:
    found = kubernetes_objects()
    (container,) = pods()["head"]["spec"]["containers"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "to-come")
    assert Path(mount["mountPath"]) == Path("/home/ray") / AUTOSCALER_CONFIG.name
    (tmp_path / "told.yaml").write_text(found["ConfigMap"]["data"][mount["subPath"]])
    (group,) = found["RayCluster"]["spec"]["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    asked = worker["resources"]["requests"]
    node = Node(float(asked["cpu"]), float(asked["nvidia.com/gpu"]))
    assert node_types(tmp_path / "told.yaml") == (NodeType(node, group["maxReplicas"]),)


def test_the_pods_ray_is_the_projects() -> None:
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert kubernetes_objects()["RayCluster"]["spec"]["rayVersion"] == pinned[1]
