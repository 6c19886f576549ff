"""Post-training quantization: a graph that computes in floating point becomes one that computes in 8-bit integers.

Knows NNCF and OpenVINO's graphs; must not know files of versions, labels, or what a loss of accuracy means. NNCF is an
extra and takes seconds to import, so only the functions that need it import it.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from sentinova_server.runtime.engine import Graph

Tensors = Mapping[str, NDArray[np.generic]]

# How often NNCF runs each calibration input: to smooth the activations, and to find their ranges.
CALIBRATION_PASSES = 2


class QuantizationError(Exception):
    """A version that cannot be quantized, or loses too much by it; the message says why and what to do."""


def find_nncf_version() -> str:
    """Gives NNCF's version.

    Raises:
        QuantizationError: it is not installed.
    """
    return str(_import_nncf().__version__)


def quantize_graph(
    graph: Graph, inputs: Sequence[Tensors], *, preset: str, done: Callable[[], object] = lambda: None
) -> ov.Model:
    """Quantizes weights and activations of a graph to 8 bits each.

    Weights are scaled by channel. What a transformer is sensitive to stays in floating point: softmax, norms, and the
    products of attention's scores and values.

    Args:
        graph: what its file describes, not rewritten; it stays as it is.
        inputs: what the model reads for each calibration text, by input name. Without padding: its activations would
            widen the ranges.
        preset: "mixed" (activations on an asymmetric scale) or "performance" (symmetric).
        done: called each time that NNCF is given an input: `CALIBRATION_PASSES` times for each.

    Returns:
        A graph whose weights are constants of 8 bits, and whose activations go through FakeQuantize.

    Raises:
        QuantizationError: NNCF is not installed, fails on the graph, or finds nothing to quantize.
    """
    nncf = _import_nncf()

    def feed(tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        done()
        return dict(tensors)

    try:
        # Its progress bars go to stdout: the caller has its own.
        with redirect_stdout(io.StringIO()):
            model = nncf.quantize(
                graph.model.clone(),
                nncf.Dataset(inputs, feed),
                model_type=nncf.ModelType.TRANSFORMER,
                preset=nncf.QuantizationPreset(preset),
                subset_size=len(inputs),
                fast_bias_correction=True,
            )
    except Exception as error:  # a library of many authors: what it raises is no part of its interface
        raise QuantizationError(f"{graph.files.graph}: NNCF cannot quantize it: {error}") from error
    if not any(node.get_type_name() == "FakeQuantize" for node in model.get_ops()):
        raise QuantizationError(f"{graph.files.graph}: NNCF found nothing in it to quantize: it multiplies no matrices")
    return model


def save_graph(model: ov.Model, folder: Path) -> int:
    """Writes a quantized graph as `model.xml` and `model.bin`, numbers that are not in 8 bits as float16 where it can.

    Returns:
        The bytes of both files.

    Raises:
        QuantizationError: they cannot be written.
    """
    file = folder / "model.xml"
    try:
        ov.save_model(model, file, compress_to_fp16=True)
    except RuntimeError as error:
        raise QuantizationError(f"{file}: cannot be written: {error}") from error
    return file.stat().st_size + file.with_suffix(".bin").stat().st_size


def _import_nncf() -> Any:
    # NNCF reports its use to its makers over the network unless it believes to run in a test bed; nobody asked for it.
    os.environ["NNCF_CI"] = "1"
    try:
        import nncf  # noqa: PLC0415
    except ImportError as error:
        raise QuantizationError(f"quantizing needs NNCF: pip install 'sentinova[quantize]' ({error})") from error
    nncf.set_log_level(logging.ERROR)
    return nncf
