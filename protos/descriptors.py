"""The protos as protoc reads them, and as a FileDescriptorSet.

Knows where protos are found; must not know what is made of them.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGES = ("sentinova", "inference")
# No proto of ours imports it, but it is what the details of errors are read by.
ERROR_DETAILS = "google/rpc/error_details.proto"


def find_protos(folder: Path = PROTOS) -> list[str]:
    """Lists the API's files, relative to the folder that holds the packages."""
    found = (file for package in PACKAGES for file in Path(folder, package).rglob("*.proto"))
    return sorted(file.relative_to(folder).as_posix() for file in found)


def includes(folder: Path = PROTOS) -> list[str]:
    """Gives protoc's include path: ours, google/protobuf (grpcio-tools), google/rpc (googleapis-common-protos)."""
    wellknown = Path(next(iter(find_spec("grpc_tools").submodule_search_locations))) / "_proto"
    rpc = Path(find_spec("google.rpc.status_pb2").origin).parent.parent.parent
    return [f"-I{folder}", f"-I{wellknown}", f"-I{rpc}"]


def run_protoc(arguments: list[str]) -> None:
    """Runs grpcio-tools' protoc; its own messages go to stderr. Raises SystemExit with its code where it fails."""
    if code := protoc.main(["protoc", *arguments]):
        sys.exit(code)


def write_descriptors(file: Path, folder: Path = PROTOS, *, comments: bool = True) -> None:
    """Writes a FileDescriptorSet of the API, all that it imports and the details of errors, for tools such as buf.

    Args:
        file: what to write; its folder is made.
        folder: the folder that holds the packages.
        comments: whether the set has comments and places of the source.

    Raises:
        SystemExit: a proto is wrong; protoc has told how.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    source_info = ["--include_source_info"] if comments else []
    run_protoc(
        [
            *includes(folder),
            "--include_imports",
            *source_info,
            f"--descriptor_set_out={file}",
            *find_protos(folder),
            ERROR_DETAILS,
        ]
    )
