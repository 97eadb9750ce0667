"""A crowd on one server: nothing valid fails, nothing is left, and who predicts need not wait."""

from __future__ import annotations

from typing import Any

from tests.bench.in_process import hooks_left, open_engine
from tests.bench.load import beside, mixed, overflow
from tests.bench.load.asks import (
    BAD,
    EXPLAINED,
    EXPLANATION,
    PREDICTION,
    bad_requests,
    explanations,
    predictions,
)
from tests.bench.photo import photo
from tests.bench.setting import Setting
from tests.bench.table import Report, Row

from servelens.engine.session import Session
from servelens.local import Model
from servelens.protocol import Problem, read_request

NAME = "load"
TITLE = "Load: resnet18 under predictions, explanations and bad requests (7 : 2 : 1)"
RECIPE = "resnet18"
ARCHIVE = f"{RECIPE}.mar"
FOR_EXPLANATIONS = f"{RECIPE}-explain"
IN_PROCESS = 140


def run(setting: Setting) -> Report:
    session = open_engine(setting, RECIPE)
    asks = {
        PREDICTION: predictions(session, RECIPE),
        EXPLANATION: explanations(session, RECIPE),
        BAD: bad_requests(RECIPE),
    }
    rows = [
        *mixed.run(setting, ARCHIVE, RECIPE, asks),
        *overflow.run(setting, ARCHIVE, RECIPE, asks),
        *beside.run(
            setting,
            Model(ARCHIVE, RECIPE, workers=1),
            Model(setting.build_for_explanations(RECIPE), FOR_EXPLANATIONS, workers=1),
            asks[PREDICTION],
            apart=explanations(session, FOR_EXPLANATIONS, beside.LONG),
            shared=explanations(session, RECIPE, beside.LONG),
        ),
        _hooks(session),
    ]
    return Report(NAME, TITLE, rows)


def _hooks(session: Session) -> Row:
    """A worker cannot be asked for them; this is the engine that it runs."""
    wrong: tuple[dict[str, Any], ...] = (
        {"explain": "no_such_method"},
        {"activations": "no_such_layer"},
    )
    for number in range(IN_PROCESS):
        keys = ({}, *EXPLAINED, *wrong)[number % (1 + len(EXPLAINED) + len(wrong))]
        asked = {name: value for name, value in keys.items() if name != "format"}
        (answer,) = session.run([read_request(asked, photo())])
        assert isinstance(answer, Problem) == (keys in wrong), answer
    hooks = hooks_left(session)
    what = f"{IN_PROCESS} requests of the same mix, in process"
    return Row("hooks left on the model", str(hooks), "0", hooks == 0, what)
