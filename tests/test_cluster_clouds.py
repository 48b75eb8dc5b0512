"""cluster.yaml by Ray's own code on a mock of AWS, cluster/gcp.yaml by Google's description of its API."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config

from search.tune.nodes import Node, NodeType, node_types
from tests.cluster_files import ROOT, read


@dataclass(frozen=True)
class Started:
    """What Ray's own code started in an account that was empty: a machine of each type of cluster.yaml."""

    machines: dict[str, dict[str, Any]]
    config: dict[str, Any]
    """What `ray up` gives the head's autoscaler."""
    ec2: Any
    """boto3's client."""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """As `ray up` and its head do, against moto, with a home without keys."""
    import boto3
    from moto import mock_aws
    from ray.autoscaler._private.aws import config as aws_config
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    with (
        pytest.MonkeyPatch.context() as patched,
        mock_aws(config={"iam": {"load_aws_managed_policies": True}}),
    ):
        patched.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patched.setattr(aws_config.time, "sleep", lambda seconds: None)  # 30 s for new rights to spread
        config = prepare_config(read("cluster.yaml"))
        config = AWSNodeProvider.fillout_available_node_types_resources(config)
        config = AWSNodeProvider.bootstrap_config(config)
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for name, node_type in config["available_node_types"].items():
            head = config["head_node"] if name == config["head_node_type"] else {}
            provider.create_node(node_type["node_config"] | head, {"ray-user-node-type": name}, 1)
        ec2 = boto3.client("ec2", region_name=config["provider"]["region"])
        found = [
            each
            for reservation in ec2.describe_instances()["Reservations"]
            for each in reservation["Instances"]
        ]
        tags = [{tag["Key"]: tag["Value"] for tag in machine["Tags"]} for machine in found]
        machines = {tag["ray-user-node-type"]: each for tag, each in zip(tags, found, strict=True)}
        yield Started(machines, config, ec2)


@pytest.mark.slow
def test_an_empty_aws_account_gets_a_head_on_demand_and_spot_workers(aws: Started) -> None:
    assert set(aws.machines) == {"head", "gpu"}
    assert "InstanceLifecycle" not in aws.machines["head"]
    assert aws.machines["gpu"]["InstanceLifecycle"] == "spot"
    # The head starts the others; they have no rights in the account.
    assert aws.machines["head"]["IamInstanceProfile"]["Arn"].endswith("ray-autoscaler-v1")
    assert "IamInstanceProfile" not in aws.machines["gpu"]
    assert {machine["MetadataOptions"]["HttpTokens"] for machine in aws.machines.values()} == {"required"}


@pytest.mark.slow
def test_a_search_on_the_head_on_aws_knows_what_the_autoscaler_may_add(aws: Started, tmp_path: Path) -> None:
    assert aws.config["available_node_types"]["head"]["resources"]["CPU"] == 0  # no trial runs there
    bootstrap = tmp_path / "ray_bootstrap_config.yaml"
    bootstrap.write_text(json.dumps(aws.config))
    assert node_types(bootstrap) == (NodeType(Node(cpus=4, gpus=1, gpu_type="L4"), most=4),)


@pytest.mark.slow
def test_nothing_but_ssh_is_open_to_the_world_on_aws(aws: Started) -> None:
    (group,) = {group["GroupId"] for machine in aws.machines.values() for group in machine["SecurityGroups"]}
    (described,) = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    open_to_others = [rule for rule in described["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in open_to_others] == [
        ("tcp", 22, 22)
    ]
    others = [rule for rule in described["IpPermissions"] if rule not in open_to_others]
    assert {pair["GroupId"] for rule in others for pair in rule["UserIdGroupPairs"]} == {group}


@pytest.mark.slow
def test_disks_on_aws_are_encrypted_and_go_with_their_machine(aws: Started) -> None:
    disks = [disk["Ebs"] for machine in aws.machines.values() for disk in machine["BlockDeviceMappings"]]
    assert len(disks) == 2
    assert all(disk["DeleteOnTermination"] for disk in disks)
    volumes = aws.ec2.describe_volumes(VolumeIds=[disk["VolumeId"] for disk in disks])["Volumes"]
    assert all(volume["Encrypted"] for volume in volumes)


def test_workers_on_aws_get_the_heads_image(tmp_path: Path) -> None:
    (command,) = [each for each in read("cluster.yaml")["head_setup_commands"] if "ami-id" in each]
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\ncase "$*" in *meta-data/ami-id*) echo ami-0123;; *) echo token;; esac\n')
    curl.chmod(0o700)
    bootstrap = tmp_path / "ray_bootstrap_config.yaml"
    bootstrap.write_text(json.dumps(prepare_config(read("cluster.yaml"))))  # as Ray writes it
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", command], env=environment, check=True)
    types = json.loads(bootstrap.read_text())["available_node_types"]
    assert {each["node_config"]["ImageId"] for each in types.values()} == {"ami-0123"}


