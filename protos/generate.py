"""Writes the Python stubs from the protos; `make protos` runs it, and `--check` fails where they differ.

The API's stubs go to the client package, which the server shares. The model configuration's go beside the parser of
`config.pbtxt`, in a descriptor pool of their own: Triton's client registers messages of the same names in the default
pool, and both must live in one process.
"""

import argparse
import filecmp
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
CLIENT = ROOT / "client/python"
API = ["sentinova/v1/sentiment_service.proto", "sentinova/v1/model_service.proto"]
MODEL_CONFIG = "inference/model_config.proto"
MODEL_CONFIG_PACKAGE = ROOT / "server/sentinova_server/repository"


def includes() -> list[str]:
    """Gives protoc's include path: ours, google/protobuf (grpcio-tools), google/rpc (googleapis-common-protos)."""
    wellknown = Path(next(iter(find_spec("grpc_tools").submodule_search_locations))) / "_proto"
    rpc = Path(find_spec("google.rpc.status_pb2").origin).parent.parent.parent
    return [f"-I{PROTOS}", f"-I{wellknown}", f"-I{rpc}"]


def generate(client: Path, model_config: Path) -> list[Path]:
    """Writes all stubs below the two folders and returns the files written."""
    run([*includes(), f"--python_out={client}", f"--pyi_out={client}", f"--grpc_python_out={client}", *API])
    with tempfile.TemporaryDirectory() as scratch:
        run([*includes(), f"--python_out={scratch}", f"--pyi_out={scratch}", MODEL_CONFIG])
        for source in Path(scratch, "inference").iterdir():
            text = source.read_text().replace("_descriptor_pool.Default()", "_descriptor_pool.DescriptorPool()")
            Path(model_config, source.name).write_text(text)
    return sorted([*client.rglob("*_pb2*.py*"), *model_config.glob("*_pb2*.py*")])


def run(arguments: list[str]) -> None:
    """Runs protoc; its own messages go to stderr. Raises SystemExit with its code where it fails."""
    if code := protoc.main(["protoc", *arguments]):
        sys.exit(code)


def check() -> int:
    """Compares the checked-in stubs with fresh ones; returns the number of files that differ."""
    with tempfile.TemporaryDirectory() as scratch:
        client, model_config = Path(scratch, "client"), Path(scratch, "model_config")
        client.mkdir()
        model_config.mkdir()
        fresh = {
            (CLIENT if file.is_relative_to(client) else MODEL_CONFIG_PACKAGE)
            / file.relative_to(client if file.is_relative_to(client) else model_config): file
            for file in generate(client, model_config)
        }
        stale = [
            kept for kept, file in fresh.items() if not kept.exists() or not filecmp.cmp(kept, file, shallow=False)
        ]
    for file in stale:
        print(f"{file.relative_to(ROOT)} differs from its proto: run `make protos`", file=sys.stderr)
    return len(stale)


def write_descriptors(file: Path) -> None:
    """Writes a FileDescriptorSet of the API and all that it imports, with comments, for tools such as buf."""
    file.parent.mkdir(parents=True, exist_ok=True)
    run([*includes(), "--include_imports", "--include_source_info", f"--descriptor_set_out={file}", *API])


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the stubs are out of date")
    parser.add_argument("--descriptors", type=Path, metavar="FILE", help="write a FileDescriptorSet instead of stubs")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(1 if check() else 0)
    if arguments.descriptors:
        write_descriptors(arguments.descriptors)
        return
    for written in generate(CLIENT, MODEL_CONFIG_PACKAGE):
        print(written.relative_to(ROOT))


if __name__ == "__main__":
    main()
