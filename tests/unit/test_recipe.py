"""A recipe is read into a frozen Recipe, or every mistake in it is told by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servelens.engine.folder.card import Card
from servelens_archives.errors import BuildError, RecipeError
from servelens_archives.recipe import Recipe, ServeSpec, load_recipe
from servelens_archives.sections import INPUT, LENS, SERVE
from servelens_archives.sections import MODEL as MODEL_KEYS

FULL = """
name = "regnet"
title = "RegNetY 400MF"
version = "2.1"

[model]
architecture = "regnet_y_400mf"
kwargs = { stem_width = 32 }
weights = "regnet.pt"
num_classes = 3

[input]
size = [120, 160]
resize = 130
crop = "none"
channels = 1
mean = [0.5]
std = [0.25]
interpolation = "bicubic"
exif = false

[output]
labels = ["ant", "bee", "cow"]
activation = "sigmoid"

[lens]
default_layer = "trunk_output.block4"
default_layers = ["trunk_output.block1"]
stages = { "stage 1" = "trunk_output.block1.*" }
default_plan = ["saliency", { method = "grad_cam", layer = "trunk_output.block4" }]
images = "../photos"

[serve]
batch_size = 8
max_batch_delay_ms = 20
response_timeout_s = 60
threads = 2
nice = 10
response_bytes = 1_000_000
dtype = "bfloat16"
"""
SMALL = 'name = "r18"\n[model]\narchitecture = "resnet18"\n'
MODEL = '[model]\narchitecture = "resnet18"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str) -> Recipe:
    return load_recipe(write(folder, text))


def problems_of(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as error:
        read(folder, text)
    return error.value.problems


def test_every_key_arrives_where_it_belongs(tmp_path: Path) -> None:
    recipe = read(tmp_path, FULL)
    card, serve = recipe.card, recipe.serve
    assert (card.name, card.title, card.version) == ("regnet", "RegNetY 400MF", "2.1")
    assert card.model.architecture == "regnet_y_400mf"
    assert card.model.kwargs == {"stem_width": 32}
    assert card.model.num_classes == 3
    assert recipe.weights == str(tmp_path / "regnet.pt")
    assert (card.input.size, card.input.resize, card.input.crop) == ((120, 160), 130, "none")
    assert (card.input.channels, card.input.mean, card.input.std) == (1, (0.5,), (0.25,))
    assert (card.input.interpolation, card.input.exif) == ("bicubic", False)
    assert card.output.labels == ("ant", "bee", "cow")
    assert card.output.activation == "sigmoid"
    assert card.lens.default_layer == "trunk_output.block4"
    assert card.lens.default_layers == ("trunk_output.block1",)
    assert card.lens.stages == {"stage 1": "trunk_output.block1.*"}
    assert card.lens.default_plan[1] == {"method": "grad_cam", "layer": "trunk_output.block4"}
    assert recipe.images == tmp_path / "../photos"
    assert card.lens.evidence == {}
    assert (serve.batch_size, serve.max_batch_delay_ms, serve.response_timeout_s) == (8, 20, 60)
    assert (serve.threads, serve.nice, serve.response_bytes) == (2, 10, 1_000_000)
    assert serve.dtype == "bfloat16"


def test_all_but_name_and_model_has_a_default(tmp_path: Path) -> None:
    recipe = read(tmp_path, SMALL)
    assert recipe.weights == "default"
    assert recipe.card.title == "r18"
    assert recipe.card.input.size == (224, 224)
    assert recipe.card.output.labels is None
    assert recipe.serve.response_bytes == 6_000_000


@pytest.mark.parametrize("limit", [6_553_500, 8_000_000])
def test_answers_that_a_server_kills_the_worker_for_are_warned_of(limit: int) -> None:
    [warning] = ServeSpec(response_bytes=limit).warnings()
    assert f"answers of {limit:,} bytes" in warning and "max_response_size" in warning
    assert ServeSpec().warnings() == ServeSpec(response_bytes=6_553_499).warnings() == ()


def test_the_card_of_a_recipe_survives_being_saved_and_loaded(tmp_path: Path) -> None:
    card = read(tmp_path, FULL).card
    card.save(tmp_path)
    assert Card.load(tmp_path) == card


def test_stages_stay_in_the_order_in_which_the_recipe_tries_them(tmp_path: Path) -> None:
    stages = '"the end" = "layer4.1.*"\n"stage 4" = "layer4.*"\n"the rest" = "*"\n"a" = "fc"\n'
    read(tmp_path, f"{SMALL}[lens.stages]\n{stages}").card.save(tmp_path)
    assert list(Card.load(tmp_path).lens.stages) == ["the end", "stage 4", "the rest", "a"]


def test_a_model_file_keeps_its_path_in_the_recipe_and_its_name_in_the_card(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "tiny.py").write_text("class Net: ...\n")
    recipe = read(
        tmp_path, 'name = "a"\n[model]\nfile = "nets/tiny.py"\nclass = "Net"\nweights = "none"\n'
    )
    assert recipe.model_file == tmp_path / "nets" / "tiny.py"
    assert (recipe.card.model.file, recipe.card.model.class_name) == ("tiny.py", "Net")


@pytest.mark.parametrize("architecture", ["googlenet", "inception_v3"])
def test_pretrained_inceptions_get_the_arguments_torchvision_gives_them(
    tmp_path: Path, architecture: str
) -> None:
    text = f'name = "a"\n[model]\narchitecture = "{architecture}"\n'
    assert read(tmp_path, text).card.model.kwargs == {"transform_input": True}
    assert read(tmp_path, text + 'weights = "none"\n').card.model.kwargs == {}


@pytest.mark.parametrize(
    "content",
    [
        ["ant", "bee"],
        {"1": "bee", "0": "ant"},
        {"0": ["n01", "ant"], "1": ["n02", "bee"]},
    ],
)
def test_labels_come_from_json_in_each_of_its_forms(tmp_path: Path, content: object) -> None:
    (tmp_path / "names.json").write_text(json.dumps(content))
    assert read(tmp_path, SMALL + '[output]\nlabels = "names.json"').card.output.labels == (
        "ant",
        "bee",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (MODEL, 'name is missing; give the model one, as in name = "resnet18"'),
        (f'name = "../up"\n{MODEL}', "name must be 1 to 100 letters, digits, '_', '.' and '-', the "
         "first a letter or a digit, not '../up'"),
        (f"name = 7\n{MODEL}", "name must be 1 to 100 letters, digits, '_', '.' and '-', the first "
         "a letter or a digit, not 7"),
        (f'name = "a\\n"\n{MODEL}', "name must be 1 to 100 letters, digits, '_', '.' and '-', the "
         "first a letter or a digit, not 'a\\n'"),
        (f'name = "a"\ntitel = "A"\n{MODEL}', "titel is not a key of a recipe; did you mean "
         "'title'?"),
        (f'name = "a"\nmodle = 1\n{MODEL}', "modle is not a key of a recipe; did you mean "
         "'model'?"),
        ('name = "a"\nmodel = 3', "model must be a section [model] with keys of its own"),
        (f"{SMALL}[input]\nsise = 3", "[input] sise is not a key of a recipe; did you mean "
         "'size' or 'resize'?"),
        (f"{SMALL}[serve]\nzzz = 3", "[serve] zzz is not a key of a recipe; known: 'batch_size', "
         "'max_batch_delay_ms', 'response_timeout_s', 'threads', 'nice', 'response_bytes', "
         "'dtype'"),
        (f"{SMALL}[input]\nsize = true", "[input] size must be an integer from 1 to 4096 or "
         "[height, width] of those, not True"),
        (f"{SMALL}[input]\nsize = [224]", "[input] size must be an integer from 1 to 4096 or "
         "[height, width] of those, not [224]"),
        (f"{SMALL}[input]\nsize = 100000", "[input] size must be an integer from 1 to 4096 or "
         "[height, width] of those, not 100000"),
        (f"{SMALL}[input]\nresize = -1", "[input] resize must be an integer from 0 to 4096, not "
         "-1"),
        (f'{SMALL}[input]\ncrop = "centre"', "[input] crop must be one of center, none, not "
         "'centre'; did you mean 'center'?"),
        (f"{SMALL}[input]\nchannels = 2", "[input] channels must be 3 for colour or 1 for grey, "
         "not 2"),
        (f"{SMALL}[input]\nmean = [0.5]", "[input] mean has 1 numbers where channels is 3; give "
         "one a channel"),
        (f"{SMALL}[input]\nstd = [0.2, 0.0, 0.2]", "[input] std must be above 0, for pixels are "
         "divided by it, not [0.2, 0.0, 0.2]"),
        (f"{SMALL}[input]\nmean = [nan, 0, 0]", "[input] mean must be a list of numbers, one a "
         "channel, not [nan, 0, 0]"),
        (f'{SMALL}[input]\nexif = "yes"', "[input] exif must be true or false, not 'yes'"),
        (f'{SMALL}[output]\nactivation = "relu"', "[output] activation must be one of softmax, "
         "sigmoid, none, not 'relu'; known: 'softmax', 'sigmoid', 'none'"),
        (f"{SMALL}[output]\nlabels = [1, 2]", "[output] labels must be a list of texts, not "
         "[1, 2]"),
        (f"{SMALL}[output]\nlabels = []", "[output] labels must name at least one class"),
        (f'{SMALL}[output]\nlabels = "gone.json"', "[output] labels names the file 'gone.json', "
         "which cannot be read: No such file or directory"),
        (f'{SMALL}num_classes = 3\n[output]\nlabels = ["a", "b"]', "[output] labels has 2 names "
         "where [model] num_classes is 3"),
        (f"{SMALL}kwargs = {{ weights = 1 }}", "[model] kwargs may not hold 'weights', for [model] "
         "has a key of that name"),
        (f"{SMALL}kwargs = {{ since = 1979-05-27 }}", "[model] kwargs may hold only texts, finite "
         "numbers, booleans, lists and tables"),
        (f"{SMALL}num_classes = 0", "[model] num_classes must be an integer from 1 to 1000000, not "
         "0"),
        (f'{SMALL}class = "Net"', "[model] has architecture and also file or "
         "class; give torchvision's name of an architecture, or the file and the class of your "
         "own model"),
        ('name = "a"\n[model]\nclass = "Net"', '[model] must have architecture = "resnet18" or '
         'another of torchvision\'s, or both file = "net.py" and class = "Net"'),
        ('name = "a"', '[model] must have architecture = "resnet18" or another of torchvision\'s, '
         'or both file = "net.py" and class = "Net"'),
        (f'{SMALL}[lens]\ndefault_plan = "grad_cam"', "[lens] default_plan must be a list of "
         "methods as in a request's explain, not 'grad_cam'"),
        (f"{SMALL}[lens]\nimages = 3", "[lens] images must be text, not 3"),
        (f"{SMALL}[lens]\nstages = {{ a = 1 }}", "[lens] stages must be a table of texts, not "
         "{'a': 1}"),
        (f"{SMALL}[serve]\nnice = 20", "[serve] nice must be an integer from 0 to 19, not 20"),
        (f"{SMALL}[serve]\nmax_batch_delay_ms = 0", "[serve] max_batch_delay_ms must be an integer "
         "from 1 to 60000, not 0"),
        (f'{SMALL}[serve]\ndtype = "int8"', "[serve] dtype must be one of float32, float16, "
         "bfloat16, not 'int8'; known: 'float32', 'float16', 'bfloat16'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_exact_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert problems_of(tmp_path, text) == (sentence,)


def test_own_classes_are_told_to_bring_their_weights(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net: ...\n")
    [problem] = problems_of(tmp_path, 'name = "a"\n[model]\nfile = "net.py"\nclass = "Net"\n')
    assert problem == (
        '[model] weights must be the path of your own class\'s weights, or "none" for random '
        'ones; "default" is for torchvision\'s'
    )


def test_a_model_file_may_not_hide_a_module_of_the_worker(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("class Net: ...\n")
    text = 'name = "a"\n[model]\nfile = "torch.py"\nclass = "Net"\nweights = "none"\n'
    assert problems_of(tmp_path, text) == (
        "[model] file is called 'torch.py', which would hide the module 'torch' from the worker; "
        "rename it",
    )


def test_a_plan_that_no_request_could_ask_for_is_told(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, f"{SMALL}[lens]\ndefault_plan = [{{ layer = 'layer4' }}]")
    assert problem.startswith("[lens] default_plan is not as a request's explain: ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"0": "a", "2": "c"}', "has 2 keys, so they must be '0' to '1'; '1' is missing"),
        ('"ant"', "must be a list of names or a mapping of index to name, not 'ant'"),
        ('["ant", 2]', "must be a list of texts, not ['ant', 2]"),
        ('{"0": {"a": 1}}', "must be a list of texts, not [{'a': 1}]"),
    ],
)
def test_a_labels_file_of_another_form_is_told(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "names.json").write_text(content)
    assert problems_of(tmp_path, f'{SMALL}[output]\nlabels = "names.json"') == (
        f"[output] labels names the file 'names.json', whose content {sentence}",
    )


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"{", b"[" * 100_000])
def test_a_labels_file_that_is_not_json_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.json").write_bytes(content)
    assert problems_of(tmp_path, f'{SMALL}[output]\nlabels = "names.json"') == (
        "[output] labels names the file 'names.json', which is not JSON in UTF-8",
    )


def as_toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value)


SECTIONS = {"model": MODEL_KEYS, "input": INPUT, "lens": LENS, "serve": SERVE}
KEYS = [(section, key) for section, keys in SECTIONS.items() for key in keys]
KEYS += [("output", "labels"), ("output", "activation")]
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", exclude_characters="\x7f"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abm"), inner),
    max_leaves=6,
)


@given(st.sampled_from(KEYS), VALUES)
def test_no_value_does_anything_but_fit_or_be_told(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str, str], value: object
) -> None:
    section, key = place
    text = f'name = "a"\n[{section}]\n{key} = {as_toml(value)}\n'
    if section != "model":
        text += MODEL
    folder = tmp_path_factory.getbasetemp()
    try:
        card = read(folder, text).card
    except RecipeError as error:
        assert all("\n" not in problem and len(problem) < 600 for problem in error.problems)
    else:
        card.save(folder)
        assert Card.load(folder) == card


def test_all_mistakes_are_told_at_once_and_each_on_a_line(tmp_path: Path) -> None:
    text = 'name = "-"\n[model]\narchitecture = 3\n[input]\nsise = 1\ncrop = 2\n[serve]\nnice = 99'
    with pytest.raises(RecipeError) as error:
        read(tmp_path, text)
    assert len(error.value.problems) == 5
    first, *lines = str(error.value).splitlines()
    assert first == "recipe.toml has 5 errors:"
    assert lines == [f"  - {problem}" for problem in error.value.problems]


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"a = " + b"[" * 100_000])
def test_what_is_not_toml_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe.toml has an error:\n  - it is not TOML: "):
        load_recipe(path)


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="it cannot be read: No such file"):
        load_recipe(tmp_path / "gone.toml")


def test_a_long_value_does_not_flood_the_message(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, f'{SMALL}[input]\ncrop = "{"x" * 100_000}"')
    assert len(problem) < 300


def test_a_single_logit_may_have_two_labels(tmp_path: Path) -> None:
    text = f'{SMALL}num_classes = 1\n[output]\nlabels = ["no", "yes"]\nactivation = "sigmoid"'
    assert read(tmp_path, text).card.output.labels == ("no", "yes")


def test_the_explain_variant_is_the_same_model_for_a_queue_of_its_own(tmp_path: Path) -> None:
    recipe = read(tmp_path, FULL)
    variant = recipe.as_variant("explain")
    assert variant.card.name == "regnet-explain"
    assert variant.card.title == "RegNetY 400MF (explanations)"
    assert (variant.serve.batch_size, variant.serve.nice) == (1, 19)
    assert variant.serve.response_timeout_s == recipe.serve.response_timeout_s
    assert variant.card.model == recipe.card.model
    assert variant.weights == recipe.weights
    with pytest.raises(BuildError, match="no variant 'fast', only explain"):
        recipe.as_variant("fast")


def test_the_recipes_that_ship_can_be_read() -> None:
    recipes = Path(__file__).parents[2] / "archives" / "recipes"
    found = {path.stem: load_recipe(path) for path in recipes.glob("*.toml")}
    assert "resnet18" in found
    labels = found["resnet18"].card.output.labels
    assert labels is not None
    assert len(labels) == 1000
    assert labels[281] == "tabby"
