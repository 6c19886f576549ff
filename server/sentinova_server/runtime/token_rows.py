"""Texts that come as the tensors of the model file: token ids by rows, with masks and what else the model takes.

Knows padding and the inputs of BERT-like models; must not know text, queues or messages.

A row becomes a document like any other: its padding at the end, which the model does not look at, is cut off, so that
it is batched by its own length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sentinova_server.errors import Reason, ServingError
from sentinova_server.runtime.tensors import Tensor

IDS_INPUT = "input_ids"
MASK_INPUT = "attention_mask"
OTHER_INPUTS = ("token_type_ids", MASK_INPUT, "position_ids")


@dataclass(frozen=True, slots=True, eq=False)
class TokenRow(Sequence[int]):
    """One row of token ids, and the same row of the other inputs.

    Attributes:
        ids: `[tokens]`.
        others: `[tokens]` each, by the input's name; inputs that are not there are filled as for a text.
    """

    ids: Tensor
    others: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> int:  # type: ignore[override]  # nothing slices a row
        return int(self.ids[index])

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())


@dataclass(frozen=True, slots=True)
class RowRules:
    """What rows a model takes.

    Attributes:
        pad_id: id of the token that fills rows up.
        max_tokens: most tokens of a row.
        tables: how many values the numbers of an input may have, from 0, by the input's name.
    """

    pad_id: int
    max_tokens: int
    tables: Mapping[str, int]

    def split(self, tensors: Mapping[str, Tensor]) -> list[TokenRow]:
        """Checks the tensors of one request and gives their rows.

        Args:
            tensors: `[rows, length]` integers each, of equal shape, by the input's name; `input_ids` among them.

        Raises:
            ServingError: INVALID_FIELD; names the tensor and what is wrong with it.
        """
        ids = tensors[IDS_INPUT]
        for name, tensor in tensors.items():
            if tensor.shape != ids.shape:
                raise refuse_tensor(name, f"has shape {list(tensor.shape)}, and {IDS_INPUT} has {list(ids.shape)}")
        if not ids.size:
            raise refuse_tensor(IDS_INPUT, f"has shape {list(ids.shape)}: it must hold a row of a token at least")
        limits = dict(self.tables)
        limits[MASK_INPUT] = 2
        for name, tensor in tensors.items():
            check_range(name, tensor, limits.get(name))
        ends = self._ends(ids, tensors.get(MASK_INPUT))
        longest = int(ends.max())
        if longest > self.max_tokens:
            raise refuse_tensor(IDS_INPUT, f"has a row of {longest:,} tokens; the model reads {self.max_tokens:,}")
        others = {name: tensor for name, tensor in tensors.items() if name != IDS_INPUT}
        return [
            TokenRow(row[:end], {name: tensor[i, :end] for name, tensor in others.items()})
            for i, (row, end) in enumerate(zip(ids, ends.tolist(), strict=True))
        ]

    def _ends(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Gives where the padding of each row begins. Raises ServingError where a row is nothing else."""
        real = ids != self.pad_id if mask is None else mask != 0
        if not (kept := real.any(axis=1)).all():
            name = IDS_INPUT if mask is None else MASK_INPUT
            raise refuse_tensor(name, f"makes row {int(kept.argmin())} nothing but padding: send a token in each row")
        ends: Tensor = ids.shape[1] - real[:, ::-1].argmax(axis=1)
        return ends


def check_range(name: str, tensor: Tensor, values: int | None) -> None:
    """Raises ServingError INVALID_FIELD where a number of a tensor is not in its table.

    Args:
        name: the input's name.
        tensor: integers of any shape.
        values: how many values there are, from 0; None: any number will do.
    """
    if values is None or not tensor.size:
        return
    least, most = int(tensor.min()), int(tensor.max())
    if least < 0 or most >= values:
        wrong = least if least < 0 else most
        raise refuse_tensor(name, f"holds {wrong}; the model takes 0 to {values - 1}")


def refuse_tensor(name: str, problem: str) -> ServingError:
    """Makes the error about a tensor of a request."""
    name = name[:100]  # it may be what the client sent, of any length
    return ServingError(Reason.INVALID_FIELD, f"input {name!r} {problem}", field=f"inputs[{name!r}]")
