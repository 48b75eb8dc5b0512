"""The files that start clusters: what holds for all that `ray up` reads, and for the Slurm script."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster_files import ROOT, read

BY_RAY_UP = ["cluster.yaml", "cluster/on-prem.yaml", "cluster/gcp.yaml"]
"""The files for `ray up`."""
SHELLCHECK = Path(sysconfig.get_path("scripts")) / "shellcheck"


def commands(config: dict[str, Any]) -> list[str]:
    """All shell commands that nodes run."""
    return [each for key, listed in config.items() if key.endswith("_commands") for each in listed]


def starts(config: dict[str, Any]) -> dict[str, str]:
    """How `head` and `worker` start Ray."""
    found = {}
    for kind in ("head", "worker"):
        (found[kind],) = [each for each in config[f"{kind}_start_ray_commands"] if "ray start" in each]
    return found


@pytest.fixture(params=BY_RAY_UP)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def test_ray_accepts_the_file(config: dict[str, Any]) -> None:
    prepared = prepare_config(config)
    validate_config(prepared)
    # Nothing of Ray's defaults for a provider stays, which install another Ray or open the dashboard.
    assert not [each for each in commands(prepared) if "0.0.0.0" in each or "pip install -U" in each]


def test_every_node_authenticates_by_the_same_token(config: dict[str, Any]) -> None:
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for start in starts(config).values():
        assert start.index("RAY_AUTH_MODE=token") < start.index("ray start")


def test_the_dashboard_listens_on_loopback_alone(config: dict[str, Any]) -> None:
    assert "--dashboard-host=127.0.0.1" in starts(config)["head"]


def test_a_stopped_job_has_time_to_conclude(config: dict[str, Any]) -> None:
    start = starts(config)["head"]
    (seconds,) = re.findall(r"RAY_JOB_STOP_WAIT_TIME_S=(\d+)", start[: start.index("ray start")])
    assert int(seconds) >= 300  # Ray's own default is 3


def test_the_mounts_are_what_the_project_is_installed_from(config: dict[str, Any]) -> None:
    mounted = {Path(local) for local in config["file_mounts"].values() if not local.startswith("~")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {"pyproject.toml", "constraints.txt", project["project"]["readme"]}
    needed |= {name.rstrip("*") for name in packages} | set(project["project"]["license-files"])
    # No more: `ray up` reads every byte below a mount, whatever rsync leaves out.
    assert mounted == {Path(name) for name in needed}
    assert all((ROOT / path).exists() for path in mounted)


def test_the_pinned_environment_is_installed(config: dict[str, Any]) -> None:
    (install,) = [each for each in config["setup_commands"] if "pip install" in each]
    assert "-c constraints.txt -e" in install
    extra = re.search(r"\.\[(\w+)\]", install)
    if extra:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        assert extra[1] in project["project"]["optional-dependencies"]


def test_commands_are_sound_shell(config: dict[str, Any]) -> None:
    for command in commands(config):
        checked = subprocess.run(
            [
                "shellcheck",
                "--shell=bash",
                "--exclude=SC2088,SC2086,SC2046",
                "-",
            ],  # ~ and $ unquoted, on purpose
            input=command,
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 0, checked.stdout


def test_the_slurm_script_is_sound_shell() -> None:
    checked = subprocess.run([SHELLCHECK, str(ROOT / "cluster" / "slurm.sh")], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
