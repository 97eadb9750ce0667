"""scripts/smoke where the list of models cannot be had: told, and no crash."""

from __future__ import annotations

import pytest
from client_fixtures.loopback import says, serving

from servelens.client import smoke


@pytest.mark.parametrize("told_by", ["option", "environment"])
def test_a_list_that_is_refused_is_told_and_the_rest_is_asked(
    told_by: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(says({"status": "Healthy"}), says({"message": "closed"}, 403)) as script:
        words = ["--management", script.url] if told_by == "option" else []
        monkeypatch.setenv(smoke.MANAGEMENT_VARIABLE, "" if words else script.url)
        code = smoke.main([script.url, *words])
    said = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [line.split(":")[0] for line in said] == [
        "ok    health", "FAIL  models", "FAIL  predict and explain", "2 of the checks failed",
    ]  # fmt: skip
