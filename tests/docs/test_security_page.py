"""The security page names tests that exist, and the settings and files are as it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from servelens.local.properties import read_properties
from servelens.torchserve.metrics import ENGINE_TIME, METRICS

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SECRETS = (
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    r"\bsk-[A-Za-z0-9_-]{32,}",
    r"\bhf_[A-Za-z0-9]{30,}\b",
    r"\bpypi-AgEI[A-Za-z0-9_-]{20,}",
    r"(?i:bearer [a-z0-9_.-]{20,})",
    r"://[^/\s:@\"'{}$]+:[^/\s@\"'{}$]+@",
)
SECRET = re.compile("|".join(f"(?:{pattern})" for pattern in SECRETS))


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_threat_names_a_test_and_every_test_exists(root: Path, page: str) -> None:
    table = page.split("| threat |")[1].split("\n## ")[0]
    threats = [line for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(threats) > 20
    for line in threats:
        named = NAMED.findall(line)
        assert named, f"no test holds: {line}"
        for path, test in named:
            code = (root / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {test}\(", code, re.MULTILINE), f"{path} has no {test}"


def test_the_settings_are_closed(root: Path) -> None:
    settings = read_properties(root / "config.properties")
    doors = [key for key in settings if key.endswith("_address")]
    assert len(doors) == 5
    assert all("127.0.0.1" in settings[door] for door in doors)
    assert settings["disable_token_authorization"] == "false"
    assert settings["install_py_dep_per_model"] == "false"
    assert settings["enable_envvars_config"] == "false"
    for address in (
        "http://127.0.0.1/x.mar",
        "https://a.org/x.mar",
        "file:///tmp/x.mar",
        "s3://a/x.mar",
    ):
        assert re.fullmatch(settings["allowed_urls"], address) is None
    assert not [key for key in settings if key.startswith("cors_")], "browsers do not call it"
    assert not [key for key in settings if key.startswith("load_models")]


def test_no_secret_is_tracked(root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True
    )
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        text = (root / name).read_bytes().decode("utf-8", "replace")
        found += [f"{name}: {match[0][:12]}" for match in SECRET.finditer(text)]
    assert found == []


def test_a_secret_would_be_found() -> None:
    bait = (
        "AKIA" + "A" * 16,
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "https://me:word" + "@host/x",
    )
    assert all(SECRET.search(text) for text in bait)


def test_the_metrics_fragment_lists_what_is_reported(root: Path) -> None:
    text = (root / "docs" / "metrics.yaml").read_text(encoding="utf-8")
    fragment: Any = yaml.safe_load(text)["model_metrics"]
    listed = {
        entry["name"]: (entry["unit"], entry["dimensions"])
        for kind in ("counter", "gauge")
        for entry in fragment[kind]
    }
    assert listed == {
        metric.name: (metric.unit, [*metric.dimensions, "ModelName", "Level"]) for metric in METRICS
    }
    assert [entry["name"] for entry in fragment["gauge"]] == [ENGINE_TIME.name]
    for metric in METRICS:
        assert f"- name: {metric.name} # {metric.help}\n" in text
        assert f"`{metric.name}`" in (root / "docs" / "operations.md").read_text(encoding="utf-8")
