"""TorchServe stopped and started again on the same ports, under a client and a dashboard's lens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lens_pictures import photo

from servelens.client import KeyFile, NotConnected, Server
from servelens.local import Model, TorchServe
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import NoModel
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.troubles import tell

PHOTO = photo(0)
TINY = Model("tiny.mar", "tiny", workers=1)
SALIENCY, CAM = {"explain": "saliency"}, {"explain": "grad_cam"}


def test_a_restart_is_survived_by_who_asks(
    lens_store: Path, start_server: Callable[..., TorchServe], tmp_path: Path
) -> None:
    running = start_server(lens_store, TINY)
    assert running.key_file is not None
    keys = KeyFile(running.key_file)
    with Server(running.url, running.ports.url("management"), keys) as client:
        shelf = Shelf(tmp_path, 10_000_000, 10_000_000, None)
        lens, name = Lens(client, shelf, 10_000_000, keys), shelf.put(PHOTO)
        version = lens.overview().find(None)
        expected = client.classify("tiny", PHOTO)
        answer = lens.ask(version, name, SALIENCY)
        former, ports = running.authorization(), running.ports

        running.front_end.stop()
        with pytest.raises(NotConnected, match=r"no connection could be made. Is the server up"):
            client.classify("tiny", PHOTO)
        down = lens.look_again()
        with pytest.raises(NotConnected) as refused:
            down.find(None)
        told = tell(refused.value)
        assert told.what.endswith("Is the server up, and the address right?")
        assert told.advice.startswith("Start TorchServe; this page goes on by itself")
        assert lens.ask(version, name, SALIENCY) is answer

        running.front_end.start()
        assert running.ports == ports
        assert running.authorization() != former
        with pytest.raises(NoModel, match="No model is registered yet"):
            lens.look_again().find(None)

        running.register(TINY)
        assert client.classify("tiny", PHOTO) == pytest.approx(expected, abs=1e-5)
        up = lens.look_again()
        assert up.pulse != down.pulse
        now = up.find(None)
        assert lens.ask(now, name, SALIENCY) is answer
        assert lens.ask(now, name, CAM).attributions[0].to_numpy().max() > 0
    running.front_end.stop()
