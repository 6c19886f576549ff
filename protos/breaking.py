"""Says whether the API still serves programs built on an earlier one; `make check` runs it.

The earlier one is that of the newest tag in git; where there is no tag, the one in `baseline.binpb`. buf compares: a
field may be added, but none taken away, renamed, renumbered or given another type.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from descriptors import PACKAGES, PROTOS, ROOT, write_descriptors

BASELINE = PROTOS / "baseline.binpb"


def find_tag(root: Path) -> str:
    """Gives the newest tag before the checked-out commit; empty where there is none, or no git."""
    if not shutil.which("git"):
        return ""
    done = _run_git(root, "describe", "--tags", "--abbrev=0")
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def write_tagged(root: Path, tag: str, file: Path) -> None:
    """Writes the FileDescriptorSet of the protos as they were at a tag.

    Raises:
        SystemExit: git cannot give the files, or protoc cannot read them.
    """
    archive = _run_git(root, "archive", tag, "protos")
    if archive.returncode:
        sys.exit(archive.stderr.decode())
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(scratch, filter="data")
        write_descriptors(file, Path(scratch, "protos"), comments=False)


def compare(descriptors: Path, earlier: Path) -> int:
    """Has buf compare two FileDescriptorSets; it prints what breaks. Returns its exit status: 0 where nothing does."""
    buf = Path(sys.executable).with_name("buf")
    paths = [argument for package in PACKAGES for argument in ("--path", package)]
    return subprocess.run(  # noqa: S603
        [buf, "breaking", descriptors, "--against", earlier, "--config", PROTOS / "buf.yaml", *paths], check=False
    ).returncode


def _run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=False)  # noqa: S603, S607


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("descriptors", type=Path, nargs="?", help="FileDescriptorSet of the API as it is now")
    parser.add_argument("--root", type=Path, default=ROOT, help="the git checkout whose tags count")
    parser.add_argument("--write-baseline", action="store_true", help="have the API as it is now be the baseline")
    arguments = parser.parse_args()
    if arguments.write_baseline:
        write_descriptors(BASELINE, comments=False)
        return
    with tempfile.TemporaryDirectory() as scratch:
        now, earlier = arguments.descriptors, BASELINE
        if now is None:
            now = Path(scratch, "now.binpb")
            write_descriptors(now)
        if tag := find_tag(arguments.root):
            earlier = Path(scratch, "tagged.binpb")
            write_tagged(arguments.root, tag, earlier)
        code = compare(now, earlier)
    against = f"the tag {tag}" if tag else "protos/baseline.binpb"
    print(f"protos: {'breaking changes' if code else 'no breaking change'} since {against}")
    sys.exit(code)


if __name__ == "__main__":
    main()
