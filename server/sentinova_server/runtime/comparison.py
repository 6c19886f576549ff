"""What a model loses by other arithmetic: the same texts before and after. Pure functions.

Knows logits and labels; must not know how logits come about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinova_server.runtime.scores import score_differences


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same texts by two models.

    Attributes:
        texts: how many were compared, 1 or more.
        labelled: whether their true labels are known.
        right_before: texts whose label the first model got right; 0 where it is not known.
        right_after: texts whose label the second model got right; 0 where it is not known.
        changed: texts that got another label.
        mean_difference: mean difference of a text's scores, each the largest of its classes.
        max_difference: the largest of these.
    """

    texts: int
    labelled: bool
    right_before: int
    right_after: int
    changed: int
    mean_difference: float
    max_difference: float

    @property
    def accuracy_before(self) -> float:
        """Percent of the texts that the first model got right."""
        return 100 * self.right_before / self.texts

    @property
    def accuracy_after(self) -> float:
        """Percent of the texts that the second model got right."""
        return 100 * self.right_after / self.texts

    @property
    def changed_percent(self) -> float:
        """Percent of the texts that got another label."""
        return 100 * self.changed / self.texts

    @property
    def loss(self) -> float:
        """Percentage points of accuracy lost, below 0 where some were won; an estimate where labels are not known.

        Without labels half of the changes count as losses. Labels change where two classes score nearly alike, and
        there about as many become right as wrong.
        """
        if self.labelled:
            return 100 * (self.right_before - self.right_after) / self.texts
        return self.changed_percent / 2


def compare_models(
    before: NDArray[np.float32], after: NDArray[np.float32], truth: Sequence[int] | None, temperature: float
) -> Comparison:
    """Compares what two models give for the same texts.

    Args:
        before: logits of the first model, `[text, class]`.
        after: logits of the second model, `[text, class]`.
        truth: the right class of each text; None: not known.
        temperature: what logits are divided by before softmax.
    """
    labels_before, labels_after = before.argmax(axis=1), after.argmax(axis=1)
    differences = np.array(score_differences(after, before, temperature))
    right = np.zeros(len(before)) - 1 if truth is None else np.array(truth)
    return Comparison(
        texts=len(before),
        labelled=truth is not None,
        right_before=int((labels_before == right).sum()),
        right_after=int((labels_after == right).sum()),
        changed=int((labels_before != labels_after).sum()),
        mean_difference=float(differences.mean()),
        max_difference=float(differences.max()),
    )
