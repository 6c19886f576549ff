"""What is made of the protos is written whole, and what is checked in is found out where it is stale."""

import shutil
import subprocess
import sys
from pathlib import Path

import bundles
import generate
import plugins
import pytest
from descriptors import ROOT
from google.protobuf import descriptor_pb2

METHODS = ("StreamAnalyzeSentiment", "SetModelWeights", "RepositoryModelLoad")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the checked-in files of Python alone, which are compared in the repository's place."""
    monkeypatch.setattr(generate, "CLIENTS", {})
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    generate.generate(tmp_path)
    return tmp_path


def test_fresh_files_pass(checkout):
    assert generate.check() == 0


@pytest.mark.parametrize(
    "file",
    [
        "client/python/sentinova/v1/model_service_pb2.pyi",
        "server/sentinova_server/repository/model_config_pb2.py",
        "server/sentinova_server/rpc/inference/grpc_service_pb2_grpc.py",
        "docs/api.md",
    ],
)
def test_stale_and_missing_files_are_named(checkout, capsys, file):
    stale = checkout / file
    stale.write_text(stale.read_text() + "\n")
    assert generate.check() == 1
    stale.unlink()
    assert generate.check() == 1
    assert capsys.readouterr().err == f"{file} differs from its proto: run `make protos`\n" * 2


def test_stale_client_is_named(checkout, capsys, monkeypatch):
    """The bundle of Python stands for a client's: it needs no plugins."""

    def write(_, root, __):
        bundles._write_python(root)
        return True

    monkeypatch.setattr(generate, "CLIENTS", {"python": (Path("client/other"), ())})
    monkeypatch.setitem(bundles.CLIENTS, "python", (Path("client/other"), ("sentinova",)))
    monkeypatch.setattr(generate, "write_bundle", write)
    assert generate.check() == 6
    bundles._write_python(checkout)
    copied = bundles.copy_to_clients(checkout, ["python"])
    assert Path("client/other/sentinova/v1/model_service_pb2_grpc.py") in copied
    assert generate.check() == 0
    stale = checkout / copied[0]
    stale.write_text(stale.read_text() + "\n")
    capsys.readouterr()
    assert generate.check() == 1
    assert capsys.readouterr().err == f"{copied[0]} differs from its proto: run `make protos`\n"


def test_missing_plugin_is_named_with_what_gets_it(tmp_path, capsys, monkeypatch):
    absent = plugins.Plugin("protoc-gen-none", "the crate none", tmp_path, ("no-such-tool", "install"))
    foreign = plugins.Plugin("grpc_none_plugin", "Debian's none")
    monkeypatch.setitem(plugins.LANGUAGES, "none", (absent, foreign))
    assert bundles.write_bundle("none", tmp_path, "none: not built") is False
    assert capsys.readouterr().out.splitlines() == [
        "none: not built: no protoc-gen-none: `make plugins` gets it from the crate none, once no-such-tool is there",
        "none: not built: no grpc_none_plugin: install Debian's none",
    ]


def test_client_that_cannot_be_compared_is_named(checkout, capsys, monkeypatch):
    monkeypatch.setitem(plugins.LANGUAGES, "none", (plugins.Plugin("grpc_none_plugin", "Debian's none"),))
    monkeypatch.setattr(generate, "CLIENTS", {"none": (Path("client/none"), ("sentinova",))})
    assert generate.check() == 0
    said = "client/none: stubs not compared: no grpc_none_plugin: install Debian's none\n"
    assert capsys.readouterr().out == said


def test_plugin_is_installed_where_its_tool_is(tmp_path):
    script = f"from pathlib import Path; Path({str(tmp_path / 'plugin-1.0.exe')!r}).write_text('#!/bin/sh')"
    plugin = plugins.Plugin("plugin", "a test", tmp_path, (sys.executable, "-c", script), artifact="plugin-1.0.exe")
    assert plugin.find() is None
    assert plugin.install()
    assert plugin.find() == str(tmp_path / "plugin")


def test_pinned_plugin_is_not_taken_from_path(tmp_path):
    """Another version would write other stubs."""
    pinned = plugins.Plugin("sh", "a test", tmp_path, ("true",))
    assert pinned.find() is None
    assert plugins.Plugin("sh", "a test").find() == shutil.which("sh")


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory):
    """A folder with the FileDescriptorSet, and room for bundles."""
    root = tmp_path_factory.mktemp("bundles")
    generate.write_descriptors(root / bundles.DESCRIPTORS)
    return root


def test_descriptors_hold_all_that_is_imported(descriptors):
    files = descriptor_pb2.FileDescriptorSet.FromString((descriptors / bundles.DESCRIPTORS).read_bytes()).file
    names = {file.name for file in files}
    assert {name for file in files for name in file.dependency} <= names
    assert {
        "sentinova/v1/sentiment_service.proto",
        "inference/grpc_service.proto",
        "google/rpc/error_details.proto",
    } <= names


def test_python_bundle_imports(descriptors):
    bundles._write_python(descriptors)
    folder = descriptors / "build/protos/python"
    program = "\n".join(
        [
            "import sys",
            # The client's package has the same name: it must not be what is imported.
            f"sys.path[:] = [{str(folder)!r}, *(one for one in sys.path if not one.endswith('client/python'))]",
            "from inference import grpc_service_pb2_grpc as two",
            "from sentinova.v1 import sentiment_service_pb2_grpc as one",
            "print(one.__file__, one.SentimentServiceStub.__name__, two.GRPCInferenceServiceStub.__name__)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    file, *stubs = done.stdout.split() or [done.stderr]
    assert stubs == ["SentimentServiceStub", "GRPCInferenceServiceStub"], file
    assert Path(file).is_relative_to(folder)


@pytest.mark.parametrize("language", plugins.LANGUAGES)
def test_bundle_has_all_services(descriptors, language, capsys):
    if not bundles.write_bundle(language, descriptors, f"{language}: not built"):
        pytest.skip(capsys.readouterr().out.strip())
    folder = descriptors / "build/protos" / language.removesuffix("-grpc")
    text = "\n".join(file.read_text() for file in folder.rglob("*") if file.is_file()).replace("_", "").lower()
    names = ("AnalyzeSentimentRequest", "ModelInferRequest") if language == "csharp" else METHODS
    for name in names:
        assert name.lower() in text


def test_every_template_is_a_languages():
    assert {file.name for file in (ROOT / "protos").glob("buf.gen.*.yaml")} == {
        f"buf.gen.{language}.yaml" for language in plugins.LANGUAGES
    }


def test_java_bundle_is_of_the_clients_versions():
    """One program may have the client and the bundle's stubs of `inference`."""
    pom = (ROOT / "client/java/pom.xml").read_text()
    assert f"<protobuf.version>{plugins.JAVA_PROTOBUF}</protobuf.version>" in pom
    assert f"<grpc.version>{plugins.JAVA_GRPC}</grpc.version>" in pom
