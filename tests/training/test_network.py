"""Names, layers and settings that need no Paddle."""

from __future__ import annotations

import pytest
from sentinova_training import finetuning, golden, network
from sentinova_training.errors import RecipeError


@pytest.mark.parametrize(
    ("name", "expected", "linear"),
    [
        ("encoder.layer.3.attention.self.query.weight", "bert.encoder.layers.3.self_attn.q_proj.weight", True),
        ("encoder.layer.0.attention.output.LayerNorm.weight", "bert.encoder.layers.0.norm1.weight", False),
        ("encoder.layer.11.output.dense.bias", "bert.encoder.layers.11.linear2.bias", False),
        ("embeddings.LayerNorm.bias", "bert.embeddings.layer_norm.bias", False),
        ("embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight", False),
        ("pooler.dense.weight", "bert.pooler.dense.weight", True),
    ],
)
def test_starting_weights_find_their_parameter(name: str, expected: str, linear: bool):
    assert network.paddle_name(name) == expected
    assert network.is_linear(expected) == linear


def test_a_student_keeps_evenly_spaced_layers_and_the_last():
    assert network.kept_layers(6, 3) == [1, 3, 5]
    assert network.kept_layers(12, 4) == [2, 5, 8, 11]
    assert network.kept_layers(6, 6) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(RecipeError, match="1 to 6"):
        network.kept_layers(6, 7)


def test_lower_layers_learn_more_slowly():
    assert finetuning.depth_of("classifier.weight", 6) == 0
    assert finetuning.depth_of("bert.pooler.dense.weight", 6) == 0
    assert finetuning.depth_of("bert.encoder.layers.5.linear1.weight", 6) == 0
    assert finetuning.depth_of("bert.encoder.layers.0.linear1.weight", 6) == 5
    assert finetuning.depth_of("bert.embeddings.position_embeddings.weight", 6) == 6


def test_the_rate_rises_then_falls_to_nothing():
    factors = [finetuning.rate_factor(step, 100, 0.1) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == pytest.approx(1.0)
    assert factors[100] == 0.0
    assert factors[10:] == sorted(factors[10:], reverse=True)


def words(text: str) -> list[int]:
    """A stand-in tokenizer: one id a word, and two around them."""
    return [0] * (len(text.split()) + 2)


def test_golden_texts_differ_and_span_the_lengths():
    texts = golden.texts(words, 512)
    lengths = [len(words(text)) for text in texts]
    assert len(texts) == len(set(texts)) >= 32
    assert min(lengths) == 3
    assert max(lengths) == 512
    assert max(len(words(text)) for text in golden.texts(words, 64)) == 64
