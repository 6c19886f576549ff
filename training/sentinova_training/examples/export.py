"""Writes the example models: an exported program, golden values, a config and a card each.

Knows what a model's folder holds; must not know what the networks are.
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinova_training import program, repository
from sentinova_training.errors import RecipeError
from sentinova_training.examples import golden_tensors, openvino_model
from sentinova_training.examples.catalogue import EXAMPLES, MAX_BATCH_SIZE, Array, Example

# What OpenVINO may be off Paddle here; both compute in float32, in another order.
AGREEMENT = 1e-4
VERSION = "1"


@dataclass(frozen=True)
class Summary:
    """What was written.

    Attributes:
        name: of the model.
        size: bytes of its version folder.
        cases: golden cases.
        max_difference: the largest difference of a number between OpenVINO and Paddle.
    """

    name: str
    size: int
    cases: int
    max_difference: float


def run(folder: Path) -> list[Summary]:
    """Writes all examples into a model repository; version 1 of each is replaced whole.

    Raises:
        RecipeError: Paddle wrote another format, or OpenVINO does not agree with Paddle.
    """
    return [_export(example, folder) for example in EXAMPLES]


def _export(example: Example, folder: Path) -> Summary:
    target = folder / example.name / VERSION
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / VERSION  # the scratch folder itself is closed to other users, and so would the copy be
        staged.mkdir()
        _write_program(example, staged)
        inputs = example.draw_cases()
        cases: list[golden_tensors.Case] = list(zip(inputs, paddle_outputs(staged, inputs), strict=True))
        golden_tensors.write(staged / golden_tensors.FILE, cases, example.tolerance)
        difference = openvino_model.compare(staged)
        if difference > AGREEMENT:
            raise RecipeError(f"{example.name}: OpenVINO is {difference:.2g} off Paddle; {AGREEMENT} is allowed")
        (staged / "MODEL_CARD.md").write_text(_card(example, cases), encoding="utf-8")
        repository.place(staged, target)
    (target.parent / "config.pbtxt").write_text(_config(example), encoding="utf-8")
    size = sum(path.stat().st_size for path in target.iterdir())
    return Summary(example.name, size, len(cases), difference)


def build(example: Example) -> Any:
    """The example's network, in evaluation mode."""
    from sentinova_training.examples import networks

    return networks.build(getattr(networks, example.network), example.seed, example.stored_as_half)


def _write_program(example: Example, folder: Path) -> None:
    import paddle
    from paddle.static import InputSpec

    # Names of weights and outputs count up within a process; here they start anew with each model.
    with paddle.utils.unique_name.guard():
        network = build(example)
        network(*[paddle.to_tensor(tensor) for tensor in example.draw_cases()[0].values()])
        specs = [InputSpec(list(given.shape), given.dtype, name=given.name) for given in example.inputs]
        program.write(network, specs, folder)


def paddle_outputs(folder: Path, cases: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """What Paddle's own predictor makes of inputs with the files of a version folder, by the program's own names."""
    from paddle import inference

    settings = inference.Config(str(folder / "model.pdmodel"), str(folder / "model.pdiparams"))
    settings.disable_glog_info()
    settings.switch_ir_optim(False)  # the program as it stands, with no operations fused
    predictor = inference.create_predictor(settings)
    outputs = []
    for inputs in cases:
        for name, tensor in inputs.items():
            predictor.get_input_handle(name).copy_from_cpu(tensor)
        predictor.run()
        names = predictor.get_output_names()
        outputs.append({name: predictor.get_output_handle(name).copy_to_cpu() for name in names})
    return outputs


def _config(example: Example) -> str:
    lines = [f'name: "{example.name}"', 'backend: "openvino"']
    if example.batched:
        lines += [f"max_batch_size: {MAX_BATCH_SIZE}", "dynamic_batching { }"]
    else:
        lines.append("max_batch_size: 0")
    return "\n".join(lines) + "\n"


def _card(example: Example, cases: list[golden_tensors.Case]) -> str:
    import paddle

    inputs, outputs = cases[0]
    shapes = {given.name: given.shape for given in example.inputs}
    rows = [_row("in", name, tensor, shapes[name]) for name, tensor in inputs.items()]
    last = cases[-1][1]
    for name, tensor in outputs.items():
        # The cases differ in every dimension that may differ.
        shape = tuple(
            size if all(case[1][name].shape[axis] == size for case in cases) else None
            for axis, size in enumerate(last[name].shape)
        )
        rows.append(_row("out", name, tensor, shape))
    about = [
        f"# {example.name}, version {VERSION}",
        f"{example.about}\n\nIts weights are random numbers: its answers mean nothing. It is there to try a server on.",
        "\n".join(["| | tensor | type | shape |", "| --- | --- | --- | --- |", *rows]),
        f"`{golden_tensors.FILE}` holds {len(cases)} cases with what Paddle {paddle.__version__} gives for them; "
        f"the recipe, `sentinova-train examples`, checks that OpenVINO in float32 agrees to {AGREEMENT}.",
    ]
    return "\n\n".join(about) + "\n"


def _row(role: str, name: str, tensor: Array, shape: tuple[int | None, ...]) -> str:
    sizes = ", ".join("?" if size is None else str(size) for size in shape)
    return f"| {role} | `{name}` | {tensor.dtype} | [{sizes}] |"
