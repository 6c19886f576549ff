"""docs/api.md tells every call, message, field and value, and its links lead somewhere."""

import re

import pytest
from descriptors import ROOT, write_descriptors
from google.protobuf import descriptor_pb2
from reference import cell, describe, paragraphs

NAMES = re.compile(r"\]\(#([^)]+)\)")


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory):
    file = tmp_path_factory.mktemp("reference") / "now.binpb"
    write_descriptors(file)
    return descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes())


@pytest.fixture(scope="module")
def text(descriptors):
    return describe(descriptors)


def test_all_links_have_their_place(text):
    places = re.findall(r'<a id="([^"]+)"></a>', text)
    assert len(places) == len(set(places))
    assert set(NAMES.findall(text)) <= set(places)


def test_tells_everything(descriptors, text):
    def names(messages, prefix):
        for message in messages:
            if not message.options.map_entry:
                yield f"{prefix}.{message.name}", [field.name for field in message.field]
                yield from names(message.nested_type, f"{prefix}.{message.name}")

    own = [file for file in descriptors.file if not file.package.startswith("google.")]
    assert {file.package for file in own} == {"sentinova.v1", "inference"}
    sections = dict(re.findall(r'<a id="([^"]+)"></a>\n\n#+ \S+\n\n((?:(?!<a id).*\n)*)', text))
    for file in own:
        for service in file.service:
            for method in service.method:
                assert sections[f"{file.package}.{service.name}.{method.name}"].count("→") == 1
        for name, fields in names(file.message_type, file.package):
            rows = re.findall(r"(?m)^\| (?:· )?`(\w+)` \| \d+ \| [^|]+ \| [^|]", sections[name])
            assert rows == fields, name
        for enum in file.enum_type:
            rows = re.findall(r"(?m)^\| `(\w+)` \| \d+ \| [^|]", sections[f"{file.package}.{enum.name}"])
            assert rows == [value.name for value in enum.value]


def test_says_how_a_field_is_held(text):
    assert "| `results` | 1 | list of [DocumentResult](#sentinova.v1.DocumentResult) |" in text
    assert "| `parameters` | 4 | map of string to [InferParameter](#inference.InferParameter) |" in text
    assert "| `max_error_rate` | 1 | optional double |" in text
    assert "| *one of* `outcome` | | | Either the sentiment or why there is none. |" in text
    assert "| · `error` | 3 | `google.rpc.Status` |" in text
    assert "stream [StreamAnalyzeSentimentRequest](#sentinova.v1.StreamAnalyzeSentimentRequest) → stream [" in text


def test_checked_in_reference_is_todays(text):
    assert (ROOT / "docs/api.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("comment", "told"),
    [
        ("One\ntwo.\n\nThree.", "One two.\n\nThree.\n"),
        ("Modes:\n\n  none   nothing\n  all    everything\n         and more\n\nEnd.",
         "Modes:\n\n```text\nnone   nothing\nall    everything\n       and more\n```\n\nEnd.\n"),
        ("Keys:\n- `a`: one\n  of many\n- `b`: two\nEnd.", "Keys:\n\n- `a`: one of many\n- `b`: two\n\nEnd.\n"),
        ("a <b> `<c>`", "a &lt;b> `<c>`\n"),
        ("", "\n"),
    ],
)  # fmt: skip
def test_comment_stands_by_itself(comment, told):
    assert paragraphs(comment) == told


@pytest.mark.parametrize(
    ("comment", "told"),
    [
        ("One\ntwo.\n\nThree.", "One two.<br>Three."),
        ("Keys:\n- `a`: one\n  of many\n- `b`: x | y", "Keys:<br>- `a`: one of many<br>- `b`: x \\| y"),
    ],
)
def test_comment_stands_in_a_table(comment, told):
    assert cell(comment) == told
