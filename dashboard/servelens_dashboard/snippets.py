"""The call that was just made, to be copied: for a shell, and for Python.

The photo is fetched from the dashboard. A key or password is never written out, for it changes and
must not get about; the file that holds it is named, or the variable that does.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servelens.client.keys import KEY_VARIABLES
from servelens.client.messages import address
from servelens_dashboard.settings import PASSWORD_VARIABLE, Settings
from servelens_dashboard.url_state import Named

READ_KEY = "import json, sys; print(json.load(open(sys.argv[1]))['inference']['key'])"

# What a script prints: of an answer what the model says, with what was changed in it where that was
# asked, and which numbers there are; of a model without a photo what it says of itself.
READ_RESULT = """\
    for prediction in result.{said}:
        print(prediction.label, prediction.probability)
    for name, numbers in result.to_numpy().items():
        print(name, numbers.shape)
"""
READ_CAPABILITY = """\
    for layer in capability['layers']:
        print(layer['name'], layer['type'], layer['shape'])
"""


def as_curl(
    settings: Settings, dashboard: str, model: Named, photo: str | None, request: Mapping[str, Any]
) -> str:
    fields = [f"-F {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in request.items()]
    url = settings.inference.rstrip("/") + address("predictions", model.name, model.version)
    fetched, called = [], f'curl -H "Authorization: Bearer {_key(settings)}"'
    if photo is not None:
        password = f'-u ":${PASSWORD_VARIABLE}" ' if settings.password else ""
        fetched = [f"curl -s {password}{shlex.quote(_original(dashboard, photo))} |"]
        called += " -F data=@-"
    lines = (*fetched, called, *fields, shlex.quote(url))
    return " \\\n  ".join(lines).replace("| \\\n", "|\n")


def as_python(
    settings: Settings, dashboard: str, model: Named, photo: str | None, request: Mapping[str, Any]
) -> str:
    keys = f"KeyFile(Path({str(settings.keys)!r}))" if settings.keys else "keys_from_environment()"
    imported = "KeyFile" if settings.keys else "keys_from_environment"
    paths = "from pathlib import Path\n\n" if settings.keys else ""
    client = f"from servelens.client import {imported}, Server\n\n"
    opened = f"with Server({settings.inference!r}, keys={keys}) as server:\n"
    if photo is None:
        return f"{paths}{client}{opened}{_describing(model)}"
    secret = "import os\n" if settings.password else ""
    password = f", auth=('', os.environ[{PASSWORD_VARIABLE!r}])" if settings.password else ""
    return (
        f"{secret}{paths}import requests\n\n{client}"
        f"photo = requests.get({_original(dashboard, photo)!r}{password}).content\n"
        f"{opened}{_asking(model, request)}"
    )


def _asking(model: Named, request: Mapping[str, Any]) -> str:
    more = {**request, **_version(model)}
    method = "explain" if more.get("explain") else "predict"
    explain = f", {more.pop('explain')!r}" if method == "explain" else ""
    read = READ_RESULT.format(said="ablation.after" if "ablate" in request else "predictions")
    return (
        f"    result = server.{method}(\n"
        f"        {model.name!r}, photo{explain}{_given(more)}\n"
        f"    )\n"
        f"{read}"
    )


def _describing(model: Named) -> str:
    called = f"server.capability({model.name!r}{_given(_version(model))})"
    return f"    capability = {called}\n{READ_CAPABILITY}"


def _version(model: Named) -> dict[str, Any]:
    return {"version": model.version} if model.version else {}


def _given(keywords: Mapping[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in keywords.items())


def _original(dashboard: str, photo: str) -> str:
    return f"{dashboard.rstrip('/')}/photos/{photo}/original"


def _key(settings: Settings) -> str:
    if settings.keys is None:
        return f"${KEY_VARIABLES['inference']}"
    return f"$(python3 -c {shlex.quote(READ_KEY)} {shlex.quote(str(settings.keys))})"


@dataclass(frozen=True)
class Snippet:
    """A kind of text as a page offers it, and what makes it."""

    title: str
    of: Callable[[Settings, str, Named, str | None, Mapping[str, Any]], str]


SNIPPETS: Mapping[str, Snippet] = {
    "curl": Snippet("curl", as_curl),
    "python": Snippet("Python", as_python),
}
