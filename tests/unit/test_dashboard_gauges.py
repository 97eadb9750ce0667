"""What TorchServe measures of itself: read from its own text, and told where there is none."""

from __future__ import annotations

from typing import Any

from dash.development.base_component import Component

from servelens_dashboard.gauges import Gauges, Load, Reading, parse
from servelens_dashboard.views import server

# As a TorchServe 0.12.0 wrote it, shortened.
TEXT = """\
# HELP ts_inference_requests_total Torchserve prometheus counter metric with unit: Count
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="shapes-clean",model_version="1.0",hostname="vm",} 8.0
ts_inference_requests_total{model_name="never-asked",model_version="1.0",hostname="vm",} 0.0
ts_queue_latency_microseconds{model_name="shapes-clean",model_version="1.0",hostname="vm",} 4000.0
ts_inference_latency_microseconds{model_name="shapes-clean",model_version="1.0",hostname="vm",} 80000.0
MemoryUsed{Level="Host",Hostname="vm",} 14108.96875
MemoryAvailable{Level="Host",Hostname="vm",} 9996.58984375
CPUUtilization{Level="Host",Hostname="vm",} 42.0
Requests2XX{Level="Host",Hostname="vm",} 1087.0
Requests5XX{Level="Host",Hostname="vm",} 2.0
GPUUtilization{Level="Host",DeviceId="0",} 10.0
GPUUtilization{Level="Host",DeviceId="1",} 30.0
"""  # noqa: E501
GAUGES = Gauges(tuple(parse(TEXT)))


def said(part: Any) -> str:
    """All text of components, in order."""
    if isinstance(part, (list, tuple)):
        return " ".join(filter(None, map(said, part)))
    if isinstance(part, Component):
        return said(getattr(part, "children", None))
    return "" if part is None else str(part)


def test_a_line_is_a_name_labels_and_a_number() -> None:
    assert next(parse('a{b="c \\"d\\"",e="",} 1.5')) == Reading(
        "a", {"b": 'c \\"d\\"', "e": ""}, 1.5
    )
    assert next(parse("a 2")) == Reading("a", {}, 2.0)


def test_what_is_no_finite_number_is_passed_over() -> None:
    assert list(parse("# a 1\n\nnot a line at all\na{b=} x\na NaN\na +Inf\n<html>")) == []


def test_times_are_means_over_the_requests() -> None:
    assert GAUGES.loads() == [Load("shapes-clean", "1.0", 8, 0.5, 10.0)]


def test_the_machines_figures_are_told_with_their_units() -> None:
    text = said(server.figures(GAUGES))
    assert "Processor 42 %" in text
    assert "Memory 14.1 of 24.1 GB" in text
    assert "GPU 20 %" in text
    assert "Answers 1,087 given, 0 refused, 2 failed" in text
    assert "shapes-clean 1.0 8 0.5 ms 10 ms" in text
    assert "Disk" not in text


def test_a_server_that_keeps_none_says_how_it_would() -> None:
    assert "metrics_mode=prometheus" in said(server.figures(Gauges(())))


def test_before_the_first_minute_the_machine_is_not_measured() -> None:
    text = said(server.figures(Gauges((Reading("Requests2XX", {}, 1.0),))))
    assert "measured once a minute" in text and "Answers 1 given" in text
