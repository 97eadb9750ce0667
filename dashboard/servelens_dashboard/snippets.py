"""The call that was just made, to be copied: for a shell, and for Python.

The photo is fetched from the dashboard. A key is never written out, for it changes and must not get
about; the file that holds it is named, or the variable that does.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from servelens.client.keys import KEY_VARIABLES
from servelens.client.messages import address
from servelens_dashboard.settings import Settings
from servelens_dashboard.url_state import Named

READ_KEY = "import json, sys; print(json.load(open(sys.argv[1]))['inference']['key'])"


def as_curl(
    settings: Settings, dashboard: str, model: Named, photo: str, request: Mapping[str, Any]
) -> str:
    fields = [f"-F {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in request.items()]
    url = settings.inference.rstrip("/") + address("predictions", model.name, model.version)
    key = f'"Authorization: Bearer {_key(settings)}"'
    lines = (
        f"curl -s {shlex.quote(_original(dashboard, photo))} |",
        f"curl -H {key} -F data=@-",
        *fields,
        shlex.quote(url),
    )
    return " \\\n  ".join(lines).replace("| \\\n", "|\n")


def as_python(
    settings: Settings, dashboard: str, model: Named, photo: str, request: Mapping[str, Any]
) -> str:
    keys = f"KeyFile(Path({str(settings.keys)!r}))" if settings.keys else "keys_from_environment()"
    imported = "KeyFile" if settings.keys else "keys_from_environment"
    paths = "from pathlib import Path\n" if settings.keys else ""
    more = dict(request)
    explain = more.pop("explain", True)
    given = "".join(f", {name}={value!r}" for name, value in more.items())
    version = f", version={model.version!r}" if model.version else ""
    return (
        f"{paths}from urllib.request import urlopen\n\n"
        f"from servelens.client import {imported}, Server\n\n"
        f"photo = urlopen({_original(dashboard, photo)!r}).read()\n"
        f"with Server({settings.inference!r}, keys={keys}) as server:\n"
        f"    result = server.explain(\n"
        f"        {model.name!r}, photo, {explain!r}{given}{version}\n"
        f"    )\n"
        f"    print(result.attributions[0].to_numpy())\n"
    )


def _original(dashboard: str, photo: str) -> str:
    return f"{dashboard.rstrip('/')}/photos/{photo}/original"


def _key(settings: Settings) -> str:
    if settings.keys is None:
        return f"${KEY_VARIABLES['inference']}"
    return f"$(python3 -c {shlex.quote(READ_KEY)} {shlex.quote(str(settings.keys))})"
