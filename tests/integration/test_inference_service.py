"""KServe v2 on a real server beside everything else: one text, one answer; waiting, giving up, stopping, being found."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import message_factory, text_format
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families
from rig import refusal
from sentinova.v1 import sentiment_service_pb2 as sentiment_pb
from sentinova.v1 import sentiment_service_pb2_grpc
from sentinova_server.repository.config import parse_config
from tensor_models import (
    WAIT_SECONDS,
    Triton,
    add_exported,
    build_scale,
    build_slow,
    make_inputs,
    open_channel,
)
from tensor_models import golden_cases as exported_cases
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

# A batch that is not full waits for a minute: what waits is known to wait, however busy the machine is.
PATIENT = """
max_batch_size: 8
dynamic_batching {
  max_queue_delay_microseconds: 60000000
  default_queue_policy { max_queue_size: 3 }
}
"""
# One row for the patient model, and as many as make it go at once.
ONE, FULL = (
    {key: np.repeat(values[:1], rows, 0) for key, values in exported_cases("two_inputs")[0][0].items()}
    for rows in (1, 8)
)


class Desk:
    """A server, and the ways to ask it."""

    def __init__(self, server, channel, triton):
        self.server, self.triton, self.channel = server, triton, channel
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self.sentiment = sentiment_service_pb2_grpc.SentimentServiceStub(channel)

    def metric(self, name, **labels):
        with urllib.request.urlopen(f"{self.server.url}/metrics", timeout=WAIT_SECONDS) as response:
            families = text_string_to_metric_families(response.read().decode())
        samples = (sample for family in families for sample in family.samples)
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    def wait_for_queue(self, model, count):
        """Waits until so many requests wait for a model."""
        end = time.monotonic() + WAIT_SECONDS
        while self.metric("sentinova_queued_documents", model=model) != count:
            assert time.monotonic() < end, f"{model} has not {count} waiting"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_version, start_server):
    root = tmp_path_factory.mktemp("desk") / "repository"
    tiny_version(root / "words" / "1")
    add_exported(root / "patient", "two_inputs", 1, config=PATIENT)
    build_scale(root / "scale" / "1", 3.0)
    (root / "scale" / "config.pbtxt").write_text("max_batch_size: 8")
    build_slow(root / "slow" / "1")
    (root / "slow" / "config.pbtxt").write_text("max_batch_size: 1 instance_group [{ count: 1 }]")
    with (
        start_server(root, "--precision", "f32") as server,
        open_channel(server.address) as channel,
        Triton(server.address) as triton,
    ):
        yield Desk(server, channel, triton)


@pytest.fixture(scope="module")
def shipped(shipped_server):
    with open_channel(shipped_server.address) as channel, Triton(shipped_server.address) as triton:
        yield Desk(shipped_server, channel, triton)


def texts(*given):
    return {"TEXT": np.array([[text.encode()] for text in given], object)}


# The same text by every way.


def test_texts_ids_and_the_text_service_give_one_answer(shipped, golden_cases):
    cases = [case for case in golden_cases if len(case["input_ids"]) <= 48 and case["text"].strip()]
    assert len(cases) > 20
    found = shipped.triton.infer("sentiment_en", texts(*(case["text"] for case in cases)))
    logits = np.array([case["logits"] for case in cases])
    np.testing.assert_allclose(found["LOGITS"], logits, atol=1e-3)
    documents = [sentiment_pb.Document(text=case["text"]) for case in cases]
    request = sentiment_pb.BatchAnalyzeSentimentRequest(documents=documents)
    results = [one.result for one in shipped.sentiment.BatchAnalyzeSentiment(request, timeout=WAIT_SECONDS).results]
    assert [label.decode() for label in found["LABEL"][:, 0]] == [result.label for result in results]
    for scores, result in zip(found["SCORES"], results, strict=True):
        named = {one.label: one.score for one in result.scores}
        assert dict(zip(("negative", "positive"), scores, strict=True)) == pytest.approx(named, abs=1e-5)
    for more in (0, 7):
        width = max(len(case["input_ids"]) for case in cases) + more
        ids = np.zeros((len(cases), width), np.int64)
        for row, case in zip(ids, cases, strict=True):
            row[: len(case["input_ids"])] = case["input_ids"]
        for others in ({}, {"token_type_ids": np.zeros_like(ids)}):
            [by_ids] = shipped.triton.infer("sentiment_en", {"input_ids": ids, **others}).values()
            np.testing.assert_allclose(by_ids, found["LOGITS"], atol=1e-5)


def test_each_row_alone_gives_what_it_gives_among_others(shipped, golden_cases):
    case = min(golden_cases, key=lambda one: abs(len(one["input_ids"]) - 12))
    ids = np.array([case["input_ids"]])
    [alone] = shipped.triton.infer("sentiment_en", {"input_ids": ids}).values()
    text = shipped.triton.infer("sentiment_en", texts(case["text"]))["LOGITS"]
    np.testing.assert_allclose(alone, text, atol=1e-5)


def test_rows_that_the_text_model_does_not_take_are_refused_by_the_tensors_name(shipped):
    for tensors, told in (
        ({"input_ids": [[101, 30522, 102]]}, "input 'input_ids' holds 30522; the model takes 0 to 30521"),
        ({"input_ids": [[101, -1, 102]]}, "input 'input_ids' holds -1"),
        ({"input_ids": [[101, 102]], "token_type_ids": [[0, 2]]}, "input 'token_type_ids' holds 2"),
        ({"input_ids": [[101, 102]], "token_type_ids": [[0]]}, "input 'token_type_ids' has shape [1, 1]"),
        ({"input_ids": [[7] * 513]}, "a row of 513 tokens; the model reads 512"),
        ({"token_type_ids": [[0]]}, "input 'token_type_ids' is not one that the model has: ['TEXT']"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            shipped.triton.infer("sentiment_en", {name: np.array(value) for name, value in tensors.items()})
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
        assert told in caught.value.message()


def test_texts_are_counted_whichever_service_they_came_to(desk):
    labels = {"model": "words", "version": "1", "method": "ModelInfer", "code": "OK"}
    before = [desk.metric(f"sentinova_{name}_total", **labels) for name in ("requests", "documents")]
    computed = desk.triton.statistics("words").inference_count
    desk.triton.infer("words", texts("good", "bad", "not good"))
    desk.sentiment.AnalyzeSentiment(
        sentiment_pb.AnalyzeSentimentRequest(document=sentiment_pb.Document(text="good")), timeout=WAIT_SECONDS
    )
    after = [desk.metric(f"sentinova_{name}_total", **labels) for name in ("requests", "documents")]
    assert after == [before[0] + 1, before[1] + 3]
    assert desk.triton.statistics("words").inference_count == computed + 4


# Waiting, and giving up.


def test_one_that_is_given_up_leaves_the_queue(desk):
    pending = [desk.triton.begin("patient", ONE) for _ in range(3)]
    desk.wait_for_queue("patient", 3)
    pending[1].cancel()
    desk.wait_for_queue("patient", 2)
    pending[0].cancel()
    pending[2].cancel()
    desk.wait_for_queue("patient", 0)
    for one in pending:
        one.wait()
        assert "CANCELLED" in str(one.error)
    assert desk.triton.infer("patient", FULL)


def test_one_whose_deadline_passes_leaves_the_queue(desk):
    with pytest.raises(InferenceServerException) as caught:
        desk.triton.client.infer("patient", make_inputs(ONE), client_timeout=0.2)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    desk.wait_for_queue("patient", 0)


def message(model, tensors, **parameters):
    """Makes a request as a message."""
    made = pb.ModelInferRequest(model_name=model, id="7")
    for tensor in make_inputs(tensors):
        made.inputs.append(tensor._get_tensor())
        made.raw_input_contents.append(tensor._get_content())
    for name, value in parameters.items():
        made.parameters[name].int64_param = value
    return made


@pytest.mark.parametrize("model", ["patient", "slow"], ids=["while it waits", "while it runs"])
def test_the_timeout_of_a_request_ends_it(desk, model):
    tensors = ONE if model == "patient" else {"x": np.ones((1, 1), np.float32)}
    given = refusal(desk.stub.ModelInfer, message(model, tensors, timeout=50_000), timeout=WAIT_SECONDS)
    assert (given.code, given.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    desk.wait_for_queue(model, 0)
    assert desk.triton.statistics(model).inference_stats.fail.count >= 1


def test_a_timeout_that_is_long_enough_changes_nothing(desk):
    response = desk.stub.ModelInfer(message("patient", FULL, timeout=600_000_000), timeout=WAIT_SECONDS)
    assert response.id == "7"


def test_a_queue_that_is_full_refuses_one_more_at_once(desk):
    pending = [desk.triton.begin("patient", ONE) for _ in range(3)]
    desk.wait_for_queue("patient", 3)
    given = refusal(desk.stub.ModelInfer, message("patient", ONE), timeout=WAIT_SECONDS)
    assert (given.code, given.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
    assert "3 documents wait" in given.message
    desk.wait_for_queue("patient", 3)
    for one in pending:
        one.cancel()
    desk.wait_for_queue("patient", 0)


# Streams.


class Talk:
    """An open stream: requests are sent one by one, answers are gathered on a thread."""

    def __init__(self, stub, **options):
        self.answers, self.error = [], None
        self._requests, self._end = [], False
        self._changed = threading.Condition()
        self.call = stub.ModelStreamInfer(self._send(), **options)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, *requests):
        with self._changed:
            self._requests += requests
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.answers) >= count or self.error, WAIT_SECONDS)

    def close(self):
        with self._changed:
            self._end = True
            self._changed.notify_all()
        self._reader.join(WAIT_SECONDS)
        assert not self._reader.is_alive()

    def _send(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._requests or self._end)
                if not self._requests:
                    return
                request = self._requests.pop(0)
            yield request

    def _read(self):
        try:
            for answer in self.call:
                with self._changed:
                    self.answers.append(answer)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            with self._changed:
                self.error = error
                self._changed.notify_all()


def scale(number, rows=1):
    """Makes a request for the model that triples, whose id is the number that it holds."""
    made = message("scale", {"x": np.full((rows, 2), number, np.float32)})
    made.id = str(number)
    return made


def numbers_of(answer):
    [raw] = answer.infer_response.raw_output_contents
    return np.frombuffer(raw, np.float32)


def test_a_stream_answers_in_order_over_models_and_errors(desk):
    talk = Talk(desk.stub)
    wide = message("scale", {"x": np.zeros((9, 2), np.float32)})
    wide.id = "wide"
    requests = [scale(i, rows=1 + i % 3) for i in range(60)]
    requests[20:20] = [message("slow", {"x": np.full((1, 1), 2, np.float32)}), wide, message("none", ONE)]
    talk.send(*requests)
    talk.close()
    assert talk.error is None
    assert [answer.infer_response.id for answer in talk.answers] == [request.id for request in requests]
    for request, answer in zip(requests, talk.answers, strict=True):
        if request.model_name == "scale" and request.id != "wide":
            assert not answer.error_message
            assert (numbers_of(answer) == 3 * int(request.id)).all()
            assert answer.infer_response.parameters["triton_final_response"].bool_param
    assert "has 9 rows" in talk.answers[21].error_message
    assert "there is no model 'none'" in talk.answers[22].error_message
    assert desk.metric("sentinova_documents_total", model="scale", method="ModelStreamInfer", code="OK") >= 60


def test_a_stream_that_wants_it_ends_with_the_status_of_the_first_error(desk):
    talk = Talk(desk.stub, metadata=(("triton_grpc_error", "true"),))
    talk.send(scale(1), message("none", ONE), scale(2))
    talk.close()
    assert [answer.infer_response.id for answer in talk.answers] == ["1"]
    assert talk.error.code() is grpc.StatusCode.NOT_FOUND
    assert "there is no model 'none'" in talk.error.details()


def test_a_stream_that_is_given_up_takes_its_requests_out_of_the_queue(desk):
    talk = Talk(desk.stub)
    talk.send(*[message("patient", ONE)] * 3)
    desk.wait_for_queue("patient", 3)
    talk.call.cancel()
    desk.wait_for_queue("patient", 0)
    talk.close()


def test_a_stop_loses_no_request_of_an_open_stream(start_server, tmp_path):
    build_scale(tmp_path / "repository" / "scale" / "1", 3.0)
    (tmp_path / "repository" / "scale" / "config.pbtxt").write_text("max_batch_size: 8")
    with (
        start_server(tmp_path / "repository", "--drain-delay", "0.3") as server,
        open_channel(server.address) as channel,
    ):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(pb.ServerReadyRequest(), timeout=WAIT_SECONDS).ready
        talk, idle = Talk(stub), Talk(stub)
        talk.send(*map(scale, range(200)))
        idle.send(scale(1))
        idle.wait_for(1)
        talk.wait_for(1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        # Not ready from now on; then, once balancers had time to notice, refused.
        request, refused = pb.ServerReadyRequest(), None
        for _ in range(10_000):
            try:
                assert not stub.ServerReady(request, timeout=WAIT_SECONDS).ready
            except grpc.RpcError as error:
                refused = error
                break
        assert refused is not None
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        given = refusal(stub.ModelInfer, scale(1), timeout=WAIT_SECONDS)
        assert (given.code, given.reason) == ("UNAVAILABLE", "SERVER_DRAINING")
        # Streams that were open are served to their end.
        talk.send(*map(scale, range(200, 250)))
        talk.close()
        idle.send(scale(2))
        idle.wait_for(2)
        assert server.process.poll() is None
        idle.close()
        for stream, count in ((talk, 250), (idle, 2)):
            assert stream.error is None
            assert len(stream.answers) == count
            assert all((numbers_of(one) == 3 * int(one.infer_response.id)).all() for one in stream.answers)
        assert [int(one.infer_response.id) for one in talk.answers] == list(range(250))
        assert server.process.wait(WAIT_SECONDS) == 0
        assert server.wait_for("stopped")


# The log's settings.


def test_log_settings_change_what_is_written_and_are_taken_back(desk):
    def call(name, **fields):
        """Calls, well or with an error, under a name of its own."""
        request = pb.ModelReadyRequest(name="scale", **fields)
        answer = desk.stub.ModelReady.future(request, metadata=(("x-request-id", name),), timeout=WAIT_SECONDS)
        assert answer.code() is (grpc.StatusCode.INVALID_ARGUMENT if fields else grpc.StatusCode.OK)

    def set_to(**settings):
        return desk.triton.client.update_log_settings(settings, as_json=True)["settings"]

    def wait_for(name):
        end = time.monotonic() + WAIT_SECONDS
        while not written(name):
            assert time.monotonic() < end, f"{name} was not written"
            time.sleep(0.01)

    def written(name):
        return any(entry.get("request_id") == name for entry in list(desk.server.logs))

    before = desk.triton.client.get_log_settings(as_json=True)["settings"]
    assert before["log_info"] == {"bool_param": True}
    try:
        call("good-at-first")
        call("bad-at-first", version="x")
        set_to(log_verbose_level=1)
        call("good-verbose")
        wait_for("good-verbose")
        changed = set_to(log_verbose_level=0, log_info=False)
        assert (changed["log_verbose_level"], changed["log_info"]) == ({"uint32_param": 0}, {"bool_param": False})
        call("bad-without-info", version="x")
        call("good-without-info")
    finally:
        after = set_to(log_verbose_level=0, log_info=True)
    assert after == before
    call("good-at-last")
    call("bad-at-last", version="x")
    wait_for("bad-at-last")  # what came before it has been written by now
    names = ("good-at-first", "bad-at-first", "good-verbose", "bad-without-info", "good-without-info", "good-at-last")
    assert [name for name in names if written(name)] == ["bad-at-first", "good-verbose"]


# Being found.


def test_reflection_shows_the_service_and_all_its_messages(desk):
    database = ProtoReflectionDescriptorDatabase(desk.channel)
    assert {"inference.GRPCInferenceService", "sentinova.v1.SentimentService"} <= set(database.get_services())
    pool = DescriptorPool(database)
    service = pool.FindServiceByName("inference.GRPCInferenceService")
    own = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert {method.name for method in service.methods} == {method.name for method in own.methods}
    for name in ("ModelInferRequest.InferInputTensor", "ModelConfig", "ModelStatistics", "RepositoryIndexResponse"):
        assert pool.FindMessageTypeByName(f"inference.{name}").full_name == f"inference.{name}"
    for method in service.methods:
        theirs = own.methods_by_name[method.name]
        assert (method.input_type.full_name, method.client_streaming) == (
            theirs.input_type.full_name,
            theirs.client_streaming,
        )


def test_a_client_that_knows_nothing_but_reflection_can_ask(desk):
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(desk.channel))
    method = pool.FindServiceByName("inference.GRPCInferenceService").methods_by_name["ModelInfer"]
    request, response = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
    call = desk.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=lambda made: made.SerializeToString(),
        response_deserializer=response.FromString,
    )
    asked = request(model_name="scale", inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 2]}])
    asked.inputs[0].contents.fp32_contents.extend([1.0, 2.0])
    [raw] = call(asked, timeout=WAIT_SECONDS).raw_output_contents
    assert np.frombuffer(raw, np.float32).tolist() == [3.0, 6.0]


BOTH = """
import sys
for name in sys.argv[1:]:
    __import__(name)
