"""The API reference, docs/api.md: the comments of the protos as Markdown.

Knows how protos are commented and how Markdown is written; must not know what the API does.

A comment is a paragraph; an empty line begins another one. Lines that begin with "- " are a list. Lines that are
indented by two stand as they are, as a table does. Words between backticks are code.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto
Enum = descriptor_pb2.EnumDescriptorProto
File = descriptor_pb2.FileDescriptorProto

HEAD = """\
# API reference

<!-- Written from the comments of protos/ by `make protos`: change those. -->

Every call and message of the server's gRPC API. The files are in `protos/`, and as one FileDescriptorSet, for any tool
that takes one, in `build/protos/sentinova.binpb` after `make protos`. The server tells them too, by gRPC reflection.

Fields that are not set have protobuf's defaults: 0, false, an empty string or list. Fields marked `optional` and those
of a message type can be told from unset ones.
"""

# Field numbers of FileDescriptorProto, DescriptorProto, …: the steps of a place in SourceCodeInfo.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE, _FILE_SYNTAX = 4, 5, 6, 12
_MESSAGE_FIELD, _MESSAGE_MESSAGE, _MESSAGE_ENUM, _MESSAGE_ONEOF = 2, 3, 4, 8
_ENUM_VALUE, _SERVICE_METHOD = 2, 2

Place = tuple[int, ...]


class Source:
    """The comments of one file, by place."""

    def __init__(self, file: File) -> None:
        self._locations = {tuple(one.path): one for one in file.source_code_info.location}

    def comment(self, *place: int) -> str:
        """Gives the comment right above a place; empty where there is none."""
        found = self._locations.get(place)
        return _unindent(found.leading_comments) if found else ""

    def introduction(self) -> str:
        """Gives what stands at the top of the file."""
        found = self._locations.get((_FILE_SYNTAX,))
        return "\n".join(map(_unindent, found.leading_detached_comments)) if found else ""

    def line(self, place: Place) -> int:
        """Gives the line that a place begins at."""
        return int(self._locations[place].span[0])


def _unindent(comment: str) -> str:
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.splitlines())


def write_reference(descriptors: Path, file: Path) -> None:
    """Writes the reference of a FileDescriptorSet with comments."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(describe(descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())), encoding="utf-8")


def describe(descriptors: descriptor_pb2.FileDescriptorSet) -> str:
    """Gives the reference as Markdown; files of Google's packages are left out."""
    files = [file for file in descriptors.file if not file.package.startswith("google.")]
    # What most programs use comes first: the newest package, its services by name.
    files.sort(key=lambda file: (file.package != "sentinova.v1", not file.service, file.name != _MAIN, file.name))
    known = {f".{name}" for file in files for _, name, _ in _walk(file)}
    parts = [HEAD, *_contents(files)]
    for file in files:
        parts += _describe_file(file, known)
    return "\n".join(parts)


_MAIN = "sentinova/v1/sentiment_service.proto"


def _walk(file: File) -> Iterator[tuple[Message | Enum, str, Place]]:
    """Gives all messages and enums with full names and places, in the order of the file; without entries of maps."""
    source = Source(file)

    def inside(
        messages: Iterable[Message], enums: Iterable[Enum], name: str, place: Place, steps: tuple[int, int]
    ) -> Iterator[tuple[Message | Enum, str, Place]]:
        found: list[tuple[Message | Enum, Place]] = [
            *((one, (*place, steps[0], index)) for index, one in enumerate(messages) if not one.options.map_entry),
            *((one, (*place, steps[1], index)) for index, one in enumerate(enums)),
        ]
        for one, where in sorted(found, key=lambda pair: source.line(pair[1])):
            full = f"{name}.{one.name}"
            yield one, full, where
            if isinstance(one, Message):
                yield from inside(one.nested_type, one.enum_type, full, where, (_MESSAGE_MESSAGE, _MESSAGE_ENUM))

    yield from inside(file.message_type, file.enum_type, file.package, (), (_FILE_MESSAGE, _FILE_ENUM))


def _contents(files: Iterable[File]) -> Iterator[str]:
    for file in files:
        services = [f"[{one.name}](#{file.package}.{one.name})" for one in file.service]
        title = ", ".join(services) or f"[messages](#{file.name})"
        yield f"- `{file.name}`: {title}"
        for service in file.service:
            methods = (f"[{one.name}](#{file.package}.{service.name}.{one.name})" for one in service.method)
            yield f"  - {', '.join(methods)}"
    yield ""


