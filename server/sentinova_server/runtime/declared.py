"""What a config declares of a model's tensors, held against what the model file has. Pure functions.

Knows names, element types and dimensions; must not know requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import TensorConfig
from sentinova_server.runtime.tensors import TensorSpec


def apply_declared(
    file: Path, field: str, declared: Sequence[TensorConfig], found: Sequence[TensorSpec], *, batched: bool
) -> tuple[TensorSpec, ...]:
    """Gives the tensors of the model file, as narrow as the config declares them.

    Args:
        file: the config's.
        field: "input" or "output".
        declared: what the config says of some of them, or of none.
        found: those of the model file.
        batched: whether `dims` leave out the first dimension, the batch's, as where `max_batch_size` is above 0.

    Raises:
        LoadError: the config names a tensor that is not there, or has other types or dimensions than the file.
    """
    by_name = {spec.name: spec for spec in found}
    for tensor in declared:
        spec = by_name.get(tensor.name)
        if spec is None:
            raise LoadError(file, f"field `{field}`: {tensor.name!r} is not in the model, which has {sorted(by_name)}")
        if tensor.datatype and tensor.datatype != spec.datatype:
            raise LoadError(
                file,
                f"field `{field}`: {tensor.name!r} is declared {tensor.datatype}; the model has {spec.datatype}",
            )
        if tensor.dims:
            by_name[tensor.name] = _narrow(file, field, tensor, spec, batched=batched)
    return tuple(by_name[spec.name] for spec in found)


def _narrow(file: Path, field: str, tensor: TensorConfig, spec: TensorSpec, *, batched: bool) -> TensorSpec:
    own = spec.shape[1:] if batched else spec.shape
    pairs = zip(tensor.dims, own, strict=False)
    if len(tensor.dims) != len(own) or any(-1 not in pair and pair[0] != pair[1] for pair in pairs):
        where = " after the batch dimension" if batched else ""
        raise LoadError(
            file,
            f"field `{field}`: {tensor.name!r} is declared with dims {list(tensor.dims)}; the model has "
            f"{list(own)}{where}",
        )
    dims = tuple(theirs if ours == -1 else ours for theirs, ours in zip(own, tensor.dims, strict=True))
    return TensorSpec(spec.name, spec.datatype, (*spec.shape[:1], *dims) if batched else dims)