from tritonclient.grpc import service_pb2 as theirs
from sentinova_server.rpc.inference import grpc_service_pb2 as ours
import sentinova
request = theirs.ModelInferRequest(model_name="m", id="7")
request.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1, 2])
request.parameters["timeout"].int64_param = 5
read = ours.ModelInferRequest.FromString(request.SerializeToString())
assert (read.model_name, read.id, read.parameters["timeout"].int64_param) == ("m", "7", 5)
assert theirs.ModelInferRequest.FromString(read.SerializeToString()) == request
assert type(read) is not type(request)
print("both")
"""


@pytest.mark.parametrize("turned", [False, True])
def test_tritonclient_and_the_server_live_in_one_process(turned):
    names = ["tritonclient.grpc", "sentinova_server.rpc.server", "sentinova.v1.model_service_pb2"]
    command = [sys.executable, "-c", BOTH, *(reversed(names) if turned else names)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "both"), result.stderr


def test_what_the_server_tells_of_itself_can_be_written_into_a_config(desk):
    """A model's config as it is told is one that the server takes."""
    for name in ("scale", "patient", "words"):
        config = desk.triton.client.get_model_config(name).config
        read = parse_config(text_format.MessageToString(config), Path(f"/models/{name}/config.pbtxt"))
        assert (read.name, read.max_batch_size) == (name, config.max_batch_size)
