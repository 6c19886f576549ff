"""The classifier: PaddleNLP's BERT, its starting weights and its tokenizer.

Knows PaddleNLP and the layout of the starting weights; must not know about optimisers or files of a served
model. Paddle is imported where it is used, so that the thread count set by `threads` takes effect.
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentinova_training import onnx_weights
from sentinova_training.errors import RecipeError

PACKAGED_START = "packaged"
_LAYER_NAMES = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def threads(count: int) -> None:
    """Sets the threads of Paddle's matrix work; must come before Paddle's first import, which sets one."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    os.environ["MKL_NUM_THREADS"] = str(count)


def paddle_name(name: str) -> str:
    """PaddleNLP's name of a parameter that the ONNX file names in Hugging Face's way."""
    found = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
    if found:
        layer, part, kind = found.groups()
        return f"bert.encoder.layers.{layer}.{_LAYER_NAMES[part]}.{kind}"
    return "bert." + name.replace("LayerNorm", "layer_norm")


def is_linear(name: str) -> bool:
    """Whether the parameter (Paddle's name) is the matrix of a Linear layer, [in, out] in Paddle."""
    return name.endswith(".weight") and "norm" not in name and "embeddings" not in name


def build(config: dict[str, Any]) -> Any:
    """A `BertForSequenceClassification` with random weights."""
    from paddlenlp.transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**config))


def from_packaged(folder: Path, labels: Sequence[str], dropout: float, seed: int) -> Any:
    """The classifier with the packaged encoder weights and a random head.

    Args:
        folder: holds `config.json` and `model.onnx`.
        labels: class names in class order.
        dropout: of hidden states and of the head, 0 to 1; attention has none.
        seed: of the head.
    """
    import paddle

    found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wanted = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = {name: found[name] for name in (*wanted, "max_position_embeddings", "type_vocab_size")}
    paddle.seed(seed)
    network = build({**config, **_class_config(labels, dropout)})
    _load(network, onnx_weights.read(folder / "model.onnx"))
    return network


def _class_config(labels: Sequence[str], dropout: float) -> dict[str, Any]:
    """The part of PaddleNLP's config that speaks of classes and dropout."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": dropout,
    }


def _load(network: Any, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Copies the encoder's tensors, Linear matrices transposed to Paddle's [in, out]."""
    own = network.state_dict()
    for name, tensor in tensors.items():
        target = paddle_name(name)
        value = np.ascontiguousarray(tensor.T if is_linear(target) else tensor, dtype=np.float32)
        if target not in own or list(own[target].shape) != list(value.shape):
            raise RecipeError(f"starting weights: {name} {value.shape} fits no parameter {target}")
        own[target].set_value(value)


def from_paddlenlp(name: str, labels: Sequence[str], dropout: float, seed: int) -> Any:
    """The classifier of a PaddleNLP model name or of a local folder in PaddleNLP's format.

    Raises:
        RecipeError: PaddleNLP finds no such model.
    """
    import paddle
    from paddlenlp.transformers import BertForSequenceClassification

    paddle.seed(seed)
    try:
        return BertForSequenceClassification.from_pretrained(name, **_class_config(labels, dropout))
    except Exception as error:
        raise RecipeError(
            f"--init {name}: PaddleNLP cannot load it ({type(error).__name__}: {error}); "
            "give a BERT model's name or a folder with config.json and model_state.pdparams"
        ) from error


def lowest(network: Any, layers: int) -> Any:
    """Takes all layers above the lowest `layers` off a classifier, in place, and returns it.

    What a network pretrained for embeddings knows about feeling is complete halfway up; the layers above serve
    the embedding (a linear reading of the packaged encoder gains next to nothing past its seventh layer).

    Raises:
        RecipeError: more layers than there are, or none.
    """
    from paddle import nn

    present = list(network.bert.encoder.layers)
    if not 1 <= layers <= len(present):
        raise RecipeError(f"--layers {layers}: the starting network has {len(present)}, so give 1 to {len(present)}")
    network.bert.encoder.layers = nn.LayerList(present[:layers])
    network.bert.encoder.num_layers = layers
    network.config.num_hidden_layers = layers
    return network


def student_of(teacher: Any, layers: int, dropout: float) -> Any:
    """A shallower copy of a classifier: its embeddings, head and evenly spaced layers.

    Args:
        teacher: the trained classifier.
        layers: how many layers to keep; 3 of 6 keeps the second, fourth and sixth.
        dropout: of the student's hidden states.
    """
    settings = {**teacher.config.to_dict(), "num_hidden_layers": layers}
    names = [settings["id2label"][key] for key in sorted(settings["id2label"], key=int)]
    kept_keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = {key: settings[key] for key in (*kept_keys, "max_position_embeddings", "type_vocab_size")}
    student = build({**config, **_class_config(names, dropout)})
    kept = kept_layers(teacher.config.num_hidden_layers, layers)
    own, source = student.state_dict(), teacher.state_dict()
    for name, tensor in own.items():
        found = re.fullmatch(r"(bert\.encoder\.layers\.)(\d+)(\..+)", name)
        origin = f"{found[1]}{kept[int(found[2])]}{found[3]}" if found else name
        tensor.set_value(source[origin])
    return student


def kept_layers(depth: int, layers: int) -> list[int]:
    """Indices of `layers` evenly spaced layers of `depth`, the last one always among them.

    Raises:
        RecipeError: more layers than there are, or none.
    """
    if not 1 <= layers <= depth:
        raise RecipeError(f"--layers {layers}: the teacher has {depth}, so give 1 to {depth}")
    return [(index + 1) * depth // layers - 1 for index in range(layers)]


def packaged_tokenizer(folder: Path) -> Any:
    """PaddleNLP's `BertTokenizer` over the packaged vocabulary, lower-casing, 512 tokens at most."""
    from paddlenlp.transformers import BertTokenizer

    return BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True, model_max_length=512)


def load(checkpoint: Path) -> tuple[Any, Any]:
    """The classifier and tokenizer of a checkpoint, the classifier in evaluation mode.

    Raises:
        RecipeError: there is no checkpoint.
    """
    from paddlenlp.transformers import BertForSequenceClassification, BertTokenizer

    if not (checkpoint / "config.json").is_file():
        raise RecipeError(f"{checkpoint}: no trained network there; run `sentinova-train finetune` first")
    network = BertForSequenceClassification.from_pretrained(str(checkpoint))
    network.eval()
    return network, BertTokenizer.from_pretrained(str(checkpoint))


def save(network: Any, tokenizer: Any, checkpoint: Path) -> None:
    """Writes classifier and tokenizer in PaddleNLP's own format."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(str(checkpoint))
    tokenizer.save_pretrained(str(checkpoint))


def encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Token ids of each text, with [CLS] and [SEP], cut to `max_length` tokens."""
    return [
        tokenizer(text, max_length=max_length, truncation=True, add_special_tokens=True)["input_ids"] for text in texts
    ]
