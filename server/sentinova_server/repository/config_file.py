"""A model's `config.pbtxt` on disk, changed all at once or not at all.

Knows the file; must not know which settings change, nor why.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig, parse_config
from sentinova_server.repository.config_edit import RECIPE_MARKER, ConfigChange, EditError, change_config, edit_config


def write_change(file: Path, known: ModelConfig, change: ConfigChange) -> bool:
    """Changes a model's config, and takes the recipe's marker out of it, where that can be done safely.

    Args:
        file: its `config.pbtxt`, which may not be there.
        known: what it said when it was read.
        change: what is to be different.

    Returns:
        Whether the recipe's marker was in it.

    Raises:
        EditError: it cannot; nothing was changed.
    """
    if file.is_symlink():
        raise EditError("it is a symbolic link, and where it leads may not be this model's alone")
    try:
        before = file.read_bytes().decode() if file.exists() else ""
        after = edit_config(before, change)
        if parse_config(before, file) != known:
            raise EditError("it was changed since it was read")
        if parse_config(after, file) != change_config(known, change):
            raise EditError("it would be read otherwise than meant")
        _replace(file, after)
    except (LoadError, UnicodeDecodeError) as error:
        raise EditError(str(error)) from error
    except OSError as error:
        raise EditError(f"it cannot be written: {error.strerror}") from error
    return RECIPE_MARKER in before


def _replace(file: Path, text: str) -> None:
    """Writes a file beside the old one and puts it in its place, so that no reader sees half of it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(text.encode())
        if file.exists():
            shutil.copymode(file, draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
