"""A request of tensors from its message to its answer: in batches, in time, and counted whatever becomes of it."""

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.rpc.call import Call, current_call
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.inference import Inference
from sentinova_server.runtime.tensors import TensorSpec
from sentinova_server.serving.packing import RowLimits
from sentinova_server.serving.registry import Registry
from sentinova_server.serving.scheduler import SchedulerLimits
from sentinova_server.serving.tensor_runner import TensorRunner


class Model:
    """Doubles rows of numbers; batches wait until they are let go, where that is asked for."""

    def __init__(self, *, held=False, parallelism=1, rows=8):
        self.inputs = (TensorSpec("x", "FP32", (-1, -1)),)
        self.outputs = (TensorSpec("y", "FP32", (-1, -1)), TensorSpec("z", "INT32", (-1,)))
        self.labels, self.tables = {"y": ("no", "yes")}, {}
        self.max_batch_size, self.parallelism = rows, parallelism
        self.format, self.memory_bytes, self.rewrites = "ir", 0, ()
        self.held, self.batches, self.checked = held, [], 0

    def padded_length(self, tokens):
        return tokens

    def batch_tokens(self, lengths):
        return sum(lengths)

    def is_checked_quickly(self, rows):
        return len(rows) < 3  # so that both ways are gone

    def check(self, rows):
        self.checked += 1
        if rows.tensors["x"].shape[1] == 13:
            raise ServingError(Reason.INVALID_FIELD, "13 is bad luck", field="inputs")

    def submit(self, batch, *, alone=False):
        future = Future()
        self.batches.append((batch, future))
        if not self.held:
            self.let_go()
        return future

    def let_go(self, error=None):
        """Answers the oldest batch under way."""
        batch, future = next(one for one in self.batches if not one[1].done())
        if error:
            future.set_exception(error)
        else:
            future.set_result(
                [
                    {"y": item.tensors["x"] * 2, "z": item.tensors["x"].astype(np.int32).sum(axis=1, dtype=np.int32)}
                    for item in batch
                ]
            )

    @property
    def sizes(self):
        return [sum(map(len, batch)) for batch, _ in self.batches]


class Setup:
    """A model, its runner, and what answers requests for it."""

    def __init__(self, model, *, levels=0, **limits):
        self.model, self.metrics = model, Metrics()
        config = ModelConfig("m", max_batch_size=model.max_batch_size, priority_levels=levels)
        bounds = SchedulerLimits(
            RowLimits(max(1, model.max_batch_size)),
            priority_levels=levels,
            default_priority=levels,
            **{"queue_size": 100, **limits},
        )
        self.runner = TensorRunner("m", 1, model, bounds, config=config, metrics=self.metrics)
        registry = Registry()
        registry.add_model("m")
        registry.publish(registry.begin("m", 1), self.runner)
        self.record = registry.get("m").versions[1]
        self._inference = Inference(registry, None, self.metrics, 8)  # nothing is delivered but of texts

    async def infer(self, x, *, deadline=None, outputs=(), **parameters):
        current_call.set(Call("ModelInfer", "id"))
        x = np.asarray(x, np.float32)
        request = pb.ModelInferRequest(
            model_name="m", id="7", inputs=[{"name": "x", "datatype": "FP32", "shape": x.shape}]
        )
        request.raw_input_contents.append(x.tobytes())
        for name in outputs:
            request.outputs.add(name=name)
        for name, value in parameters.items():
            request.parameters[name].int64_param = value
        return await self._inference.infer(request, deadline)

    def documents(self, code):
        labels = {"model": "m", "version": "1", "method": "ModelInfer", "code": code}
        return self.metrics.registry.get_sample_value("sentinova_documents_total", labels) or 0

    @property
    def waiting(self):
        return self.metrics.registry.get_sample_value("sentinova_queued_documents", {"model": "m", "version": "1"}) or 0

    async def settle(self, waiting, batches):
        """Waits until so many requests wait and so many batches have started."""
        async with asyncio.timeout(30):
            while (self.waiting, len(self.model.batches)) != (waiting, batches):  # noqa: ASYNC110  (told by the metrics)
                await asyncio.sleep(0.001)


def numbers(response, index=0):
    output = response.outputs[index]
    kind = {"FP32": np.float32, "INT32": np.int32}[output.datatype]
    return np.frombuffer(response.raw_output_contents[index], kind).reshape(output.shape)


