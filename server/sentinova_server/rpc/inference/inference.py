"""One inference request, from its message to the message that answers it.

Knows the order of the steps; must not know how any of them is done, nor streams.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.rpc.call import current_call
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.classification import classify
from sentinova_server.rpc.inference.naming import lease
from sentinova_server.rpc.inference.offload import offload
from sentinova_server.rpc.inference.parameters import InferParameters, read_classes, read_parameters
from sentinova_server.rpc.inference.tensor_decoding import decode_inputs, encode_tensor
from sentinova_server.rpc.inference.views import Answer, View, answer, choose_view
from sentinova_server.rpc.status import code_of
from sentinova_server.runtime.tensors import BYTES
from sentinova_server.serving.analysis import Analysis, LongText
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.served import ModelRegistry, ServedModel, served_by


class Inference:
    """Answers inference requests."""

    def __init__(self, registry: ModelRegistry, deliveries: Deliveries, metrics: Metrics, max_rows: int) -> None:
        """Makes it.

        Args:
            registry: the models.
            deliveries: told of every answer to a text, for versions to be compared.
            metrics: where documents are counted.
            max_rows: most texts of one request.
        """
        self._registry = registry
        self._deliveries = deliveries
        self._metrics = metrics
        self._max_rows = max_rows

    async def infer(self, request: pb.ModelInferRequest, deadline: float | None) -> pb.ModelInferResponse:
        """Answers one request.

        Args:
            request: the request.
            deadline: when the answer is of no more use, on the monotonic clock.

        Raises:
            ServingError: it cannot be answered.
        """
        parameters = read_parameters(request.parameters)
        label, key = parameters.label, parameters.key
        with lease(self._registry, request.model_name, request.model_version, label=label, key=key) as record:
            served = served_by(record)
            call = current_call.get()
            call.model, call.version = record.model, str(record.version)
            started = time.monotonic()
            rows = 1
            try:
                async with _limited(parameters.timeout):
                    response, found = await self._answer(served, request, parameters, deadline)
                rows = found.rows
            except ServingError as error:
                served.statistics.failed(time.monotonic() - started)
                self._count(served, code_of(error).name, rows)
                raise
            total = time.monotonic() - started
            served.statistics.answered(replace(found.times, total=total))
            self._count(served, "OK", rows)
            return response

    async def _answer(
        self, served: ServedModel, request: pb.ModelInferRequest, parameters: InferParameters, deadline: float | None
    ) -> tuple[pb.ModelInferResponse, Answer]:
        view = choose_view(served, [tensor.name for tensor in request.inputs], self._max_rows)
        wanted = _read_outputs(request, view)
        size, started = request.ByteSize(), time.monotonic()
        tensors = await offload(size, lambda: decode_inputs(request, view.inputs, optional=view.optional))
        decoded = time.monotonic()

        def answered(text: str, long_text: LongText, outcome: Analysis | ServingError) -> None:
            self._deliveries.answered(served.name, served.version, text, long_text, outcome)

        found = await answer(served, view, tensors, parameters, deadline=deadline, answered=answered)
        size, ended = sum(output.nbytes for output in found.outputs.values()), time.monotonic()
        response = await offload(size, lambda: _encode(served, request, view, wanted, found))
        prepare = found.times.prepare + decoded - started
        times = replace(found.times, prepare=prepare, finish=time.monotonic() - ended)
        return response, replace(found, times=times)

    def _count(self, served: ServedModel, code: str, rows: int) -> None:
        labels = (served.name, str(served.version), current_call.get().method, code)
        self._metrics.child(self._metrics.documents, *labels).inc(rows)


@asynccontextmanager
async def _limited(timeout: float | None) -> AsyncIterator[None]:
    """Ends what takes longer than `timeout` seconds. Raises ServingError DEADLINE_EXCEEDED."""
    try:
        async with asyncio.timeout(timeout) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        message = f"the request took longer than the {timeout:g} s of its parameter `timeout`"
        raise ServingError(Reason.DEADLINE_EXCEEDED, message) from None


def _read_outputs(request: pb.ModelInferRequest, view: View) -> dict[str, int]:
    """Gives the outputs that a request asks for, each with how many of its best classes; 0: the output itself."""
    if not request.outputs:
        return {spec.name: 0 for spec in view.outputs}
    known = [spec.name for spec in view.outputs]
    wanted = {}
    for output in request.outputs:
        if output.name not in known:
            message = f"output {output.name[:100]!r} is not one that the model has: {known}"
            raise ServingError(Reason.INVALID_FIELD, message, field=f"outputs[{output.name[:100]!r}]")
        wanted[output.name] = read_classes(output.name, output.parameters)
    return wanted


def _encode(
    served: ServedModel, request: pb.ModelInferRequest, view: View, wanted: dict[str, int], found: Answer
) -> pb.ModelInferResponse:
    """Makes the response: the outputs asked for, in the model's order, all of them raw."""
    response = pb.ModelInferResponse(model_name=served.name, model_version=str(served.version), id=request.id)
    if found.truncated:
        response.parameters["truncated"].int64_param = found.truncated
    for spec in view.outputs:
        if spec.name not in wanted:
            continue
        tensor, datatype = found.outputs[spec.name], spec.datatype
        if classes := wanted[spec.name]:
            labels = view.labels.get(spec.name, ())
            tensor = classify(spec.name, datatype, tensor, classes, labels, batched=view.max_batch_size > 0)
            datatype = BYTES
        response.outputs.add(name=spec.name, datatype=datatype, shape=tensor.shape)
        response.raw_output_contents.append(encode_tensor(datatype, tensor))
    return response
