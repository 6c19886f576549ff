"""Where the plugins of protoc for other languages than Python come from; `make plugins` gets those that can be had.

Knows names, pinned versions and package managers; must not know what the plugins write.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from descriptors import ROOT

PLACE = ROOT / "build/protoc"
NODE_CLIENT = ROOT / "client/node"

GO_PROTOBUF, GO_GRPC = "v1.36.11", "v1.6.1"
# Those of client/java.
JAVA_PROTOBUF, JAVA_GRPC = "3.25.9", "1.83.1"
RUST = "0.5.0"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that writes stubs.

    Attributes:
        name: its file name.
        origin: what it comes in, for people.
        folder: where `command` puts it, and no other version: no other is used, so that all write the same stubs.
        command: what installs it; empty: nothing, the one on PATH is used.
        environment: what the command needs in its environment.
        artifact: the file that the command leaves in `folder`, where it has another name than `name`.
    """

    name: str
    origin: str
    folder: Path = PLACE
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    artifact: str = ""

    def find(self) -> str | None:
        """Gives the file; None where it is not there."""
        return shutil.which(self.name, path=str(self.folder) if self.command else None)

    def advice(self) -> str:
        """Says how to get it."""
        if not self.command:
            return f"install {self.origin}"
        tool = self.command[0]
        return f"`make plugins` gets it from {self.origin}" + ("" if shutil.which(tool) else f", once {tool} is there")

    def install(self) -> bool:
        """Installs it where its package manager is there. Returns whether it is there then."""
        if not self.command or not shutil.which(self.command[0]):
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(self.command, env={**os.environ, **dict(self.environment)}, check=False)  # noqa: S603
        if self.artifact and done.returncode == 0:
            file = Path(self.folder, self.artifact).rename(self.folder / self.name)
            file.chmod(0o755)
        return self.find() is not None


def _go(name: str, module: str, version: str) -> Plugin:
    folder = PLACE / f"{name}-{version}"
    command = ("go", "install", f"{module}/cmd/{name}@{version}")
    return Plugin(name, f"the Go module {module}@{version}", folder, command, (("GOBIN", str(folder)),))


def _maven(name: str, group: str, artifact: str, version: str) -> Plugin:
    folder = PLACE / f"{name}-{version}"
    platform = f"{sys.platform}-{os.uname().machine.replace('aarch64', 'aarch_64')}"
    command = (
        "mvn",
        "--quiet",
        "--batch-mode",
        "dependency:copy",
        f"-Dartifact={group}:{artifact}:{version}:exe:{platform}",
        f"-DoutputDirectory={folder}",
    )
    origin = f"Maven's {group}:{artifact}:{version}"
    return Plugin(name, origin, folder, command, artifact=f"{artifact}-{version}-{platform}.exe")


def _cargo(name: str) -> Plugin:
    folder = PLACE / f"{name}-{RUST}"
    command = ("cargo", "install", "--quiet", "--locked", "--root", str(folder), "--version", RUST, name)
    return Plugin(name, f"the crate {name} {RUST}", folder / "bin", command)


PROTOC = Plugin("protoc", "protoc (Debian: protobuf-compiler)")
GRPC = "Debian's protobuf-compiler-grpc"

# By language: the folder below build/protos, and the end of the name of its buf.gen.*.yaml.
LANGUAGES: dict[str, tuple[Plugin, ...]] = {
    "cpp": (PROTOC, Plugin("grpc_cpp_plugin", GRPC)),
    "csharp": (PROTOC,),
    "csharp-grpc": (Plugin("grpc_csharp_plugin", "grpc_csharp_plugin (in NuGet's Grpc.Tools)"),),
    "go": (
        _go("protoc-gen-go", "google.golang.org/protobuf", GO_PROTOBUF),
        _go("protoc-gen-go-grpc", "google.golang.org/grpc", GO_GRPC),
    ),
    "java": (
        _maven("protoc", "com.google.protobuf", "protoc", JAVA_PROTOBUF),
        _maven("protoc-gen-grpc-java", "io.grpc", "protoc-gen-grpc-java", JAVA_GRPC),
    ),
    "ruby": (PROTOC, Plugin("grpc_ruby_plugin", GRPC)),
    "rust": (_cargo("protoc-gen-prost"), _cargo("protoc-gen-tonic")),
    "typescript": (
        Plugin(
            "protoc-gen-ts_proto",
            "the packages of client/node",
            NODE_CLIENT / "node_modules/.bin",
            ("npm", "ci", "--no-audit", "--no-fund", "--prefix", str(NODE_CLIENT)),
        ),
    ),
}


def missing(language: str) -> list[Plugin]:
    """Lists the plugins of a language that are not there."""
    return [plugin for plugin in LANGUAGES[language] if not plugin.find()]


def search_path(language: str) -> str:
    """Gives the PATH that a language's plugins are found on."""
    folders = dict.fromkeys(str(plugin.folder) for plugin in LANGUAGES[language])
    return os.pathsep.join([*folders, os.environ.get("PATH", "")])


def _absent() -> Iterator[Plugin]:
    return (plugin for language in LANGUAGES for plugin in missing(language))


def main() -> None:
    """Installs what is missing and can be had; tells the rest. Exits with 1 where an installation failed."""
    failed = 0
    for plugin in _absent():
        if plugin.install():
            print(f"{plugin.name}: installed from {plugin.origin}")
            continue
        failed += bool(plugin.command and shutil.which(plugin.command[0]))
        print(f"{plugin.name}: not installed: {plugin.advice()}")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
