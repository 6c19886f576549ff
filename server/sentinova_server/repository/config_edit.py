"""Changes to a `config.pbtxt` that leave the rest of its text as it is, comments too. Pure functions.

Knows protobuf's text format and the settings it changes; must not know files, nor why a setting is changed.

A setting that is there gets another value where it stands; one that is not is added at the end. The new text must parse
to what the old one says with these settings changed, and nothing else: otherwise it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from google.protobuf import text_format

from sentinova_server.repository import model_config_pb2
from sentinova_server.repository.config import ModelConfig, Precision

# The recipe writes a file with this line anew at each export, and leaves one without it alone.
RECIPE_MARKER = "# Written by `sentinova-train export`; once this line is gone, the recipe leaves the file alone."
_MARKER_LINE = re.compile(rf"^[ \t]*{re.escape(RECIPE_MARKER)}[ \t\r]*(\n|\Z)", re.MULTILINE)

_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|[-+.\w]+|[{}<>\[\]:,;]"""
)
_CLOSING = {"{": "}", "<": ">"}


class EditError(Exception):
    """A text that cannot be changed safely; says why."""


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """Settings to put into a config; None: left as it is.

    Attributes:
        instance_count: inferences that run in parallel.
        max_batch_tokens: most padded tokens in a batch.
        precisions: what versions compute in, by number.
        temperatures: what the logits of versions are divided by before softmax, by number.
    """

    instance_count: int | None = None
    max_batch_tokens: int | None = None
    precisions: tuple[tuple[int, Precision], ...] = ()
    temperatures: tuple[tuple[int, float], ...] = ()

    @property
    def parameters(self) -> Mapping[str, str]:
        """The settings that are parameters, by key."""
        found = {f"precision.{version}": precision.value for version, precision in self.precisions}
        found |= {f"temperature.{version}": repr(temperature) for version, temperature in self.temperatures}
        return found if self.max_batch_tokens is None else {**found, "max_batch_tokens": str(self.max_batch_tokens)}


def change_config(config: ModelConfig, change: ConfigChange) -> ModelConfig:
    """Gives what a changed text is read as."""
    return replace(
        config,
        instance_count=config.instance_count if change.instance_count is None else change.instance_count,
        max_batch_tokens=config.max_batch_tokens if change.max_batch_tokens is None else change.max_batch_tokens,
        precisions={**config.precisions, **dict(change.precisions)},
        temperatures={**config.temperatures, **dict(change.temperatures)},
    )


def format_change(change: ConfigChange) -> list[str]:
    """Gives the lines that make a change in a text that has none of its settings."""
    groups = (
        []
        if change.instance_count is None
        else [f"instance_group [{{ count: {change.instance_count} kind: KIND_CPU }}]"]
    )
    return groups + [_format_parameter(key, value) for key, value in change.parameters.items()]


def edit_config(text: str, change: ConfigChange) -> str:
    """Changes settings in the text of a `config.pbtxt`, and takes the recipe's marker out of it.

    Raises:
        EditError: the text is not understood, or its settings stand where they cannot be changed safely.
    """
    expected = _parse(text)
    _change_message(expected, change)
    text = _MARKER_LINE.sub("", text)
    if RECIPE_MARKER in text:
        raise EditError("the recipe's mark does not stand on a line of its own")
    edited = _append(text, *_plan_edits(text, change))
    if _parse(edited) != expected:
        raise EditError("the settings stand in it in a way that is not understood")
    return edited


def _parse(text: str) -> model_config_pb2.ModelConfig:
    message = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise EditError(f"it does not parse: {error}") from error
    return message


def _change_message(message: model_config_pb2.ModelConfig, change: ConfigChange) -> None:
    if change.instance_count is not None:
        if len(message.instance_group) > 1:
            raise EditError("it has more than one instance_group")
        if not message.instance_group:
            message.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
        message.instance_group[0].count = change.instance_count
    for key, value in change.parameters.items():
        message.parameters[key].string_value = value


def _format_parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


