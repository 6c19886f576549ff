"""How a request of tensors is answered: by a text classifier from texts or from token ids, or by a tensor model.

Knows what each takes and gives; must not know messages. Which view of a text classifier a request means, the names of
its inputs tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sentinova_server.errors import ServingError
from sentinova_server.rpc.inference.offload import offload
from sentinova_server.rpc.inference.parameters import InferParameters
from sentinova_server.runtime.tensors import NUMPY_TYPES, Tensor, TensorRows, TensorSpec
from sentinova_server.runtime.text_tensors import LABEL_OUTPUT, LOGITS_OUTPUT, SCORES_OUTPUT, TEXT_INPUT, text_outputs
from sentinova_server.runtime.token_rows import IDS_INPUT, refuse_tensor
from sentinova_server.serving.analysis import Analysis, LongText, TextClassifier
from sentinova_server.serving.served import ServedModel
from sentinova_server.serving.statistics import RequestTimes
from sentinova_server.serving.tensor_runner import TensorRunner

# Told what became of each text of a request.
Answered = Callable[[str, LongText, Analysis | ServingError], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of a request.

    Attributes:
        outputs: by name.
        rows: documents, or rows of tensors.
        times: where the time went; without the total.
        truncated: how many texts were cut.
    """

    outputs: Mapping[str, Tensor]
    rows: int
    times: RequestTimes
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What a model takes and gives.

    Attributes:
        inputs: its inputs.
        outputs: its outputs.
        optional: names of inputs that may be left out.
        labels: names of the classes of outputs that have them, by the output's name.
        max_batch_size: most rows of a request; 0: the first dimension is none of a batch.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    optional: Collection[str] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    max_batch_size: int = 0

    def check_rows(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ServingError INVALID_FIELD where the tensors are no batch that may be."""
        if not self.max_batch_size:
            return
        first = self.inputs[0].name if self.inputs[0].name in tensors else next(iter(tensors))
        rows = tensors[first].shape[0]
        for name, tensor in tensors.items():
            if tensor.shape[0] != rows:
                raise refuse_tensor(name, f"has {tensor.shape[0]} rows, and {first!r} has {rows}")
        if not 1 <= rows <= self.max_batch_size:
            raise refuse_tensor(first, f"has {rows} rows; a request may have 1 to {self.max_batch_size}")


def text_view(classifier: TextClassifier, max_rows: int) -> View:
    """Gives the view of a classifier that takes texts."""
    outputs = text_outputs(len(classifier.labels))
    labels = {SCORES_OUTPUT: classifier.labels, LOGITS_OUTPUT: classifier.labels}
    return View((TEXT_INPUT,), outputs, labels=labels, max_batch_size=max_rows)


def main_view(served: ServedModel, max_rows: int) -> View:
    """Gives the view that a model is described by.

    Args:
        served: the model.
        max_rows: most texts of a request.
    """
    if isinstance(served, TextClassifier):
        return text_view(served, max_rows)
    model = served.model
    return View(model.inputs, model.outputs, labels=model.labels, max_batch_size=model.max_batch_size)


def choose_view(served: ServedModel, inputs: Sequence[str], max_rows: int) -> View:
    """Gives the view that a request means.

    Args:
        served: the model.
        inputs: names of the request's inputs.
        max_rows: most texts, or rows of token ids, of a request.
    """
    if isinstance(served, TextClassifier) and IDS_INPUT in inputs:
        model = served.model
        optional = [spec.name for spec in model.inputs if spec.name != IDS_INPUT]
        [output] = model.outputs
        return View(model.inputs, model.outputs, optional, {output.name: served.labels}, max_rows)
    return main_view(served, max_rows)


async def answer(
    served: ServedModel,
    view: View,
    tensors: Mapping[str, Tensor],
    parameters: InferParameters,
    *,
    deadline: float | None,
    answered: Answered,
) -> Answer:
    """Answers a request.

    Args:
        served: the model.
        view: what the request means.
        tensors: its tensors, checked against the view.
        parameters: what else it asks for.
        deadline: when the answer is of no more use, on the monotonic clock.
        answered: told what became of each text.

    Raises:
        ServingError: of the first text, row or tensor that cannot be answered, for all.
    """
    view.check_rows(tensors)
    priority = _level(served, parameters.priority)
    if isinstance(served, TensorRunner):
        return await _run(served, view, tensors, deadline, priority)
    if TEXT_INPUT.name in tensors:
        elements = tensors[TEXT_INPUT.name].ravel().tolist()
        texts = await offload(sum(map(len, elements)), lambda: _decode_texts(elements))
        outcomes = await served.analyze_batch(texts, parameters.long_text, deadline, priority=priority)
        for text, outcome in zip(texts, outcomes, strict=True):
            answered(text, parameters.long_text, outcome)
        return _conclude(served, [_require(i, outcome) for i, outcome in enumerate(outcomes)])
    return await _run_rows(served, view, tensors, deadline, priority)


def _level(served: ServedModel, priority: int) -> int:
    """Gives the level that a request gets: the model's default where there is no such level, as in Triton."""
    return priority if priority <= served.config.priority_levels else 0


async def _run(
    runner: TensorRunner, view: View, tensors: Mapping[str, Tensor], deadline: float | None, priority: int
) -> Answer:
    rows = TensorRows.of(tensors, batched=view.max_batch_size > 0)
    inference = await runner.run(rows, deadline, priority)
    times = RequestTimes(0.0, queue=inference.queue_seconds, infer=inference.inference_seconds)
    return Answer(inference.output, len(rows), times)


async def _run_rows(
    classifier: TextClassifier, view: View, tensors: Mapping[str, Tensor], deadline: float | None, priority: int
) -> Answer:
    size = sum(tensor.nbytes for tensor in tensors.values())
    rows = await offload(size, lambda: classifier.model.row_rules.split(tensors))
    inferences = await classifier.infer_rows(rows, deadline, priority=priority)
    [spec] = view.outputs
    logits = np.stack([inference.output for inference in inferences]).astype(NUMPY_TYPES[spec.datatype], copy=False)
    times = RequestTimes(
        0.0,
        queue=max(inference.queue_seconds for inference in inferences),
        infer=max(inference.inference_seconds for inference in inferences),
    )
    return Answer({spec.name: logits}, len(rows), times)


def _decode_texts(elements: Sequence[bytes]) -> list[str]:
    texts = []
    for index, element in enumerate(elements):
        try:
            texts.append(element.decode())
        except UnicodeDecodeError:
            raise refuse_tensor(TEXT_INPUT.name, f"element {index} is not UTF-8: send text as UTF-8") from None
    return texts


def _require(index: int, outcome: Analysis | ServingError) -> Analysis:
    """Gives an analysis; raises the error in its place, which names the element."""
    if isinstance(outcome, Analysis):
        return outcome
    raise outcome.renamed("document.text", f"inputs[{TEXT_INPUT.name!r}][{index}]")


def _conclude(classifier: TextClassifier, analyses: Sequence[Analysis]) -> Answer:
    labels = [classifier.labels[analysis.best].encode() for analysis in analyses]
    outputs = {
        LABEL_OUTPUT: np.array(labels, np.object_).reshape(-1, 1),
        SCORES_OUTPUT: np.array([analysis.scores for analysis in analyses], np.float32),
        LOGITS_OUTPUT: np.array([analysis.logits for analysis in analyses], np.float32),
    }
    times = RequestTimes(
        0.0,
        queue=max(analysis.queue_seconds for analysis in analyses),
        prepare=sum(analysis.tokenization_seconds for analysis in analyses),
        infer=max(analysis.inference_seconds for analysis in analyses),
    )
    return Answer(outputs, len(analyses), times, sum(analysis.truncated for analysis in analyses))
