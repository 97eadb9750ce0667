"""The server itself on the page Models: what it measures, in numbers that mean something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dash import html

from servelens.client import ClientError
from servelens_dashboard.components.notice import hint
from servelens_dashboard.figures.look import number
from servelens_dashboard.gauges import Gauges, Load

MEGABYTES_A_GIGABYTE = 1000.0
NOT_KEPT = (
    "TorchServe keeps no figures to be read. With metrics_mode=prometheus in its config.properties "
    "it does."
)
NOT_YET = "The machine is measured once a minute; its figures will come."
HEAD = ("model", "version", "requests", "mean wait in the queue", "mean time")


def figures(gauges: Gauges) -> list[Any]:
    if not gauges.readings:
        return [hint(NOT_KEPT)]
    facts = list(_facts(gauges))
    parts: list[Any] = [_pairs(facts)]
    if gauges.total("CPUUtilization") is None:
        parts.append(hint(NOT_YET))
    loads = gauges.loads()
    if loads:
        parts.append(html.Div(_table(loads), className="wide tall"))
    return parts


def silent(error: ClientError) -> list[Any]:
    return [
        hint(
            f"There are no figures of the server: {error} The dashboard looks for them where "
            "--metrics says."
        )
    ]


def _facts(gauges: Gauges) -> Iterator[tuple[str, str]]:
    cpu = gauges.mean("CPUUtilization")
    if cpu is not None:
        yield "Processor", f"{number(cpu)} %"
    yield from _used(gauges, "Memory", "MemoryUsed", "MemoryAvailable", MEGABYTES_A_GIGABYTE)
    yield from _used(gauges, "Disk", "DiskUsage", "DiskAvailable", 1.0)
    gpu, gpu_memory = gauges.mean("GPUUtilization"), gauges.total("GPUMemoryUsed")
    if gpu is not None:
        yield "GPU", f"{number(gpu)} %"
    if gpu_memory is not None:
        yield "GPU memory", f"{number(gpu_memory / MEGABYTES_A_GIGABYTE)} GB"
    yield "Answers", _answers(gauges)


def _used(
    gauges: Gauges, title: str, used: str, left: str, divisor: float
) -> Iterator[tuple[str, str]]:
    taken, free = gauges.total(used), gauges.total(left)
    if taken is not None and free is not None:
        yield title, f"{number(taken / divisor)} of {number((taken + free) / divisor)} GB"


def _answers(gauges: Gauges) -> str:
    counts = (("given", "Requests2XX"), ("refused", "Requests4XX"), ("failed", "Requests5XX"))
    return ", ".join(f"{round(gauges.total(name) or 0):,} {word}" for word, name in counts)


def _pairs(facts: list[tuple[str, str]]) -> html.Dl:
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts], className="gauges"
    )


def _table(loads: list[Load]) -> html.Table:
    rows = [
        html.Tr(
            [
                html.Th(load.model, scope="row"),
                html.Td(load.version),
                html.Td(f"{load.requests:,}"),
                html.Td(f"{number(load.waited_ms)} ms"),
                html.Td(f"{number(load.took_ms)} ms"),
            ]
        )
        for load in loads
    ]
    return html.Table(
        [
            html.Caption("Since the server started", className="visually-hidden"),
            html.Thead(html.Tr([html.Th(name, scope="col") for name in HEAD])),
            html.Tbody(rows),
        ],
        className="models",
    )
