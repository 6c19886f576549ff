"""Streams of requests: in order however long each takes, errors in their place, and nothing left running."""

import asyncio

import pytest
from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.decoding import Undecodable
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.infer_stream import answer_in_order


class Model:
    """Answers each request when told to; notes how many are under way."""

    def __init__(self):
        self.running, self.most, self.ended = 0, 0, 0
        self.gates = {}

    async def infer(self, request):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gates.setdefault(request.id, asyncio.Event()).wait()
            if request.id.startswith("bad"):
                raise ServingError(Reason.INVALID_FIELD, f"no {request.id}")
            if request.id.startswith("defect"):
                raise RuntimeError("secret")
            return pb.ModelInferResponse(id=request.id)
        finally:
            self.running -= 1
            self.ended += 1

    def open(self, name):
        self.gates.setdefault(name, asyncio.Event()).set()


async def send(*names):
    for name in names:
        yield (
            Undecodable(ServingError(Reason.INVALID_FIELD, "no message"))
            if name is None
            else pb.ModelInferRequest(id=name)
        )


async def collect(answers):
    return [(answer.infer_response.id, answer.error_message) async for answer in answers]


async def test_answers_come_in_order_whatever_is_ready_first():
    model, names = Model(), ["a", "b", "c"]
    task = asyncio.create_task(collect(answer_in_order(send(*names), model.infer, 8, end_at_error=False)))
    for name in reversed(names):
        await asyncio.sleep(0)
        assert not task.done()
        model.open(name)
    assert await task == [("a", ""), ("b", ""), ("c", "")]


async def test_every_answer_is_the_final_one_of_its_request():
    model = Model()
    model.open("a")
    [answer] = [one async for one in answer_in_order(send("a"), model.infer, 8, end_at_error=False)]
    assert answer.infer_response.parameters["triton_final_response"].bool_param


async def test_an_error_stands_in_its_place_with_its_id_and_shows_no_secret():
    model, names = Model(), ["a", "bad", None, "defect", "z"]
    for name in names:
        model.open(name)
    found = await collect(answer_in_order(send(*names), model.infer, 8, end_at_error=False))
    assert [request for request, _ in found] == ["a", "bad", "", "defect", "z"]
    assert [message for _, message in found][:3] == ["", "no bad", "no message"]
    assert "internal error" in found[3][1]
    assert "secret" not in found[3][1]


async def test_the_first_error_ends_a_stream_that_wants_it_and_the_rest_is_given_up():
    model = Model()
    model.open("a")
    model.open("bad")
    answers = answer_in_order(send("a", "bad", "z"), model.infer, 8, end_at_error=True)
    assert (await anext(answers)).infer_response.id == "a"
    with pytest.raises(ServingError, match="no bad"):
        await anext(answers)
    await asyncio.sleep(0)
    assert (model.running, model.ended) == (0, 3)


async def test_no_more_are_read_than_may_be_under_way():
    model, names = Model(), [str(i) for i in range(20)]
    task = asyncio.create_task(collect(answer_in_order(send(*names), model.infer, 3, end_at_error=False)))
    for name in names:
        for _ in range(10):
            await asyncio.sleep(0)
        model.open(name)
    assert len(await task) == 20
    assert model.most == 3


async def test_a_stream_that_is_closed_gives_up_what_is_under_way():
    model = Model()
    model.open("0")
    answers = answer_in_order(send("0", "1", "2"), model.infer, 8, end_at_error=False)
    await anext(answers)
    for _ in range(10):
        await asyncio.sleep(0)
    assert model.running == 2
    await answers.aclose()
    await asyncio.sleep(0)
    assert (model.running, model.ended) == (0, 3)
