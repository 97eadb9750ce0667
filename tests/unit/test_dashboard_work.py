"""A slow map under way: bites that nobody waits for, each asked once, and what they add up to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from servelens.client import Result
from servelens_dashboard.sums import Sum
from servelens_dashboard.work import A_PART_MS, PIECES, NoPart, Work, bite, first_part

REQUEST = {"explain": ["occlusion"]}


@pytest.mark.parametrize("piece_ms", [0, 0.3, 1, 40, 100, 300, 5000])
@pytest.mark.parametrize("of", [1, 8, PIECES])
def test_bites_are_shares_of_the_work_and_short(piece_ms: float, of: int) -> None:
    done, sizes = 0, []
    while done < of:
        size = bite(piece_ms, done, of)
        assert done % size == 0 and of % size == 0
        assert size == 1 or size * piece_ms <= A_PART_MS
        sizes.append(size)
        done += size
    assert done == of
    assert len(sizes) <= max(1, 2 * of * piece_ms / A_PART_MS, of if piece_ms > A_PART_MS else 1)


def test_a_bite_grows_and_shrinks_with_what_the_last_one_took() -> None:
    piece_ms = A_PART_MS / 700
    assert bite(piece_ms, 0, PIECES) == 512
    assert bite(piece_ms / 10, 512, PIECES) == 512
    assert bite(piece_ms / 10, 1024, PIECES) == 1024
    assert bite(piece_ms * 70, 1024, PIECES) == 8
    assert bite(piece_ms * 70, 1032, PIECES) == 8


class Worker:
    """So many images, each of which takes so long, and is as much of the map."""

    def __init__(self, images: int, image_ms: float) -> None:
        self.images = images
        self.image_ms = image_ms
        self.asked: list[range] = []

    def __call__(self, request: Any) -> Result:
        index, of = request["part"]["index"], request["part"]["of"]
        share = range(self.images * index // of, self.images * (index + 1) // of)
        self.asked.append(share)
        made = float(sum(share)), float(len(share))
        return part([[made[0], 0.0]], [[made[1], 0.0]], 1 + len(share), self.image_ms, self.images)

    def begin(self) -> Work:
        work = Work(REQUEST, self(first_part(REQUEST)), self)
        self.asked.clear()
        return work


def part(
    values: Any, weight: Any, forwards: int = 3, image_ms: float = 5 / 3, images: int | None = None
) -> Result:
    shown = {"method": "occlusion", "signed": True, "map": values and np.array(values)}
    whole = None if images is None else {"forwards": 1 + images, "backwards": 0}
    return Result.of(
        {
            "lens": 1,
            "id": None,
            "model": {"name": "m", "version": "1", "digest": "d"},
            "input": {"width": 2, "height": 1, "crop": [0, 0, 2, 1], "size": [1, 2]},
            "predictions": [],
            "activations": [],
            "attributions": [{**shown, "weight": weight and np.array(weight)}],
            "cost": {
                "forwards": forwards,
                "backwards": 0,
                "ms": {"compute": forwards * image_ms},
                **({} if whole is None else {"whole": whole}),
            },
        }
    )


@pytest.mark.parametrize("images", [1, 7, 225, 2048, 47_089])
@pytest.mark.parametrize("image_ms", [0.01, 2.0, 20.0, 300.0])
def test_every_image_is_asked_for_once_and_nobody_waits_long(images: int, image_ms: float) -> None:
    worker = Worker(images, image_ms)
    work = worker.begin()
    while work.go_on():
        pass
    assert worker.asked[0].start == 0 and worker.asked[-1].stop == images
    assert all(one.stop == following.start for one, following in pairwise(worker.asked))
    least = -(-images // PIECES)
    for share in worker.asked:
        assert len(share) <= 2 * least or len(share) * image_ms <= 1.5 * A_PART_MS
    found = work.progress
    assert found.is_whole
    assert found.result.attributions[0].to_numpy()[0, 0] == pytest.approx((images - 1) / 2)
    # The photo itself, with the first part and with each.
    assert found.result.cost.forwards == pytest.approx(
        images + 2 + len(worker.asked), abs=1 + images // PIECES
    )


def test_many_who_wait_for_one_map_have_each_part_of_it_made_once() -> None:
    worker = Worker(4096, 5.0)
    work = worker.begin()
    together = threading.Barrier(8)

    def wait(_: int) -> None:
        together.wait()
        while work.go_on():
            pass

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(wait, range(8)))
    made = sorted(index for share in worker.asked for index in share)
    assert made == list(range(4096))
    assert work.progress.is_whole


def test_how_far_it_has_come_is_seen_while_a_part_is_under_way() -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    worker = Worker(64, 400.0)
    first = worker(first_part(REQUEST))

    def slowly(request: Any) -> Result:
        begun.set()
        assert may_go_on.wait(60)
        return worker(request)

    work = Work(REQUEST, first, slowly)
    with ThreadPoolExecutor(1) as threads:
        going = threads.submit(work.go_on)
        assert begun.wait(60)
        assert work.progress.done == 0
        may_go_on.set()
        assert going.result()
    assert work.progress.done == 2


def test_a_part_without_a_map_leaves_what_there_is() -> None:
    first = part([[0.0, 0.0]], [[0.0, 0.0]], images=8)
    work = Work(REQUEST, first, lambda request: part(None, None))
    with pytest.raises(NoPart):
        work.go_on()
    assert work.progress.done == 0


def added(*parts: Result) -> Any:
    total = Sum.after(parts[0])
    for each in parts:
        total = total.plus(each)
    return total.result({"a": 1})


def test_parts_are_a_mean_by_their_weights() -> None:
    whole = added(part([[2.0, 0.0]], [[1.0, 0.0]]), part([[4.0, 0.0]], [[2.0, 0.0]]))
    assert whole.attributions[0].to_numpy().tolist() == [[2.0, 0.0]]
    # With the first, of which nothing but the passes is counted.
    assert (whole.cost.forwards, whole.cost.ms) == (9, {"compute": 15.0})
    assert whole.origin is not None and whole.origin.asked == {"a": 1}
    one_number = added(part([[2.0, 6.0]], 1.0), part([[4.0, 0.0]], 2.0))
    assert one_number.attributions[0].to_numpy().tolist() == [[2.0, 2.0]]
    with_nothing = added(part([[0.0]], [[0.0]]), part([[4.0, 0.0]], [[2.0]]))
    assert with_nothing.attributions[0].to_numpy().tolist() == [[2.0, 0.0]]


def test_before_any_part_has_looked_the_map_is_nothing() -> None:
    nothing = Sum.after(part([[3.0, 1.0]], [[1.0, 1.0]])).result({})
    assert nothing.attributions[0].to_numpy().tolist() == [[0.0, 0.0]]
    assert nothing.attributions[0].weight is None
