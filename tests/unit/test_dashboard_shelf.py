"""Photos and answers that are kept: under a cap, by content, and never outside their folder."""

from __future__ import annotations

import errno
import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from servelens.client import BadPhoto
from servelens_dashboard.cache import Cache
from servelens_dashboard.shelf import Shelf, name_of

MEGABYTE = 1_000_000


def photo(seed: int, side: int = 16) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "photos", MEGABYTE, MEGABYTE, None)


def test_a_photo_comes_back_by_its_content(shelf: Shelf) -> None:
    name = shelf.put(photo(0))
    assert name == name_of(photo(0)) == shelf.put(photo(0))
    assert shelf.get(name) == photo(0)


def test_a_full_disk_is_told_and_leaves_nothing(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(half_done: Path, _: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), half_done)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(BadPhoto, match="could not be kept: No space left on device. Make room"):
        shelf.put(photo(0))
    assert list((tmp_path / "photos").iterdir()) == []


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    each = len(photo(0))
    shelf = Shelf(tmp_path / "photos", 2 * each + each // 2, MEGABYTE, None)
    names = [shelf.put(photo(seed)) for seed in (0, 1)]
    for age, name in enumerate(names):
        os.utime(tmp_path / "photos" / name, (1000 + age, 1000 + age))
    shelf.get(names[0])
    shelf.put(photo(2))
    assert shelf.get(names[0])
    with pytest.raises(BadPhoto, match="no longer kept"):
        shelf.get(names[1])
    assert sum(path.stat().st_size for path in (tmp_path / "photos").iterdir()) <= 2.5 * each


@pytest.mark.parametrize("name", ["../secret", "", "x" * 32, "/etc/passwd", "0" * 31, "none"])
def test_a_name_reaches_no_other_file(tmp_path: Path, shelf: Shelf, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    with pytest.raises(BadPhoto):
        shelf.get(name)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"no photo", "can be opened"), (b"", "can be opened"), (b"x" * 2_000_000, "2 MB")],
)
def test_what_is_no_photo_is_refused(shelf: Shelf, body: bytes, said: str) -> None:
    with pytest.raises(BadPhoto, match=said):
        shelf.put(body)


def test_samples_stay_and_bring_their_masks(root: Path, tmp_path: Path) -> None:
    samples = root / "archives" / "demo" / "samples"
    shelf = Shelf(tmp_path / "photos", 1, MEGABYTE, samples)
    titles = [sample.title for sample in shelf.samples.values()]
    assert titles[:2] == ["disc, marked", "square, marked"]
    assert len(titles) == 7
    name = next(iter(shelf.samples))
    assert shelf.put(shelf.get(name)) == name
    assert not list((tmp_path / "photos").iterdir())
    mask = shelf.mask(name)
    assert mask is not None
    assert mask.shape == (64, 64)
    assert 0 < mask.mean() < 0.5
    assert shelf.mask(name_of(photo(0))) is None


def test_the_cache_drops_the_least_recently_used() -> None:
    cache: Cache[str] = Cache(10, len)
    made: list[str] = []

    def get(key: str, size: int = 4) -> str:
        return cache.get(key, lambda: made.append(key) or key * size)  # type: ignore[func-returns-value]

    assert [get(key) for key in "ab"] == ["aaaa", "bbbb"]
    get("a")
    get("c")
    get("a")
    get("b")
    assert made == ["a", "b", "c", "b"]
    get("d", 11)
    assert get("d", 11) == "d" * 11
    assert made.count("d") == 2, "what is larger than the cache is not kept"


def test_what_several_ask_at_once_is_asked_once() -> None:
    cache: Cache[int] = Cache(1)
    asked, go = [], threading.Event()

    def make() -> int:
        asked.append(1)
        go.wait(10)
        return len(asked)

    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(cache.get("k", make))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert answers == [1] * 8


def test_a_failure_is_not_kept() -> None:
    cache: Cache[int] = Cache(1)
    with pytest.raises(ZeroDivisionError):
        cache.get("k", lambda: 1 // 0)
    assert cache.get("k", lambda: 7) == 7
