"""scripts/smoke where the list of models cannot be had: told, and no crash."""

from __future__ import annotations

import pytest
from client_fixtures.loopback import says, serving

from servelens.client import smoke


def test_a_list_that_is_refused_is_told_and_the_rest_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(says({"status": "Healthy"}), says({"message": "closed"}, 403)) as script:
        code = smoke.main([script.url, "--management", script.url])
    said = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [line.split(":")[0] for line in said] == [
        "ok    health", "FAIL  models", "FAIL  predict and explain", "2 of the checks failed",
    ]  # fmt: skip
