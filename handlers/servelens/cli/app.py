"""All commands under one name, and what their exit codes mean."""

from __future__ import annotations

import typer

from servelens.cli.activations import activations
from servelens.cli.build import SETTINGS, build
from servelens.cli.doctor import doctor
from servelens.cli.exits import MEANINGS
from servelens.cli.explain import explain
from servelens.cli.instrument import instrument
from servelens.cli.layers import layers
from servelens.cli.models import models
from servelens.cli.predict import predict
from servelens.cli.register import register

CODES = "Exit codes: " + "; ".join(f"{code.value} {said}" for code, said in MEANINGS.items()) + "."

# Help in plain text: drawing it with rich would take as long again as all the rest.
app = typer.Typer(
    name="servelens",
    help="See inside the CNN image models that you serve with TorchServe.",
    epilog=CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (models, register, predict, explain, activations, layers, doctor):
    app.command()(command)
for makes_archives in (build, instrument):
    app.command(context_settings=SETTINGS, add_help_option=False)(makes_archives)


def main() -> None:
    app()
