"""The example models, exported again. Needs Paddle."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("paddle", reason="Paddle is installed in the training environment only")
    import paddle
    from sentinova_training.examples import networks

import numpy as np
from sentinova_training.errors import RecipeError
from sentinova_training.examples import export, golden_tensors, openvino_model
from sentinova_training.examples.catalogue import EXAMPLES, Example

MODELS = Path(__file__).resolve().parents[2] / "tests" / "models"

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All examples, written anew by the command in a process of its own, as Paddle's flags need."""
    folder = tmp_path_factory.mktemp("exported")
    command = [sys.executable, "-W", "ignore", "-m", "sentinova_training.cli", "examples", "--to", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.count("golden cases") == len(EXAMPLES)
    return folder


@each_example
def test_another_export_gives_the_same_answers(example: Example, exported: Path):
    own, tolerance = golden_tensors.read(exported / example.name / "1" / golden_tensors.FILE)
    checked_in, limit = golden_tensors.read(MODELS / example.name / "1" / golden_tensors.FILE)
    assert tolerance == limit
    for (inputs, outputs), (wanted_inputs, wanted) in zip(own, checked_in, strict=True):
        assert golden_tensors.largest_difference(inputs, wanted_inputs) == 0
        assert golden_tensors.largest_difference(outputs, wanted) < 1e-5


@each_example
def test_another_export_writes_the_same_files(example: Example, exported: Path):
    for name in ("config.pbtxt", "1/model.pdiparams", "1/MODEL_CARD.md"):
        own, wanted = (root / example.name / name for root in (exported, MODELS))
        assert own.read_bytes() == wanted.read_bytes(), name


@each_example
def test_openvino_agrees_with_paddle(example: Example, exported: Path):
    assert openvino_model.compare(exported / example.name / "1") < 1e-5


@each_example
def test_the_program_computes_what_the_network_does(example: Example):
    network = export.build(example)
    cases, _ = golden_tensors.read(MODELS / example.name / "1" / golden_tensors.FILE)
    for inputs, outputs in cases:
        found = network(*[paddle.to_tensor(inputs[given.name]) for given in example.inputs])
        tensors = found if isinstance(found, list | tuple) else [found]
        assert len(tensors) == len(outputs)
        for tensor, wanted in zip(tensors, outputs.values(), strict=True):
            assert golden_tensors.largest_difference({"": tensor.numpy()}, {"": wanted}) < 1e-5


def test_the_statistics_of_normalisation_count():
    """With those of an untrained network, a server that left them out would give the same."""
    example = EXAMPLES[0]
    network = export.build(example)
    image = paddle.to_tensor(example.draw_cases()[0]["image"])
    before = network(image).numpy()
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            for statistic, value in ((layer._mean, 0.0), (layer._variance, 1.0)):
                statistic.set_value(np.full(statistic.shape, value, np.float32))
    assert np.abs(network(image).numpy() - before).max() > 0.01


def test_matrices_are_stored_as_float16_where_the_example_says_so():
    example = next(e for e in EXAMPLES if e.stored_as_half)
    stored = [t.dtype for name, t in networks_state(example).items() if name.endswith("stored")]
    assert len(stored) == 3
    assert set(stored) == {paddle.float16}


def networks_state(example: Example) -> dict[str, paddle.Tensor]:
    return networks.build(getattr(networks, example.network), example.seed, example.stored_as_half).state_dict()


def test_an_export_that_openvino_computes_otherwise_is_not_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export.openvino_model, "compare", lambda _: 0.5)
    monkeypatch.setattr(export.program, "write", lambda *_: None)
    monkeypatch.setattr(export, "paddle_outputs", lambda _, cases: [{} for _ in cases])
    with pytest.raises(RecipeError, match=r"image_cnn: OpenVINO is 0\.5 off Paddle"):
        export.run(tmp_path)
    assert not list(tmp_path.iterdir())
