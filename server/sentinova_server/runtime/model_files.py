"""The model files in a version's folder, and which format they are in.

Knows file names; must not know what is inside the files: `engine` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The two files of a model.

    Attributes:
        format: "paddle" (Paddle's program format) or "openvino" (OpenVINO's intermediate representation).
        graph: the file that OpenVINO is given.
        weights: the file that belongs to it.
    """

    format: str
    graph: Path
    weights: Path


# Searched in this order: a folder that holds Paddle's own files is served from them.
_FORMATS = (
    ("paddle", "model.pdmodel", "model.pdiparams"),
    ("openvino", "model.xml", "model.bin"),
)
_PIR_GRAPH = "model.json"


def find_model_files(folder: Path) -> ModelFiles:
    """Finds the model in a version's folder.

    Raises:
        LoadError: a file is missing, empty or unreadable, or the format is one that OpenVINO does not read; names the
            file and says what to do.
    """
    for kind, graph, weights in _FORMATS:
        files = ModelFiles(kind, folder / graph, folder / weights)
        if files.graph.exists() or (kind == "openvino" and files.weights.exists()):
            _require(files.graph, f"belongs to {weights}")
            # OpenVINO writes an empty one for a graph without constants; where one is missing, reading tells.
            _require(files.weights, f"belongs to {graph}", may_be_empty=kind == "openvino")
            return files
    if (folder / _PIR_GRAPH).exists():
        raise LoadError(
            folder / _PIR_GRAPH,
            "is Paddle's PIR format, which OpenVINO does not read: export the program format (model.pdmodel) with "
            "FLAGS_enable_pir_api=0 and paddlepaddle 3.1 or older",
        )
    raise LoadError(folder / "model.pdmodel", "is missing: a version needs model.pdmodel and model.pdiparams")


def _require(file: Path, why: str, *, may_be_empty: bool = False) -> None:
    try:
        with file.open("rb") as stream:
            if not stream.read(1) and not may_be_empty:
                raise LoadError(file, f"is empty, and {why}: copy it again")
    except FileNotFoundError as error:
        raise LoadError(file, f"is missing, and {why}: copy it there") from error
    except OSError as error:
        raise LoadError(file, f"cannot be read: {error.strerror}") from error
