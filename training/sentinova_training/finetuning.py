"""Training a classifier towards target probabilities, and averaging the networks of several orders.

Knows Paddle's optimiser; must not know where sentences or starting weights come from. The targets are the
raters' (`finetune`) or a teacher's (`distill`): the loss is the same cross-entropy.
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from sentinova_training import batching, scoring

Floats = np.ndarray[Any, np.dtype[np.float32]]
Report = Callable[[int, dict[str, float], Any], None]


@dataclass(frozen=True)
class Schedule:
    """How to train.

    Attributes:
        epochs: passes over the training split.
        batch_size: sentences in a step.
        learning_rate: peak, of the head and the last layer.
        layer_decay: factor of the learning rate from each layer to the one below it.
        warmup: share of the steps over which the rate rises from 0; then it falls in a line to 0.
        weight_decay: of matrices alone, not of biases and norms.
        averaging: of the weights, per step (0.998 looks back some 500 steps).
        clip: largest global norm of the gradients.
        train_embeddings: whether word embeddings are trained, or kept as they were.
        seed: of the order of the sentences and of dropout.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    layer_decay: float = 0.85
    warmup: float = 0.06
    weight_decay: float = 0.01
    averaging: float = 0.998
    clip: float = 1.0
    train_embeddings: bool = False
    seed: int = 1


@dataclass(frozen=True)
class TrainingSet:
    """What a step reads.

    Attributes:
        ids: token ids of each sentence.
        targets: class probabilities, `[sentences, classes] float32`.
        pad: id of the padding token.
    """

    ids: Sequence[Sequence[int]]
    targets: Floats
    pad: int


def depth_of(name: str, layers: int) -> int:
    """How many layers a parameter lies below the top: 0 for head, pooler and last layer."""
    if ".encoder.layers." in name:
        return layers - 1 - int(name.split(".encoder.layers.")[1].split(".", maxsplit=1)[0])
    return layers if ".embeddings." in name else 0


def parameter_groups(network: Any, schedule: Schedule) -> list[dict[str, Any]]:
    """Parameters by learning-rate factor and weight decay, as Paddle's optimiser takes them."""
    layers = network.config.num_hidden_layers
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in network.named_parameters():
        if "word_embeddings" in name and not schedule.train_embeddings:
            parameter.stop_gradient = True
            continue
        factor = schedule.layer_decay ** depth_of(name, layers)
        decay = 0.0 if name.endswith("bias") or "norm" in name else schedule.weight_decay
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": members, "learning_rate": factor, "weight_decay": decay}
        for (factor, decay), members in groups.items()
    ]


def rate_factor(step: int, total: int, warmup: float) -> float:
    """Factor of the peak learning rate at a step: up in a line over the warm-up, then down to 0."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))


class AveragedWeights:
    """Exponential moving average of the trained parameters, updated every few steps to save time."""

    def __init__(self, network: Any, per_step: float, every: int = 5) -> None:
        """Starts the average at the network's present weights."""
        self._parameters = {n: p for n, p in network.named_parameters() if not p.stop_gradient}
        self._average = {name: parameter.numpy() for name, parameter in self._parameters.items()}
        self._per_step = per_step
        self._every = every
        self._steps = 0

    def update(self) -> None:
        """Counts one step; takes the weights in when it is time. Early on it looks back less far."""
        self._steps += 1
        if self._steps % self._every:
            return
        decay = min(self._per_step, self._steps / (self._steps + 10.0)) ** self._every
        for name, parameter in self._parameters.items():
            kept = self._average[name]
            kept *= decay
            kept += (1.0 - decay) * parameter.numpy()

    def swap(self) -> None:
        """Exchanges the network's weights and the averaged ones; called twice, it changes nothing."""
        for name, parameter in self._parameters.items():
            present = parameter.numpy()
            parameter.set_value(self._average[name])
            self._average[name] = present


def train(network: Any, data: TrainingSet, schedule: Schedule, report: Report, label: str) -> list[float]:
    """Trains a network in place; its weights at the end are the averaged ones.

    Args:
        network: the classifier.
        data: sentences and targets.
        schedule: how to train.
        report: called after each epoch with its number, its figures, and the network holding the average.
        label: shown beside the progress bar.

    Returns:
        The mean loss of each epoch, in nats.
    """
    import paddle

    paddle.seed(schedule.seed)
    lengths = [len(row) for row in data.ids]
    per_epoch = -(-len(lengths) // schedule.batch_size)
    total = per_epoch * schedule.epochs
    rate = paddle.optimizer.lr.LambdaDecay(
        schedule.learning_rate, lambda step: rate_factor(step, total, schedule.warmup)
    )
    optimiser = paddle.optimizer.AdamW(
        rate,
        parameters=parameter_groups(network, schedule),
        grad_clip=paddle.nn.ClipGradByGlobalNorm(schedule.clip),
    )
    average = AveragedWeights(network, schedule.averaging)
    losses = []
    with tqdm(total=total, desc=label, unit="step", mininterval=2.0) as bar:
        for epoch in range(1, schedule.epochs + 1):
            began = time.monotonic()
            network.train()
            loss = _epoch(network, data, schedule, epoch, (optimiser, rate, average, bar))
            losses.append(loss)
            average.swap()
            network.eval()
            report(epoch, {"loss": loss, "seconds": time.monotonic() - began}, network)
            if epoch < schedule.epochs:
                average.swap()
    return losses


def _epoch(network: Any, data: TrainingSet, schedule: Schedule, epoch: int, parts: tuple[Any, Any, Any, Any]) -> float:
    """One pass; returns the mean loss."""
    import paddle

    optimiser, rate, average, bar = parts
    lengths = [len(row) for row in data.ids]
    batches = batching.shuffled(lengths, schedule.batch_size, seed=schedule.seed * 1000 + epoch)
    total = 0.0
    for number, batch in enumerate(batches, start=1):
        ids = paddle.to_tensor(batching.padded([data.ids[index] for index in batch], data.pad))
        targets = paddle.to_tensor(data.targets[batch])
        logits = network(ids, paddle.zeros_like(ids))
        loss = -(targets * paddle.nn.functional.log_softmax(logits, axis=-1)).sum(axis=-1).mean()
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        rate.step()
        average.update()
        total += float(loss)
        bar.update()
        if number % 20 == 0:
            bar.set_postfix(loss=f"{total / number:.4f}")
    return total / len(batches)


def averaged(networks: Sequence[Any]) -> Any:
    """A network with the mean of all their weights, in evaluation mode."""
    mean = copy.deepcopy(networks[0])
    states = [network.state_dict() for network in networks]
    for name, tensor in mean.state_dict().items():
        tensor.set_value(sum(state[name] for state in states[1:]) / len(states) + states[0][name] / len(states))
    mean.eval()
    return mean


def measure(network: Any, ids: Sequence[Sequence[int]], pad: int, labels: Sequence[int]) -> dict[str, float]:
    """Accuracy and negative log-likelihood (nats, best temperature) of a network on labelled sentences."""
    logits = scoring.paddle_logits(network, ids, pad)
    return scoring.figures(logits, np.asarray(labels))
