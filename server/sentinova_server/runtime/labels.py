"""The class names of a text classifier: one a line, in the order of the model's output."""

from __future__ import annotations

from pathlib import Path

from sentinova_server.errors import LoadError


def read_labels(file: Path) -> tuple[str, ...]:
    """Reads the class names.

    Raises:
        LoadError: the file is missing, not UTF-8, has fewer than two names, an empty line or the same name twice.
    """
    try:
        lines = file.read_text(encoding="utf-8").rstrip().splitlines()
    except FileNotFoundError as error:
        raise LoadError(file, "is missing: write one class name a line, in the order of the model's output") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(file, f"cannot be read as UTF-8 text: {error}") from error
    labels = tuple(line.strip() for line in lines)
    for number, label in enumerate(labels, 1):
        if not label:
            raise LoadError(file, f"line {number} is empty: every class needs a name")
        if label in labels[: number - 1]:
            raise LoadError(file, f"line {number}: {label!r} occurs twice")
    if len(labels) < 2:
        raise LoadError(file, "needs at least two class names")
    return labels
