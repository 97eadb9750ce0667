"""scripts/bench finds out before it measures where its figures cannot be written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.bench import __main__ as bench


@pytest.mark.parametrize(
    ("name", "why"), [("missing/found.json", "No such file"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["--json", str(tmp_path / name)])
    assert ended.value.code == 2
    assert f"{tmp_path / name} cannot be written ({why}" in capsys.readouterr().err.replace(
        "/.", "/."
    )


@pytest.mark.slow
def test_a_path_is_meant_from_where_the_caller_is(root: Path, tmp_path: Path) -> None:
    (tmp_path / "folder-of-the-caller").mkdir()
    done = subprocess.run(
        [root / "scripts" / "bench", "--json", "folder-of-the-caller"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert "folder-of-the-caller cannot be written (Is a directory" in done.stderr


def test_asking_whether_it_can_be_written_changes_nothing(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("figures")
    for path in (old, new):
        with pytest.raises(SystemExit):
            bench.main(["no-such-benchmark", "--json", str(path)])
    assert old.read_text() == "figures"
    assert not new.exists()
