"""What the dashboard makes of a server's answers: whose fault it is when a model says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servelens.client import BadAnswer, LensProblem, Refused, Server, Version, Worker
from servelens_dashboard.lens import Lens, NoLens
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.troubles import tell

NO_KEY = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"


class Answering(Server):
    def __init__(self, error: Exception) -> None:
        super().__init__("http://127.0.0.1:9")
        self.error = error

    def capability(self, model: str, *, version: str | None = None) -> dict[str, Any]:
        raise self.error


def describing(error: Exception, folder: Path) -> Any:
    lens = Lens(Answering(error), Shelf(folder, 0, 0, None), 0)
    return lens.capability(Version("m", "1.0", "m.mar", 1, 0, (Worker("1", "READY", 1, False, 0),)))


@pytest.mark.parametrize(
    "error", [Refused(400, NO_KEY), LensProblem(413, {"message": "that is too much"})]
)
def test_what_the_archive_is_not_to_blame_for_is_told_as_it_is(
    tmp_path: Path, error: Refused
) -> None:
    with pytest.raises(type(error)) as raised:
        describing(error, tmp_path)
    assert "ServeLens" not in tell(raised.value).what


@pytest.mark.parametrize("error", [BadAnswer("no document"), Refused(503, "Prediction failed")])
def test_who_answers_otherwise_has_no_lens(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(NoLens, match="was not built by ServeLens"):
        describing(error, tmp_path)