def _describe_file(file: File, known: set[str]) -> Iterator[str]:
    source = Source(file)
    yield f'<a id="{file.name}"></a>\n\n## {file.name}\n\nPackage `{file.package}`.\n'
    yield paragraphs(source.introduction())
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield f'<a id="{name}"></a>\n\n### {service.name}\n'
        yield paragraphs(source.comment(_FILE_SERVICE, index))
        for number, method in enumerate(service.method):
            sent = "stream " * method.client_streaming + _link(method.input_type, file.package, known)
            answered = "stream " * method.server_streaming + _link(method.output_type, file.package, known)
            yield f'<a id="{name}.{method.name}"></a>\n\n#### {method.name}\n\n{sent} → {answered}\n'
            yield paragraphs(source.comment(_FILE_SERVICE, index, _SERVICE_METHOD, number))
    for one, name, place in _walk(file):
        yield f'<a id="{name}"></a>\n\n### {name.removeprefix(file.package + ".")}\n'
        yield paragraphs(source.comment(*place))
        if isinstance(one, Enum):
            yield from _describe_values(one, source, place)
        elif one.field:
            yield from _describe_fields(one, file.package, source, place, known)


def _describe_values(enum: Enum, source: Source, place: Place) -> Iterator[str]:
    yield "| Value | No. | Meaning |\n| --- | --- | --- |"
    for index, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {cell(source.comment(*place, _ENUM_VALUE, index))} |"
    yield ""


def _describe_fields(message: Message, package: str, source: Source, place: Place, known: set[str]) -> Iterator[str]:
    entries = {one.name: one for one in message.nested_type if one.options.map_entry}
    yield "| Field | No. | Type | Meaning |\n| --- | --- | --- | --- |"
    told: set[int] = set()
    for index, field in enumerate(message.field):
        one_of = field.HasField("oneof_index") and not field.proto3_optional
        if one_of and field.oneof_index not in told:
            told.add(field.oneof_index)
            meaning = cell(source.comment(*place, _MESSAGE_ONEOF, field.oneof_index))
            yield f"| *one of* `{message.oneof_decl[field.oneof_index].name}` | | | {meaning} |"
        mark = "· " * one_of
        meaning = cell(source.comment(*place, _MESSAGE_FIELD, index))
        yield f"| {mark}`{field.name}` | {field.number} | {_type(field, entries, package, known)} | {meaning} |"
    yield ""


def _type(field: Field, entries: dict[str, Message], package: str, known: set[str]) -> str:
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry and field.type_name.startswith(f".{package}."):
        key, value = (_type(one, {}, package, known) for one in entry.field)
        return f"map of {key} to {value}"
    name = _link(field.type_name, package, known) if field.type_name else Field.Type.Name(field.type)[5:].lower()
    repeated = field.label == Field.LABEL_REPEATED
    return "list of " * repeated + "optional " * field.proto3_optional + name


def _link(full: str, package: str, known: set[str]) -> str:
    name = full.removeprefix(f".{package}.").removeprefix(".")
    return f"[{name}](#{full[1:]})" if full in known else f"`{name}`"


def paragraphs(comment: str) -> str:
    """Gives a comment as Markdown that stands by itself."""
    blocks = []
    for kind, lines in _blocks(comment):
        if kind == "table":
            blocks.append("```text\n" + "\n".join(line[2:] for line in lines) + "\n```")
        else:
            blocks.append(_escape(" ".join(lines)))
    text = "\n\n".join(blocks)
    return re.sub(r"(?m)^(- .*)\n\n(?=- )", r"\1\n", text) + "\n"


def cell(comment: str) -> str:
    """Gives a comment as Markdown that stands in a table."""
    blocks = (_escape(" ".join(line.strip() for line in lines)) for _, lines in _blocks(comment))
    return "<br>".join(blocks).replace("|", "\\|")


def _blocks(comment: str) -> Iterator[tuple[str, list[str]]]:
    """Splits a comment into paragraphs, items of lists (their first line begins with "- ") and tables."""
    kind, lines = "text", []
    for line in comment.splitlines():
        if line.startswith("- "):
            new = "item"
        elif kind == "item" and line.startswith("  "):
            new, line = kind, line.strip()  # noqa: PLW2901
        elif line.startswith("  "):
            new = "table"
        else:
            new = "text"
        if lines and (not line or new != kind or line.startswith("- ")):
            yield kind, lines
            lines = []
        kind = new
        if line:
            lines.append(line)
    if lines:
        yield kind, lines


def _escape(text: str) -> str:
    """Keeps `<` outside of code from being read as HTML."""
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in re.split(r"(`[^`]*`)", text))
