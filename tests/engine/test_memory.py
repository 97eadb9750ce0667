"""A module without a folder: opened as it is, and called by its weights."""

from __future__ import annotations

import copy

import numpy as np
import torch
from engine_fixtures.sessions import card, document, open_session, seeded
from tiny_net import TinyNet
from torch import nn

from servelens.engine.model import weights_digest
from servelens.engine.session import Session


def test_it_answers_as_a_folder_would_and_says_what_it_is():
    module = seeded(TinyNet)
    digest = weights_digest(module)
    session = Session.of(copy.deepcopy(module), card())
    answer = document(session, activations={"layers": ["block"], "channels": "all"})
    expected = document(open_session(module), activations={"layers": ["block"], "channels": "all"})
    assert answer.model.digest == session.describe()["model"]["digest"] == digest
    np.testing.assert_allclose(
        answer.activations[0].maps, expected.activations[0].maps, rtol=1e-5, atol=1e-6
    )


def test_equal_weights_have_one_digest_and_any_change_another():
    module = seeded(TinyNet)
    digest = weights_digest(module)
    assert weights_digest(seeded(TinyNet)) == digest
    assert weights_digest(seeded(TinyNet, seed=1)) != digest
    changed = copy.deepcopy(module)
    changed.block.bn1.running_mean.data[3] += 1e-6
    assert weights_digest(changed) != digest
    assert weights_digest(module) == digest


def test_what_is_laid_out_otherwise_is_the_same_and_another_kind_or_shape_is_not():
    module = nn.Conv2d(4, 6, 3)
    digest = weights_digest(module)
    assert weights_digest(copy.deepcopy(module).to(memory_format=torch.channels_last)) == digest
    assert weights_digest(copy.deepcopy(module).double()) != digest
    assert weights_digest(copy.deepcopy(module).bfloat16()).startswith("sha256:")
    flat = copy.deepcopy(module)
    flat.weight = nn.Parameter(module.weight.reshape(6, 36))
    assert weights_digest(flat) != digest
    assert weights_digest(nn.ReLU()) == weights_digest(nn.Tanh())
