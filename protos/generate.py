"""Writes all that is made of the protos; `make protos` runs it, and `--check` fails where what is checked in differs.

Checked in: the stubs of Python and of the clients, and docs/api.md. Below build/protos: a FileDescriptorSet, and stubs
for other languages.

The API's Python stubs go to the client package, which the server shares. Those of the `inference` package go to the
server: the model configuration's beside the parser of `config.pbtxt`, the service's beside the servicers. They have a
descriptor pool of their own: Triton's client registers messages of the same names in the default pool, and both must
live in one process.
"""

import argparse
import filecmp
import sys
import tempfile
from pathlib import Path

from bundles import CLIENTS, DESCRIPTORS, copy_to_clients, write_bundle, write_bundles
from descriptors import ROOT, find_protos, includes, run_protoc, write_descriptors
from reference import write_reference

CLIENT = Path("client/python")
REFERENCE = Path("docs/api.md")
MODEL_CONFIG = "inference/model_config.proto"
INFERENCE = "inference/grpc_service.proto"

# What protoc writes into the stubs of the `inference` package, and what stands there instead. By folder of the stubs.
_POOL = "_descriptor_pool.Default()"
_PRIVATE = {
    Path("server/sentinova_server/repository"): (
        MODEL_CONFIG,
        {
            _POOL: "_descriptor_pool.DescriptorPool()",
            "'inference.model_config_pb2'": "'sentinova_server.repository.model_config_pb2'",
        },
    ),
    Path("server/sentinova_server/rpc/inference"): (
        INFERENCE,
        {
            _POOL: "inference_dot_model__config__pb2.DESCRIPTOR.pool",
            "'inference.grpc_service_pb2'": "'sentinova_server.rpc.inference.grpc_service_pb2'",
            "from inference import model_config_pb2": "from sentinova_server.repository import model_config_pb2",
            "from inference import grpc_service_pb2": "from sentinova_server.rpc.inference import grpc_service_pb2",
        },
    ),
}


def generate(root: Path) -> list[Path]:
    """Writes what is checked in and needs no plugins, below a folder laid out as the repository.

    Returns:
        The files, relative to that folder.
    """
    client = root / CLIENT
    client.mkdir(parents=True, exist_ok=True)
    api = [proto for proto in find_protos() if proto.startswith("sentinova/")]
    run_protoc([*includes(), f"--python_out={client}", f"--pyi_out={client}", f"--grpc_python_out={client}", *api])
    for folder, (proto, replacements) in _PRIVATE.items():
        _generate_private(proto, root / folder, replacements)
    write_descriptors(root / DESCRIPTORS)
    write_reference(root / DESCRIPTORS, root / REFERENCE)
    stubs = (file for place in [CLIENT, *_PRIVATE] for file in (root / place).rglob("*_pb2*.py*"))
    return [*sorted(file.relative_to(root) for file in stubs if file.suffix != ".pyc"), REFERENCE]


def _generate_private(proto: str, folder: Path, replacements: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plugins = ["python", "pyi"] if proto == MODEL_CONFIG else ["python", "pyi", "grpc_python"]
        run_protoc([*includes(), *(f"--{plugin}_out={scratch}" for plugin in plugins), proto])
        for source in Path(scratch, "inference").iterdir():
            text = source.read_text()
            for old, new in replacements.items():
                text = text.replace(old, new)
            Path(folder, source.name).write_text(text)


def check() -> int:
    """Compares what is checked in with what the protos give; returns the number of files that differ.

    A client whose plugins are not there is not compared, and named.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fresh = generate(root)
        clients = [one for one, (kept, _) in CLIENTS.items() if write_bundle(one, root, f"{kept}: stubs not compared")]
        fresh += copy_to_clients(root, clients)
        stale = [
            file
            for file in fresh
            if not Path(ROOT, file).exists() or not filecmp.cmp(ROOT / file, root / file, shallow=False)
        ]
    for file in stale:
        print(f"{file} differs from its proto: run `make protos`", file=sys.stderr)
    return len(stale)


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is out of date")
    parser.add_argument("--descriptors", type=Path, metavar="FILE", help="write nothing but a FileDescriptorSet")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(1 if check() else 0)
    if arguments.descriptors:
        write_descriptors(arguments.descriptors)
        return
    written = generate(ROOT)
    languages = write_bundles()
    for file in [*written, *copy_to_clients(ROOT, languages), DESCRIPTORS]:
        print(file)
    for language in languages:
        print(f"build/protos/{language}/")


if __name__ == "__main__":
    main()
