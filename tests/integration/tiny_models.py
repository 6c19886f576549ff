"""A repository of tiny models that tests change under a server that runs: whole versions at once, or file by file.

Knows folders and files of versions; must not know servers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

# Bytes of the table of weights at the start of a tiny model's `model.bin`: ten words of two float32; `film` is the last.
_TABLE_BYTES = 80
_FILM = slice(72, 80)
# Rows of a table of 256 MiB.
_LARGE_ROWS = 1 << 25
MODEL_FILES = ("model.xml", "model.bin", "vocab.txt", "tokenizer_config.json", "labels.txt", "golden.json")
ALL_VERSIONS = "version_policy { all {} }\n"

Build = Callable[..., Path]


def parameter(key: str, text: str) -> str:
    """Gives the line of a config.pbtxt that sets a parameter."""
    return f'parameters {{ key: "{key}" value {{ string_value: "{text}" }} }}\n'


class Shelf:
    """Versions of each kind, each built once, and copied from there.

    `good` answers as the words mean; `inverted` always the contrary, and its golden values say so; `wrong` has golden
    values that it does not give; `failing` gives no numbers for a text with `film`.
    """

    def __init__(self, root: Path, build: Build) -> None:
        """Makes it in a folder of its own.

        Args:
            root: the folder.
            build: writes a good version.
        """
        self._root = root
        self._build = build

    def folder(self, kind: str) -> Path:
        """Gives the folder of a kind; nobody may change it."""
        folder = self._root / kind
        if not folder.exists():
            self._build(folder, scale=-1.0 if kind == "inverted" else 1.0)
            if kind == "inverted":
                _change_golden(folder, lambda cases: [_shift(case, -1.0, 0.0) for case in cases])
            elif kind == "wrong":
                _change_golden(folder, lambda cases: [_shift(case, 1.0, 0.5) for case in cases])
            elif kind == "failing":
                weights = bytearray((folder / "model.bin").read_bytes())
                weights[_FILM] = np.full(2, np.nan, np.float32).tobytes()
                (folder / "model.bin").write_bytes(weights)
                _change_golden(folder, lambda cases: [case for case in cases if "film" not in case["text"]])
        return folder


class TinyModels:
    """The repository that a server serves."""

    def __init__(self, root: Path, shelf: Shelf) -> None:
        """Makes it, empty.

        Args:
            root: its folder; a folder beside it takes what is not ready to be seen.
            shelf: where versions come from.
        """
        self.root = root
        self._shelf = shelf
        self._aside = root.with_name(f"{root.name}-aside")
        self._aside.mkdir(parents=True)
        self._made = 0
        self._stock: dict[str, list[Path]] = {}
        root.mkdir(parents=True)

    def prepare(self, kind: str, count: int) -> None:
        """Makes versions before they are needed: what is old when it is moved into place need not settle."""
        self._stock.setdefault(kind, []).extend(self.aside(kind) for _ in range(count))

    def aside(self, kind: str = "good") -> Path:
        """Makes a version out of sight."""
        return shutil.copytree(self._shelf.folder(kind), self._spare())

    def add(self, model: str, *versions: int, kind: str = "good", config: str = "") -> Path:
        """Adds versions to a model, each at once; a model that is new appears at once too. Gives its folder."""
        folder = self.root / model
        made = folder if folder.exists() else self._spare()
        made.mkdir(exist_ok=True)
        for version in versions:
            stock = self._stock.get(kind)
            (stock.pop() if stock else self.aside(kind)).rename(made / str(version))
        if config:
            self._write(made / "config.pbtxt", config)
        if made != folder:
            made.rename(folder)
        return folder

    def add_mixed(self, model: str, kinds: Mapping[int, str], config: str = "") -> Path:
        """Adds a model with versions of different kinds, all at once."""
        made = self._spare()
        made.mkdir()
        for version, kind in kinds.items():
            shutil.copytree(self._shelf.folder(kind), made / str(version))
        if config:
            (made / "config.pbtxt").write_text(config)
        return made.rename(self.root / model)

    def add_large(self, model: str) -> None:
        """Adds a model whose weights take up 256 MiB in memory, and next to nothing on disk."""
        folder = self.add(model, 1) / "1"
        graph = (folder / "model.xml").read_text()
        size = _LARGE_ROWS * 8
        for old, new in (
            (f'shape="10, 2" offset="0" size="{_TABLE_BYTES}"', f'shape="{_LARGE_ROWS}, 2" offset="0" size="{size}"'),
            (f'shape="" offset="{_TABLE_BYTES}"', f'shape="" offset="{size}"'),
            (f'shape="" offset="{_TABLE_BYTES + 8}"', f'shape="" offset="{size + 8}"'),
            ("<dim>10</dim>", f"<dim>{_LARGE_ROWS}</dim>"),
        ):
            assert old in graph
            graph = graph.replace(old, new)
        (folder / "model.xml").write_text(graph)
        with (folder / "model.bin").open("r+b") as weights:
            weights.seek(_TABLE_BYTES)
            numbers = weights.read()
            weights.seek(size)  # a hole in the file, read as zeros
            weights.write(numbers)

    def configure(self, model: str, text: str) -> None:
        """Writes a model's config.pbtxt, or writes it anew, at once."""
        self._write(self.root / model / "config.pbtxt", text)

    def refill(self, model: str, version: int, kind: str) -> None:
        """Replaces the files of a version by those of another kind, one after the other, each at once."""
        folder = self.root / model / str(version)
        for name in MODEL_FILES:
            self._write(folder / name, (self._shelf.folder(kind) / name).read_bytes())

    def take_away(self, model: str, version: int | None = None) -> Path:
        """Moves a version, or a whole model, out of sight; gives where it is."""
        folder = self.root / model
        return (folder if version is None else folder / str(version)).rename(self._spare())

    def _spare(self) -> Path:
        self._made += 1
        return self._aside / str(self._made)

    def _write(self, file: Path, content: str | bytes) -> None:
        new = self._spare()
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.replace(file)


def _change_golden(folder: Path, change: Callable[[list[dict]], Iterable[dict]]) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["cases"] = list(change(golden["cases"]))
    (folder / "golden.json").write_text(json.dumps(golden))


def _shift(case: dict, scale: float, error: float) -> dict:
    return {**case, "logits": [scale * logit + error for logit in case["logits"]]}
