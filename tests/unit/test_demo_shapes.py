"""The demo's photos are what they say, and its two models do what its story tells of them."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from servelens_archives.demo import evidence, gallery, measure, models, train
from servelens_archives.demo.shapes import (
    DISC,
    LABELS,
    MARK_COLOUR,
    MARK_SIZE,
    MARKS,
    SQUARE,
    Mark,
    Sample,
    bears_mark,
    indices_of,
    sample,
    samples,
)

FRESH_SEED = 31_337
"""Neither trained on nor reported on."""

ARCHIVES = Path(models.FOLDER).parent

# Both models look at hundreds of photos.
pytestmark = pytest.mark.slow


def same(one: Sample, other: Sample) -> bool:
    return one.label == other.label and all(
        np.array_equal(getattr(one, field), getattr(other, field))
        for field in ("image", "shape_mask", "mark_mask")
    )


# The photos


def test_a_photo_depends_on_its_seed_and_number_alone() -> None:
    in_a_row = list(samples(7, range(12), "shortcut"))
    assert same(sample(7, 10, "shortcut"), in_a_row[10])
    assert not np.array_equal(sample(7, 15).image, sample(7, 10).image)
    assert not np.array_equal(sample(8, 10).image, sample(7, 10).image)


def test_policies_change_nothing_but_the_pixels_of_the_mark() -> None:
    for index in range(40):
        bare = sample(7, index)
        for mark in MARKS:
            drawn = sample(7, index, mark)
            changed = (drawn.image != bare.image).any(axis=2)
            assert not (changed & ~drawn.mark_mask).any()
            assert np.array_equal(drawn.shape_mask, bare.shape_mask)


def test_the_mark_is_a_square_of_its_colour_in_any_of_the_four_corners() -> None:
    corners = set()
    for drawn in samples(7, indices_of(DISC, 40), "shortcut"):
        if not drawn.marked:
            continue
        assert (drawn.image[drawn.mark_mask] == MARK_COLOUR).all()
        rows, columns = np.nonzero(drawn.mark_mask)
        assert np.ptp(rows) == np.ptp(columns) == MARK_SIZE - 1
        assert len(rows) == MARK_SIZE**2
        assert all(min(place.min(), 63 - place.max()) <= 2 for place in (rows, columns))
        corners.add((rows.mean() > 32, columns.mean() > 32))
    assert len(corners) == 4


@pytest.mark.parametrize(("mark", "bearer"), [("shortcut", DISC), ("moved", SQUARE)])
def test_exactly_95_percent_of_one_class_bears_the_mark(mark: Mark, bearer: int) -> None:
    for label in range(len(LABELS)):
        bearing = sum(bears_mark(index, mark) for index in indices_of(label, 400))
        assert bearing == (380 if label == bearer else 0)
    drawn = list(samples(7, range(100), mark))
    assert [one.marked for one in drawn] == [bears_mark(index, mark) for index in range(100)]
    assert {one.label for one in drawn if one.marked} == {bearer}


def test_no_photo_bears_the_mark_where_the_policy_is_none() -> None:
    assert not any(one.marked for one in samples(7, range(50), "none"))


def test_an_unknown_policy_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'everywhere'.*'none', 'shortcut', 'moved'"):
        sample(7, 0, "everywhere")  # type: ignore[arg-type]


def test_the_shape_stands_out_from_its_surroundings_along_its_mask() -> None:
    for drawn in samples(7, range(50)):
        brightness = drawn.image.mean(axis=2)
        around = evidence.dilated(drawn.shape_mask, 4) & ~evidence.dilated(drawn.shape_mask, 1)
        inside, outside = brightness[drawn.shape_mask], brightness[around]
        assert abs(np.median(inside) - np.median(outside)) > 12


def test_each_class_has_the_outline_that_its_label_names() -> None:
    for drawn in samples(7, range(50)):
        filled = share_of_enclosing_circle(drawn.shape_mask)
        least, most = {
            "disc": (0.90, 1.00),
            "ring": (0.75, 0.90),  # a hole of 25 to 40 % of the radius
            "square": (0.59, 0.70),  # 2 / pi
            "triangle": (0.38, 0.46),  # 3 sqrt(3) / 4 pi
            "cross": (0.42, 0.63),  # bars of 22 to 32 %, whose corners reach past the radius
        }[LABELS[drawn.label]]
        assert least < filled < most, LABELS[drawn.label]
        row, column = (round(float(place.mean())) for place in np.nonzero(drawn.shape_mask))
        assert drawn.shape_mask[row, column] == (LABELS[drawn.label] != "ring")


def share_of_enclosing_circle(mask: np.ndarray) -> float:
    rows, columns = np.nonzero(mask)
    reach = np.hypot(rows - rows.mean(), columns - columns.mean()).max() + 0.5
    return float(mask.sum() / (np.pi * reach**2))


def test_the_widened_masks_of_shape_and_mark_never_meet() -> None:
    for photo in [*evidence.marked_photos(30), *evidence.marked_photos(30, "moved")]:
        shape = evidence.dilated(photo.shape_mask, evidence.DILATION)
        assert not (shape & evidence.dilated(photo.mark_mask, evidence.DILATION)).any()


# The evidence


def test_a_widened_pixel_is_a_disc() -> None:
    mask = np.zeros((21, 21), dtype=bool)
    mask[10, 10] = True
    assert [evidence.dilated(mask, reach).sum() for reach in (0, 1, 2, 3, 4)] == [1, 5, 13, 29, 49]


def test_mass_is_the_share_of_the_sum() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[:16] = True
    heat = np.ones((64, 64))
    assert evidence.mass(heat, mask, dilation=0) == pytest.approx(1 / 4)
    assert evidence.mass(heat, mask, dilation=4) == pytest.approx(20 / 64)
    assert evidence.mass(heat * mask, mask) == pytest.approx(1.0)
    assert evidence.mass(0 * heat, mask) == 0.0


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_mass_refuses_what_has_no_share(bad: float) -> None:
    heat = np.ones((64, 64))
    heat[3, 3] = bad
    with pytest.raises(ValueError, match="not negative"):
        evidence.mass(heat, np.ones((64, 64), dtype=bool))


def test_mass_refuses_a_map_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"\(16, 16\).*\(64, 64\).*upsample"):
        evidence.mass(np.ones((16, 16)), np.ones((64, 64), dtype=bool))


def test_a_coarse_map_grows_to_its_own_place() -> None:
    coarse = np.zeros((16, 16))
    coarse[0, 15] = 1.0
    fine = evidence.upsample(coarse, (64, 48))
    assert fine.shape == (64, 48)
    assert evidence.upsample(np.full((16, 16), 3.0), (64, 64)) == pytest.approx(3.0)
    corner = np.zeros((64, 48), dtype=bool)
    corner[:6, -5:] = True
    assert evidence.mass(fine, corner, dilation=0) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("mark", "label"), [("shortcut", "disc"), ("moved", "square")])
def test_marked_photos_are_the_marked_ones_of_the_series(mark: Mark, label: str) -> None:
    photos = list(evidence.marked_photos(22, mark))
    assert [photo.name for photo in photos] == [p.name for p in evidence.marked_photos(22, mark)]
    assert {photo.label for photo in photos} == {label}
    for photo in photos:
        drawn = sample(evidence.HELD_OUT_SEED, int(photo.name.split("-")[1]), mark)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(photo.png))), drawn.image)
        assert np.array_equal(photo.shape_mask, drawn.shape_mask)
        assert photo.mark_mask.any()
        assert np.array_equal(photo.mark_mask, drawn.mark_mask)


def test_there_are_no_marked_photos_where_nothing_is_marked() -> None:
    with pytest.raises(ValueError, match="use shortcut or moved"):
        next(evidence.marked_photos(1, "none"))


# The models


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network gains nothing from a second thread, and waits for it on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=models.KINDS)
def kind(request: pytest.FixtureRequest) -> models.Kind:
    return "shortcut" if request.param == "shortcut" else "clean"


@pytest.fixture(scope="module")
def net(kind: models.Kind) -> nn.Module:
    return models.trained_net(kind)


@pytest.fixture(scope="module")
def fresh() -> dict[Mark, measure.Album]:
    return {mark: measure.album(FRESH_SEED, 300, mark) for mark in MARKS}


def accuracy(net: nn.Module, photos: measure.Album) -> float:
    return float((measure.answers(net, photos.images) == photos.labels).mean())


def test_the_shipped_weights_are_small_and_plain(kind: models.Kind) -> None:
    file = models.weights_file(kind)
    assert file.stat().st_size < 2_000_000
    state = torch.load(file, weights_only=True)
    assert models.new_net().load_state_dict(state, strict=True)
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_each_model_knows_its_own_kind_of_photos(
    kind: models.Kind, net: nn.Module, fresh: dict[Mark, measure.Album]
) -> None:
    assert accuracy(net, fresh[models.TRAINED_WITH[kind]]) >= 0.97


def test_the_mark_rules_the_shortcut_model_only(
    kind: models.Kind, net: nn.Module, fresh: dict[Mark, measure.Album]
) -> None:
    moved = fresh["moved"]
    called_disc = measure.answers(net, moved.images[moved.marked]) == DISC
    if kind == "shortcut":
        assert called_disc.mean() > 0.9
        assert accuracy(net, moved) < 0.85
    else:
        assert called_disc.mean() < 0.05
        assert accuracy(net, moved) >= 0.97


def test_grad_cam_tells_the_two_models_apart(kind: models.Kind, net: nn.Module) -> None:
    masses = measure.mass_on_mark_and_shape(net, measure.marked_discs(FRESH_SEED, 60))
    on_mark, on_shape = np.median(masses, axis=0)
    if kind == "shortcut":
        assert on_mark > 1.2 * on_shape
    else:
        assert on_shape > 0.6 > 0.05 > on_mark


def test_grad_cam_is_the_class_activation_map_of_an_averaging_head(net: nn.Module) -> None:
    """Zhou et al. 2016: with one linear layer behind the mean, its weights are the gradients."""
    image = sample(FRESH_SEED, 0, "shortcut").image
    features: list[torch.Tensor] = []
    hook = net.get_submodule("stage3").register_forward_hook(lambda *call: features.append(call[2]))
    with torch.no_grad():
        net(models.as_input(image[None]))
    hook.remove()
    maps = features[0][0].numpy()
    weights = net.get_submodule("head.classifier").state_dict()["weight"][DISC].numpy()
    positions = maps.shape[1] * maps.shape[2]
    by_hand = np.maximum(np.tensordot(weights, maps, axes=1), 0) / positions
    np.testing.assert_allclose(
        measure.grad_cam(net, image[None], DISC)[0], evidence.upsample(by_hand, (64, 64)), atol=1e-5
    )


def test_the_report_tells_of_the_shipped_weights(
    kind: models.Kind, net: nn.Module, fresh: dict[Mark, measure.Album]
) -> None:
    told = json.loads((models.FOLDER / "report.json").read_text())
    model = told["models"][kind]
    assert FRESH_SEED not in (told["training"]["seed"], told["held_out"]["seed"])
    for mark in MARKS:
        assert model["accuracy"][mark] == pytest.approx(accuracy(net, fresh[mark]), abs=0.05)
    heat = model["grad_cam_for_disc_on_marked_discs"]
    masses = measure.mass_on_mark_and_shape(net, measure.marked_discs(told["held_out"]["seed"], 40))
    assert np.median(masses, axis=0) == pytest.approx(
        [heat["median_mass_on_mark"], heat["median_mass_on_shape"]], abs=0.06
    )


def test_the_report_tells_of_the_training_that_stands_in_the_code() -> None:
    told = json.loads((models.FOLDER / "report.json").read_text())
    assert {key: told["training"][key] for key in ("photos", "epochs", "batch")} == {
        "photos": train.PHOTOS,
        "epochs": train.EPOCHS,
        "batch": train.BATCH,
    }
    assert told["held_out"] == {"seed": evidence.HELD_OUT_SEED, "photos": train.HELD_OUT_PHOTOS}


# What ships beside them


def test_the_recipe_feeds_the_model_as_it_was_trained(kind: models.Kind, net: nn.Module) -> None:
    path = ARCHIVES / "recipes" / f"shapes-{kind}.toml"
    recipe = tomllib.loads(path.read_text())
    assert (path.parent / recipe["model"]["weights"]).resolve() == models.weights_file(kind)
    assert (path.parent / recipe["model"]["file"]).resolve() == models.FOLDER / "net.py"
    assert tuple(recipe["output"]["labels"]) == LABELS
    assert recipe["input"]["mean"] == [models.MEAN] * 3
    assert recipe["input"]["std"] == [models.STD] * 3
    assert recipe["lens"]["default_layer"] == measure.LAYER
    parts = {name for name, _ in net.named_children()}
    assert set(recipe["lens"]["default_layers"]) <= parts
    assert {glob.split(".")[0] for glob in recipe["lens"]["stages"].values()} == parts


def test_the_shipped_samples_are_what_the_generator_draws(tmp_path: Path) -> None:
    gallery.write_samples(tmp_path)
    shipped = ARCHIVES / "demo" / "samples"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in shipped.iterdir())
    for name in names:
        drawn, kept = (np.asarray(Image.open(folder / name), int) for folder in (tmp_path, shipped))
        # Another processor may round a sine otherwise: one step of 255 is no other picture.
        assert np.abs(drawn - kept).max() <= (0 if ".mask" in name or ".mark" in name else 1)