async def test_the_answer_is_the_models_outputs_in_its_order():
    setup = Setup(Model())
    response = await setup.infer([[1, 2], [3, 4]])
    assert (response.model_name, response.model_version, response.id) == ("m", "1", "7")
    assert [output.name for output in response.outputs] == ["y", "z"]
    assert numbers(response).tolist() == [[2, 4], [6, 8]]
    assert numbers(response, 1).tolist() == [3, 7]
    response = await setup.infer([[1, 2]], outputs=["z"])
    assert [output.name for output in response.outputs] == ["z"]
    assert len(response.raw_output_contents) == 1


async def test_requests_of_equal_shapes_that_wait_together_are_one_batch():
    setup = Setup(Model(held=True))
    first = asyncio.create_task(setup.infer([[0]]))
    await setup.settle(0, 1)
    shapes = [(1, 2), (2, 2), (3, 3), (1, 3), (5, 2), (1, 2)]
    tasks = []
    for i, shape in enumerate(shapes, 1):
        tasks.append(asyncio.create_task(setup.infer(np.full(shape, i))))
        await setup.settle(i, 1)
    setup.model.held = False
    setup.model.let_go()
    answers = [numbers(answer) for answer in await asyncio.gather(*tasks)]
    await first
    for i, (answer, shape) in enumerate(zip(answers, shapes, strict=True), 1):
        assert answer.tolist() == np.full(shape, 2.0 * i).tolist()
    # The oldest, and the largest of its width that fit beside it; then the next in turn with its like.
    assert setup.model.sizes == [1, 1 + 5 + 2, 3 + 1, 1]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3)), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(1, 8),
)
async def test_every_request_is_answered_with_its_own_rows_and_the_sums_add_up(shapes, parallelism, rows):
    setup = Setup(Model(parallelism=parallelism, rows=rows))
    requests = [np.full(shape, i + 1, np.float32) for i, shape in enumerate(shapes)]
    answers = await asyncio.gather(*(setup.infer(x) for x in requests), return_exceptions=True)
    good = [len(x) for x in requests if len(x) <= rows]
    for x, answer in zip(requests, answers, strict=True):
        if len(x) > rows:
            assert isinstance(answer, ServingError)
            assert f"has {len(x)} rows; a request may have 1 to {rows}" in answer.message
        else:
            assert numbers(answer).tolist() == (x * 2).tolist()
    statistics = setup.runner.statistics
    assert statistics.requests.count == statistics.queue.count == statistics.infer.count == len(good)
    assert statistics.failures.count == len(shapes) - len(good)
    assert statistics.rows == sum(good) == sum(setup.model.sizes)
    assert statistics.batches == len(setup.model.batches) == sum(one.count for one in statistics.by_size.values())
    assert sum(size * one.count for size, one in statistics.by_size.items()) == statistics.rows
    assert setup.documents("OK") == sum(good)
    assert setup.documents("INVALID_ARGUMENT") == len(shapes) - len(good)
    assert (setup.waiting, setup.record.leases) == (0, 0)


async def test_a_queue_that_is_full_refuses_one_more_at_once():
    setup = Setup(Model(held=True), queue_size=2)
    tasks = [asyncio.create_task(setup.infer([[1]]))]
    await setup.settle(0, 1)
    tasks += [asyncio.create_task(setup.infer([[i]])) for i in (2, 3)]
    await setup.settle(2, 1)
    with pytest.raises(ServingError, match="2 documents wait") as caught:
        await setup.infer([[4]])
    assert (caught.value.reason, caught.value.retry_after) == (Reason.QUEUE_FULL, 0.1)
    assert setup.documents("RESOURCE_EXHAUSTED") == 1
    setup.model.held = False
    setup.model.let_go()
    assert [numbers(answer).item() for answer in await asyncio.gather(*tasks)] == [2, 4, 6]


async def test_one_that_is_cancelled_leaves_the_queue_and_its_lease():
    setup = Setup(Model(held=True))
    running = asyncio.create_task(setup.infer([[1]]))
    await setup.settle(0, 1)
    waiting = [asyncio.create_task(setup.infer([[i, i]])) for i in range(3)]
    await setup.settle(3, 1)
    assert setup.record.leases == 4
    waiting[1].cancel()
    await setup.settle(2, 1)
    assert setup.record.leases == 3
    setup.model.held = False
    setup.model.let_go()
    assert numbers(await running).item() == 2
    answers = await asyncio.gather(waiting[0], waiting[2])
    assert [numbers(answer).tolist() for answer in answers] == [[[0, 0]], [[4, 4]]]
    assert setup.model.sizes == [1, 2]  # the one that left was not worked for


