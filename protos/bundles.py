"""Stubs for other languages: a folder each below build/protos, written by buf with local plugins.

Knows buf, its templates, and which clients of this repository keep a copy; must not know where plugins come from.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from descriptors import ROOT, find_protos, run_protoc, write_descriptors
from plugins import LANGUAGES, missing, search_path

FOLDER = Path("build/protos")
DESCRIPTORS = FOLDER / "sentinova.binpb"

# Where a client keeps its stubs, and which folders of its language's bundle these are.
CLIENTS = {
    "go": (Path("client/go"), ("sentinova",)),
    "typescript": (Path("client/node/src/gen"), ("sentinova", "google")),
}


def write_bundles(root: Path = ROOT) -> list[str]:
    """Writes the FileDescriptorSet, and the bundles of all languages whose plugins are there.

    Args:
        root: a folder laid out as the repository, to write below.

    Returns:
        Those languages. Why others were not built is printed.

    Raises:
        SystemExit: a plugin failed; it has told why.
    """
    for language in ["python", *LANGUAGES]:
        shutil.rmtree(root / FOLDER / language, ignore_errors=True)
    write_descriptors(root / DESCRIPTORS)
    _write_python(root)
    return ["python", *(one for one in LANGUAGES if write_bundle(one, root, f"{FOLDER}/{one}: not built"))]


def write_bundle(language: str, root: Path, otherwise: str) -> bool:
    """Writes one bundle from the FileDescriptorSet below `root`, where its plugins are there.

    Args:
        language: which bundle.
        root: a folder laid out as the repository.
        otherwise: what to print before the name of each plugin that is not there.

    Returns:
        Whether it was written.

    Raises:
        SystemExit: a plugin failed; it has told why.
    """
    for plugin in (absent := missing(language)):
        print(f"{otherwise}: no {plugin.name}: {plugin.advice()}")
    if absent:
        return False
    done = subprocess.run(  # noqa: S603
        [Path(sys.executable).with_name("buf"), "generate", "--template", ROOT / f"protos/buf.gen.{language}.yaml"],
        cwd=root,
        env={**os.environ, "PATH": search_path(language)},
        check=False,
    )
    if done.returncode:
        sys.exit(f"protos/buf.gen.{language}.yaml: buf generate failed")
    return True


def _write_python(root: Path) -> None:
    folder = root / FOLDER / "python"
    folder.mkdir(parents=True)
    outputs = [f"--{plugin}_out={folder}" for plugin in ("python", "pyi", "grpc_python")]
    run_protoc([f"--descriptor_set_in={root / DESCRIPTORS}", *outputs, *find_protos()])


def copy_to_clients(root: Path, languages: list[str]) -> list[Path]:
    """Copies what clients keep of these languages' bundles to below `root`. Returns the files, relative to it."""
    copied = []
    for language in languages:
        client, folders = CLIENTS.get(language, (Path(), ()))
        for folder in folders:
            bundle = root / FOLDER / language
            for file in sorted(file for file in Path(bundle, folder).rglob("*") if file.is_file()):
                target = client / file.relative_to(bundle)
                Path(root, target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, root / target)
                copied.append(target)
    return copied
