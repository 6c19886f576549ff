"""A repository with broken models: each is told with its file, the server lives, and the good ones serve."""

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository" / "sentiment_en" / "1"


def copy_shipped(folder):
    """Makes a version of the shipped one's files, as links: a test replaces those that it breaks."""
    folder.mkdir(parents=True)
    for file in SHIPPED.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def replace(file, content):
    file.unlink()
    file.write_bytes(content)


def break_config(folder):
    (folder.parent / "config.pbtxt").write_text('name: "misspelt"\n\nversion_polisy { all {} }\n')


def break_golden(folder):
    golden = json.loads((folder / "golden.json").read_text())
    golden["cases"][3]["logits"][0] += 0.01
    replace(folder / "golden.json", json.dumps(golden).encode())


def cut_weights(share):
    def cut(folder):
        data = (folder / "model.pdiparams").read_bytes()
        replace(folder / "model.pdiparams", data[: int(len(data) * share)])

    return cut


# name: (what breaks a version, what the reason must tell)
FAULTS = {
    "missing_weights": (lambda folder: (folder / "model.pdiparams").unlink(), "model.pdiparams: is missing"),
    "empty_weights": (lambda folder: replace(folder / "model.pdiparams", b""), "model.pdiparams: is empty"),
    "cut_weights_10": (cut_weights(0.1), "model.pdmodel: OpenVINO cannot read it with model.pdiparams"),
    "cut_weights_50": (cut_weights(0.5), "model.pdmodel: OpenVINO cannot read it with model.pdiparams"),
    "cut_weights_99": (cut_weights(0.99), "model.pdmodel: OpenVINO cannot read it with model.pdiparams"),
    "wrong_graph": (lambda folder: replace(folder / "model.pdmodel", b"not a program"), "model.pdmodel: OpenVINO"),
    "missing_vocabulary": (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt"),
    "missing_labels": (lambda folder: (folder / "labels.txt").unlink(), "labels.txt: is missing"),
    "three_labels": (lambda folder: replace(folder / "labels.txt", b"a\nb\nc\n"), "labels.txt: has 3 names"),
    "wrong_golden": (break_golden, "golden.json: cases.3: the model gives logits"),
    "misspelt": (break_config, "config.pbtxt: line 3, column 1"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_version, start_server):
    repository = tmp_path_factory.mktemp("faulty")
    tiny_version(repository / "tiny" / "1")
    for name, (fault, _) in FAULTS.items():
        fault(copy_shipped(repository / name / "1"))
    # One broken version beside a good one.
    tiny_version(repository / "half" / "1")
    shutil.copytree(repository / "half" / "1", repository / "half" / "2")
    (repository / "half" / "2" / "vocab.txt").write_text("[PAD]\n")
    (repository / "half" / "config.pbtxt").write_text("version_policy { all {} }")
    (repository / "empty").mkdir()
    with start_server(repository, "--default-model", "tiny") as server:
        yield server


@pytest.fixture
def faulty(server, connect_to):
    with connect_to(server.address) as stubs:
        yield stubs


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_broken_is_told_and_takes_no_requests(faulty, server, reason, name):
    model = faulty.models.GetModel(model_pb.GetModelRequest(name=name), timeout=30).model
    told = FAULTS[name][1]
    if model.versions:
        assert model.versions[0].state == model_pb.MODEL_VERSION_STATE_FAILED
        assert told in model.versions[0].state_message
        [log] = [entry for entry in server.logs if entry["event"] == "version_failed" and entry["model"] == name]
        assert told in log["reason"]
    else:
        assert told in model.message
        assert "version_polisy" in model.message
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"), config=pb.AnalysisConfig(model=name))
    with pytest.raises(grpc.RpcError) as error:
        faulty.sentiment.AnalyzeSentiment(request, timeout=30)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(error.value) == "MODEL_FAILED"


@pytest.mark.parametrize("model", ["", "tiny", "half"])
def test_the_good_models_and_versions_serve(faulty, model):
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"), config=pb.AnalysisConfig(model=model))
    result = faulty.sentiment.AnalyzeSentiment(request, timeout=30).result
    assert (result.label, result.model.name, result.model.version) == ("positive", model or "tiny", 1)


def test_pages_list_every_model_once(faulty):
    names, token = [], ""
    while True:
        page = faulty.models.ListModels(model_pb.ListModelsRequest(page_size=5, page_token=token), timeout=30)
        names += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
        assert len(page.models) == 5
    assert names == sorted([*FAULTS, "tiny", "half", "empty"])


def test_one_good_model_is_ready_unless_readiness_is_strict(server, start_server, tmp_path, tiny_version):
    assert urllib.request.urlopen(f"{server.url}/readyz", timeout=30).status == 200
    tiny_version(tmp_path / "tiny" / "1")
    (tmp_path / "empty").mkdir()
    with start_server(tmp_path, "--strict-readiness") as strict:
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{strict.url}/readyz", timeout=30)
        assert error.value.code == 503
        assert "empty" in error.value.read().decode()
        error.value.close()