@pytest.mark.parametrize("ahead", [0, 1], ids=["while it runs", "while it waits"])
async def test_the_timeout_ends_a_request_whether_it_waits_or_runs(ahead):
    setup = Setup(Model(held=True))
    others = [asyncio.create_task(setup.infer([[5]])) for _ in range(ahead)]
    if ahead:
        await setup.settle(0, 1)
    with pytest.raises(ServingError) as caught:
        await setup.infer([[1, 1]], timeout=20_000)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert setup.runner.statistics.failures.count == setup.documents("DEADLINE_EXCEEDED") == 1
    assert setup.record.leases == ahead
    setup.model.held = False
    setup.model.let_go()
    await asyncio.gather(*others)
    assert numbers(await setup.infer([[2]], timeout=60_000_000)).item() == 4
    # What only waited was never worked for.
    assert setup.model.sizes == [1, 1]


async def test_a_deadline_that_has_passed_is_told_and_nothing_is_worked_for():
    setup = Setup(Model())
    with pytest.raises(ServingError, match="deadline passed while the document waited") as caught:
        await setup.infer([[1]], deadline=0.0)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert setup.model.batches == []


async def test_what_the_model_refuses_joins_no_batch():
    setup = Setup(Model(held=True))
    tasks = [asyncio.create_task(setup.infer([[1]]))]
    await setup.settle(0, 1)
    with pytest.raises(ServingError, match="bad luck"):
        await setup.infer(np.zeros((1, 13)))
    assert (setup.waiting, len(setup.model.batches)) == (0, 1)
    setup.model.let_go()
    await asyncio.gather(*tasks)


async def test_of_a_batch_that_fails_each_is_tried_alone():
    setup = Setup(Model(held=True))
    tasks = [asyncio.create_task(setup.infer([[i]])) for i in range(3)]
    await setup.settle(0, 1)
    setup.model.let_go(RuntimeError("broken"))
    await setup.settle(2, 2)
    setup.model.let_go()
    await setup.settle(1, 3)
    setup.model.let_go(RuntimeError("broken still"))
    await setup.settle(0, 4)
    setup.model.let_go()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [numbers(answers[i]).item() for i in (0, 2)] == [0, 4]
    assert answers[1].reason is Reason.INFERENCE_FAILED
    assert "broken" not in answers[1].message
    assert setup.documents("INTERNAL") == 1
    # Only batches that went well are counted.
    assert (setup.runner.statistics.batches, setup.runner.statistics.rows) == (2, 2)


async def test_levels_go_first_and_one_that_there_is_not_is_the_default():
    setup = Setup(Model(held=True, rows=1), levels=2)
    tasks = [asyncio.create_task(setup.infer([[0]]))]
    await setup.settle(0, 1)
    for number, priority in enumerate((2, 0, 3, 99, 1), 1):
        tasks.append(asyncio.create_task(setup.infer([[number]], priority=priority)))
        await setup.settle(number, 1)
    setup.model.held = False
    setup.model.let_go()
    await asyncio.gather(*tasks)
    assert [batch[0].tensors["x"].item() for batch, _ in setup.model.batches] == [0, 5, 1, 2, 3, 4]


async def test_without_a_batch_dimension_requests_run_one_by_one():
    setup = Setup(Model(held=True, rows=0))
    tasks = [asyncio.create_task(setup.infer(np.full((9, 2), i))) for i in range(4)]
    await setup.settle(3, 1)
    setup.model.held = False
    setup.model.let_go()
    for i, answer in enumerate(await asyncio.gather(*tasks)):
        assert numbers(answer).tolist() == np.full((9, 2), 2.0 * i).tolist()
    assert setup.model.sizes == [1, 1, 1, 1]
    assert setup.runner.statistics.rows == 4


@pytest.mark.parametrize(("outputs", "told"), [(["no"], r"output 'no' is not one that the model has: \['y', 'z'\]")])
async def test_an_output_that_there_is_not_is_told_before_anything_runs(outputs, told):
    setup = Setup(Model())
    with pytest.raises(ServingError, match=told):
        await setup.infer([[1]], outputs=outputs)
    assert setup.model.batches == []


async def test_a_large_request_does_not_hold_up_the_event_loop():
    setup = Setup(Model())
    x = np.arange(1 << 16, dtype=np.float32).reshape(4, -1)
    response = await setup.infer(x)
    assert numbers(response).tolist() == (x * 2).tolist()