class _Template(yaml.SafeLoader):
    """CloudFormation's YAML, with its functions (`!Ref X`) as plain values."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix} {node.value}")


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]]


def test_rights_on_aws_end_at_the_bucket_and_at_rays_machines() -> None:
    template = yaml.load((ROOT / "cluster" / "aws-account.yaml").read_text(), Loader=_Template)
    parts = {name: part["Properties"] for name, part in template["Resources"].items()}
    bucket = parts["UseBucket"]["PolicyDocument"]["Statement"]
    assert {each["Resource"] for each in bucket} == {"!GetAtt Bucket.Arn", "!Sub ${Bucket.Arn}/*"}
    assert "Policies" not in parts["WorkerRole"]
    assert (
        parts["WorkerRole"]["ManagedPolicyArns"]
        == parts["HeadRole"]["ManagedPolicyArns"]
        == ["!Ref UseBucket"]
    )
    for each in statements(parts["HeadRole"]):
        assert each["Action"] == "ec2:Describe*" or "*" not in str(each["Action"])
        assert each["Action"] == "ec2:Describe*" or each["Resource"] != "*"
    ends = [each for each in statements(parts["HeadRole"]) if "ec2:TerminateInstances" in each["Action"]]
    assert [each["Condition"] for each in ends] == [{"Null": {"aws:ResourceTag/ray-cluster-name": "false"}}]
    # The names that cluster.yaml offers to uncomment.
    offered = re.findall(r"# IamInstanceProfile: \{Name: ([\w-]+)\}", (ROOT / "cluster.yaml").read_text())
    assert offered == [
        parts["HeadProfile"]["InstanceProfileName"],
        parts["WorkerProfile"]["InstanceProfileName"],
    ]


def assert_of_googles_type(value: Any, kind: dict[str, Any], schemas: dict[str, Any], where: str) -> None:
    """By the description of the Compute API that Google's client brings: no unknown name, no other type."""
    if "$ref" in kind:
        kind = schemas[kind["$ref"]]
    if kind["type"] == "object" and "properties" in kind:
        assert isinstance(value, dict), where
        assert set(value) <= set(kind["properties"]), where
        for name, below in value.items():
            assert_of_googles_type(below, kind["properties"][name], schemas, f"{where}.{name}")
            assert below in kind["properties"][name].get("enum", [below]), f"{where}.{name}"
    elif kind["type"] == "array":
        assert isinstance(value, list), where
        for below in value:
            assert_of_googles_type(below, kind["items"], schemas, where)
    else:
        # An integer of 64 bits is a string there, and may be given as a number.
        python: Any = {"boolean": bool, "integer": int, "string": (str, int)}[kind["type"]]
        assert isinstance(value, python), where


def test_googles_compute_api_knows_every_value() -> None:
    documents = resources.files("googleapiclient.discovery_cache.documents")
    schemas = json.loads((documents / "compute.v1.json").read_text())["schemas"]
    for name, node_type in read("cluster/gcp.yaml")["available_node_types"].items():
        assert_of_googles_type(node_type["node_config"], {"$ref": "Instance"}, schemas, name)


def test_workers_on_google_cloud_are_spot_and_the_head_is_not() -> None:
    types = read("cluster/gcp.yaml")["available_node_types"]
    assert "scheduling" not in types["head"]["node_config"]
    assert types["gpu"]["node_config"]["scheduling"]["provisioningModel"] == "SPOT"