@dataclass(frozen=True, slots=True)
class _Value:
    """A value in the text: from `start` to before `end`; `fields` are those of a message."""

    start: int
    end: int
    fields: tuple[_Field, ...] = ()

    def find(self, name: str) -> list[_Value]:
        """Gives the values of a field, in the order of the text."""
        return [value for field in self.fields if field.name == name for value in field.values]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    values: tuple[_Value, ...]


# A place in the text, from and to, and what goes there.
_Edit = tuple[int, int, str]


def _plan_edits(text: str, change: ConfigChange) -> tuple[list[_Edit], list[str]]:
    """Gives the places to change, and the lines to add for settings that the text does not have."""
    try:
        whole = _Value(0, len(text), _Reader(text).read_fields(""))
    except IndexError:
        raise EditError("it ends where that was not expected") from None
    edits: list[_Edit] = []
    absent = change
    groups = whole.find("instance_group")
    if change.instance_count is not None and groups:
        edits.append(_plan_count(text, groups[-1], change.instance_count))
        absent = replace(absent, instance_count=None)
    lines = format_change(absent)
    for key, value in change.parameters.items():
        entries = [entry for entry in whole.find("parameters") if _texts_of(text, entry.find("key")) == [key]]
        if entries:
            # Of entries with one key the last counts.
            places = [place for content in entries[-1].find("value") for place in content.find("string_value")]
            if not places:
                raise EditError(f"its parameter {key} has no string_value")
            edits.append((places[-1].start, places[-1].end, f'"{value}"'))
            lines.remove(_format_parameter(key, value))
    return edits, lines


def _plan_count(text: str, group: _Value, count: int) -> _Edit:
    if counts := group.find("count"):
        return counts[-1].start, counts[-1].end, str(count)
    inside = group.start + 1
    return inside, inside, f" count: {count}" + ("" if text[inside].isspace() else " ")


def _texts_of(text: str, values: Sequence[_Value]) -> list[str]:
    """Gives what stands in quotes; a key that is written otherwise, as with escapes, is none of ours."""
    return [text[value.start + 1 : value.end - 1] for value in values]


def _append(text: str, edits: Sequence[_Edit], lines: Sequence[str]) -> str:
    for start, end, content in sorted(edits, reverse=True):
        text = text[:start] + content + text[end:]
    line_end = "\r\n" if "\r\n" in text else "\n"
    if lines and text and not text.endswith("\n"):
        text += line_end
    return text + "".join(f"{line}{line_end}" for line in lines)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    is_string: bool = False


class _Reader:
    """Reads text that `text_format` takes: https://protobuf.dev/reference/protobuf/textformat-spec/.

    `read_fields` raises IndexError where the text ends too early.
    """

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokenize(text), _Token("", len(text), len(text))]
        self._next = 0

    def read_fields(self, closing: str) -> tuple[_Field, ...]:
        """Reads fields up to a closing mark, and that too; empty: up to the end."""
        fields = []
        while (token := self._take()).text != closing:
            if token.text not in (",", ";"):
                fields.append(_Field(token.text, self._read_values()))
        return tuple(fields)

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _take_if(self, mark: str) -> bool:
        found = self._tokens[self._next].text == mark
        self._next += found
        return found

    def _read_values(self) -> tuple[_Value, ...]:
        self._take_if(":")
        if not self._take_if("["):
            return (self._read_value(),)
        values = []
        while not self._take_if("]"):
            if not self._take_if(","):
                values.append(self._read_value())
        return tuple(values)

    def _read_value(self) -> _Value:
        token = self._take()
        if token.text in _CLOSING:
            fields = self.read_fields(_CLOSING[token.text])
            return _Value(token.start, self._tokens[self._next - 1].end, fields)
        end = token.end
        # Strings that follow each other are one.
        while token.is_string and self._tokens[self._next].is_string:
            end = self._take().end
        return _Value(token.start, end)


def _tokenize(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise EditError(f"it has {text[position]!r} where that was not expected")
        position = found.end()
        if found["blank"] is None:
            yield _Token(found[0], found.start(), position, is_string=found["string"] is not None)
