"""The server process: how it starts, stops, and what it never loads."""

import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sentinova.v1 import sentiment_service_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
LONG = "a rather long text of common words " * 50


def serve(*flags):
    command = [sys.executable, "-m", "sentinova_server", "serve", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class Talk:
    """An open stream: documents are sent one by one, answers are gathered on a thread."""

    def __init__(self, stubs):
        self.answers, self.error = [], None
        self._lines, self._end = [], False
        self._changed = threading.Condition()
        self._call = stubs.sentiment.StreamAnalyzeSentiment(self._requests())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, *texts):
        with self._changed:
            self._lines += texts
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self._end = True
            self._changed.notify_all()
        self._reader.join(60)
        assert not self._reader.is_alive()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.answers) >= count or self.error, 60)

    def _requests(self):
        sent = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._end)
                if not self._lines:
                    return
                text = self._lines.pop(0)
            yield pb.StreamAnalyzeSentimentRequest(document=pb.Document(id=str(sent), text=text))
            sent += 1

    def _read(self):
        try:
            for answer in self._call:
                with self._changed:
                    self.answers.append(answer)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            with self._changed:
                self.error = error
                self._changed.notify_all()


def test_a_stop_loses_no_document_of_an_open_stream(start_server, connect_to):
    with start_server(ROOT / "model_repository", "--drain-delay", "0.5") as server, connect_to(server.address) as stubs:
        health = health_pb2_grpc.HealthStub(stubs.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        talk = Talk(stubs)
        talk.send(*[LONG] * 120)
        talk.wait_for(1)
        server.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{server.url}/readyz", timeout=30)
        assert (error.value.code, error.value.read()) == (503, b"stopping\n")
        error.value.close()
        assert urllib.request.urlopen(f"{server.url}/livez", timeout=30).status == 200
        assert len(talk.answers) < 120  # the stop came in the middle
        watch.cancel()
        talk.close()
        assert talk.error is None
        assert sorted(int(answer.id) for answer in talk.answers) == list(range(120))
        assert all(answer.WhichOneof("outcome") == "result" for answer in talk.answers)
        assert server.process.wait(60) == 0
        assert server.wait_for("stopped")


def test_calls_after_the_stop_are_turned_away_as_unavailable(start_server, connect_to, tiny_repository, reason):
    with start_server(tiny_repository) as server, connect_to(server.address) as stubs:
        talk = Talk(stubs)
        talk.send("good")
        talk.wait_for(1)
        server.process.send_signal(signal.SIGTERM)
        message = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"))
        server.wait_for("stopping")
        with pytest.raises(grpc.RpcError) as error:  # noqa: PT012
            for _ in range(1000):  # the log line comes a moment before the refusal
                stubs.sentiment.AnalyzeSentiment(message, timeout=30)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason(error.value) == "SERVER_DRAINING"
        # The stream that was open before is still served.
        talk.send("bad")
        talk.wait_for(2)
        talk.close()
        assert talk.error is None
        assert [answer.result.label for answer in talk.answers] == ["positive", "negative"]
        assert server.process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_forces_the_end(start_server, connect_to, tiny_repository, number):
    with start_server(tiny_repository, "--drain-timeout", "3600") as server, connect_to(server.address) as stubs:
        talk = Talk(stubs)
        talk.send("good")
        talk.wait_for(1)
        server.process.send_signal(number)
        server.wait_for("stopping")
        assert server.stop(number) == 1
        assert server.wait_for("forced")
        talk.close()
        assert talk.error is not None


def test_an_idle_server_ends_with_zero_on_ctrl_c(start_server, tiny_repository):
    with start_server(tiny_repository) as server:
        assert server.stop(signal.SIGINT) == 0


def test_a_signal_while_models_load_ends_it_too(start_server):
    with start_server(ROOT / "model_repository", ready=False) as server:
        assert server.stop() == 0


def test_requests_while_models_load_are_told_to_try_again(start_server, connect_to, reason):
    with start_server(ROOT / "model_repository", ready=False) as server, connect_to(server.address) as stubs:
        message = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"), config=pb.AnalysisConfig(version=2))
        with pytest.raises(grpc.RpcError) as error:
            stubs.sentiment.AnalyzeSentiment(message, timeout=30, wait_for_ready=True)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason(error.value) == "MODEL_LOADING"
        assert "RetryInfo" in str(error.value.trailing_metadata())
        with pytest.raises(urllib.error.HTTPError) as not_ready:
            urllib.request.urlopen(f"{server.url}/readyz", timeout=30)
        assert not_ready.value.read() == b"loading models\n"
        not_ready.value.close()
        server.wait_for("ready")
        assert stubs.sentiment.AnalyzeSentiment(message, timeout=30).result.label == "positive"
        assert urllib.request.urlopen(f"{server.url}/readyz", timeout=30).status == 200


@pytest.mark.parametrize("flag", ["--port", "--http-port"])
def test_a_taken_port_is_told(tiny_repository, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--port": 0, "--http-port": 0, flag: port}
        flags = [part for pair in ports.items() for part in pair]
        result = serve("--model-repository", tiny_repository, *flags)
    assert result.returncode == 1
    assert str(port) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--model-repository", "no/such/folder"], "no/such/folder: is not a folder"),
        (["--model-repository", "model_repository", "--default-model", "x"], "has no model 'x'"),
        (
            ["--model-repository", "model_repository", "--tls-cert", "no.pem", "--tls-key", "no.pem"],
            "no.pem: cannot be read",
        ),
    ],
)
def test_a_server_that_cannot_start_says_why(flags, told):
    result = serve(*flags, "--port", 0, "--http-port", 0)
    assert result.returncode == 1
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_the_server_never_loads_paddle(shipped_server, stubs):
    """Neither the running process, which has served Paddle's own files, nor anything that it imports."""
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"))
    assert stubs.sentiment.AnalyzeSentiment(request, timeout=30).result.label == "positive"
    maps = Path(f"/proc/{shipped_server.process.pid}/maps").read_text()
    libraries = {Path(line.split(maxsplit=5)[5]).name for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}
    assert any("openvino_paddle_frontend" in name for name in libraries)
    assert not [name for name in libraries if "paddle" in name and "openvino" not in name]
    code = """
import sys, sentinova_server.app, sentinova_server.cli
print([name for name in sys.modules if name.partition(".")[0] in ("paddle", "paddlenlp")])
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert output.stdout.strip() == "[]"


def test_openvino_reports_nothing_over_the_network():
    """OpenVINO's own package for that is out of reach before OpenVINO is loaded, and it does without."""
    code = """
import sys, sentinova_server.app, openvino
print(sys.modules["openvino_telemetry"], [name for name in sys.modules if name.startswith("openvino_telemetry.")])
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert output.stdout.strip() == "None []"


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_check_tells_whether_every_version_can_be_served(tiny_repository, good, code):
    if not good:
        (tiny_repository / "tiny" / "1" / "labels.txt").unlink()
    command = [sys.executable, "-m", "sentinova_server", "check", "--model-repository", str(tiny_repository)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"COLUMNS": "300", "PATH": ""}
    )
    assert result.returncode == code
    assert ("AVAILABLE" if good else "labels.txt: is missing") in result.stdout
