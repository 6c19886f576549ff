"""A changed config.pbtxt says what it said, but for the settings that were to change."""

import re

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.repository import model_config_pb2
from sentinova_server.repository.config import ModelConfig, Precision, parse_config, read_config
from sentinova_server.repository.config_edit import (
    RECIPE_MARKER,
    ConfigChange,
    EditError,
    change_config,
    edit_config,
    format_change,
)
from sentinova_server.repository.config_file import write_change
from sentinova_training.repository import MARKER, config_text, update_config

ALL = ConfigChange(instance_count=3, max_batch_tokens=1024, precisions=((2, Precision.BF16),))
LINES = [
    "instance_group [{ count: 3 kind: KIND_CPU }]",
    'parameters { key: "precision.2" value { string_value: "bf16" } }',
    'parameters { key: "max_batch_tokens" value { string_value: "1024" } }',
]


def parse(text):
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def comments(text):
    return re.findall(r"#[^\r\n]*", text)


def test_the_recipes_marker_is_the_recipes():
    assert RECIPE_MARKER == MARKER


def test_what_is_absent_is_added_at_the_end():
    text = '# mine\nname: "m"  # not yours\nversion_policy { all {} }'
    assert edit_config(text, ALL) == text + "\n" + "".join(f"{line}\n" for line in LINES)
    assert edit_config("", ALL).splitlines() == LINES == format_change(ALL)


def test_what_is_there_is_changed_where_it_stands():
    text = """
instance_group [
  # one for each socket
  { count: 1 kind: KIND_CPU name: "cpu" }
]
parameters { key: "max_batch_tokens" value { string_value: "512" } }  # as measured
parameters: [{ key: 'precision.2', value: < string_value: 'f' "32" > }, { key: "precision" value { string_value: "auto" } }];
"""
    assert (
        edit_config(text, ALL)
        == """
instance_group [
  # one for each socket
  { count: 3 kind: KIND_CPU name: "cpu" }
]
parameters { key: "max_batch_tokens" value { string_value: "1024" } }  # as measured
parameters: [{ key: 'precision.2', value: < string_value: "bf16" > }, { key: "precision" value { string_value: "auto" } }];
"""
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("instance_group {}", "instance_group { count: 3 }"),
        ("instance_group [{kind: KIND_CPU}]", "instance_group [{ count: 3 kind: KIND_CPU}]"),
        ("instance_group: < kind: KIND_CPU >", "instance_group: < count: 3 kind: KIND_CPU >"),
        ("instance_group { count: 0x2, }", "instance_group { count: 3, }"),
        ("instance_group { # count: 1\n}", "instance_group { count: 3 # count: 1\n}"),
    ],
)
def test_a_group_keeps_its_form(before, after):
    assert edit_config(before, ConfigChange(instance_count=3)) == after


def test_of_one_key_twice_the_last_counts():
    first, last = (format_change(ConfigChange(max_batch_tokens=tokens))[0] + "\n" for tokens in (64, 128))
    edited = edit_config(first + last, ConfigChange(max_batch_tokens=256))
    assert edited == first + last.replace("128", "256")


def test_a_key_in_other_letters_gives_way_to_the_line_that_is_added():
    text = 'parameters { key: "precision\\x2e2" value { string_value: "f32" } }\n'
    assert edit_config(text, ConfigChange(precisions=((2, Precision.BF16),))) == f"{text}{LINES[1]}\n"


def test_what_looks_like_a_setting_and_is_none_stays():
    text = '# instance_group { count: 9 }\nplatform: "instance_group { count: 9 } # \\" max_batch_tokens"\n'
    assert edit_config(text, ALL).startswith(text)


def test_line_ends_stay():
    assert edit_config('name: "m"\r\n', ConfigChange(instance_count=3)) == f'name: "m"\r\n{LINES[0]}\r\n'


@pytest.mark.parametrize("line", [RECIPE_MARKER, f"  {RECIPE_MARKER} \t"])
def test_the_recipes_marker_goes(line):
    assert edit_config(f'{line}\nname: "m"\n# mine\n', ConfigChange()) == 'name: "m"\n# mine\n'
    assert edit_config(f'name: "m"\r\n{line}\r\n', ConfigChange()) == 'name: "m"\r\n'
    assert edit_config(f'name: "m"\n{line}', ConfigChange()) == 'name: "m"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("instance_group [{ count: 1 }, { count: 2 }]", "more than one instance_group"),
        ("nmae: 'm'", "does not parse"),
        ('parameters { key: "max_batch_tokens" value {} }', "has no string_value"),
        (f'name: "m" {RECIPE_MARKER}', "does not stand on a line of its own"),
    ],
)
def test_what_is_not_understood_is_refused(text, told):
    with pytest.raises(EditError, match=told):
        edit_config(text, ALL)


BLANKS = st.sampled_from([" ", "\n", "  # { note: 1 ]\n", "\r\n", '\n# "\n', "\t"])
QUOTES = st.sampled_from("\"'")
KEYS = ["max_length", "max_batch_tokens", "temperature", "temperature.2", "precision", "precision.1", "precision.2"]
VALUES = {"max": ["16", "64", "2048"], "temperature": ["0.5", "1e1"], "precision": ["auto", "f32", "bf16"]}


@st.composite
def messages(draw, content):
    opening, closing = draw(st.sampled_from(["{}", "<>"]))
    blanks = [draw(BLANKS) for _ in range(3)]
    return f"{draw(st.sampled_from([':', '']))}{blanks[0]}{opening}{blanks[1]}{content}{blanks[2]}{closing}"


@st.composite
def parameters(draw, key):
    text = draw(st.sampled_from(VALUES[re.split(r"[_.]", key)[0]]))
    quotes = [draw(QUOTES) for _ in range(2)]
    value = draw(messages(f"string_value{draw(BLANKS)}:{draw(BLANKS)}{quotes[0]}{text}{quotes[0]}"))
    parts = [f"key:{draw(BLANKS)}{quotes[1]}{key}{quotes[1]}", f"value{value}"]
    return "parameters" + draw(
        messages(draw(st.sampled_from([" ", ", ", "; ", "\n"])).join(draw(st.permutations(parts))))
    )


@st.composite
def groups(draw):
    parts = [f"count:{draw(BLANKS)}{draw(st.integers(0, 64))}", "kind: KIND_CPU", 'name: "a } b"']
    content = draw(BLANKS).join(draw(st.permutations(parts))[: draw(st.integers(0, 3))])
    group = draw(messages(content))
    return f"instance_group{group}" if draw(st.booleans()) else f"instance_group [{group.lstrip(':')}]"


@st.composite
def texts(draw):
    """Texts that the config reader takes, written in all ways."""
    fields = [
        'name: "model"',
        'backend: "openvino";',
        "version_policy { specific { versions: [1, 2,\n 3] } }",
        "max_batch_size: 8,",
        "dynamic_batching < max_queue_delay_microseconds: 100 >",
        'platform: "it\\"s {" \'and }\'',
        'output [{ name: "logits" dims: [-1] label_filename: "l.txt" }]',
    ]
    kept = [field for field in fields if draw(st.booleans())]
    kept += [draw(parameters(key)) for key in draw(st.lists(st.sampled_from(KEYS), unique=True))]
    kept += [draw(groups())] if draw(st.booleans()) else []
    return "".join(draw(BLANKS) + field + draw(BLANKS) for field in draw(st.permutations(kept)))


changes = st.builds(
    ConfigChange,
    instance_count=st.none() | st.integers(1, 512),
    max_batch_tokens=st.none() | st.integers(16, 4096),
    precisions=st.sampled_from([(), ((2, Precision.F32),), ((1, Precision.BF16), (3, Precision.AUTO))]),
)


@given(texts(), changes)
def test_only_what_was_asked_for_changes(tmp_path_factory, text, change):
    file = tmp_path_factory.getbasetemp() / "model" / "config.pbtxt"
    edited = edit_config(text, change)
    before, after = parse_config(text, file), parse_config(edited, file)
    assert after == change_config(before, change)
    assert isinstance(after, ModelConfig)
    # Comments stay, and stay in order; what is not understood as a setting stays too.
    assert comments(edited) == comments(text)
    old, new = parse(text), parse(edited)
    for message in (old, new):
        message.ClearField("instance_group")
        message.ClearField("parameters")
    assert old == new


@given(texts(), changes)
def test_a_change_made_twice_is_made_once(text, change):
    edited = edit_config(text, change)
    assert edit_config(edited, change) == edited


@given(texts())
def test_no_change_changes_nothing(text):
    assert edit_config(text, ConfigChange()) == text


@pytest.fixture
def file(tmp_path):
    (tmp_path / "model").mkdir()
    return tmp_path / "model" / "config.pbtxt"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_changed_as_a_whole(file):
    file.write_bytes(b'# mine\r\nname: "model"\r\n')
    file.chmod(0o640)
    assert write_change(file, read_config(file.parent), ConfigChange(instance_count=3)) is False
    assert file.read_bytes() == f'# mine\r\nname: "model"\r\n{LINES[0]}\r\n'.encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert names(file.parent) == ["config.pbtxt"]


def test_a_file_is_made_where_there_is_none(file):
    assert write_change(file, read_config(file.parent), ALL) is False
    assert read_config(file.parent) == change_config(ModelConfig("model"), ALL)


def test_the_recipe_no_longer_keeps_a_changed_file(file):
    file.write_text(config_text("model", {1: 0.5}, 512))
    assert write_change(file, read_config(file.parent), ALL) is True
    before = file.read_text()
    assert update_config(file, "model", 1, 0.75, 512) is False
    assert file.read_text() == before


def test_a_file_that_changed_meanwhile_is_left_alone(file):
    file.write_text("max_batch_size: 4\n")
    with pytest.raises(EditError, match="was changed since it was read"):
        write_change(file, ModelConfig("model"), ALL)
    assert file.read_text() == "max_batch_size: 4\n"


@pytest.mark.parametrize("content", [b"nmae: 1", b"\xff"])
def test_a_file_that_cannot_be_read_is_left_alone(file, content):
    file.write_bytes(content)
    with pytest.raises(EditError):
        write_change(file, ModelConfig("model"), ALL)
    assert file.read_bytes() == content


def test_a_link_is_left_alone(file, tmp_path):
    (tmp_path / "shared.pbtxt").write_text("# shared\n")
    file.symlink_to(tmp_path / "shared.pbtxt")
    with pytest.raises(EditError, match="symbolic link"):
        write_change(file, ModelConfig("model"), ALL)
    assert (tmp_path / "shared.pbtxt").read_text() == "# shared\n"


def test_where_the_new_file_cannot_be_put_in_place_the_old_one_stays(file, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    file.write_text("# mine\n")
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(EditError, match="cannot be written: Permission denied"):
        write_change(file, ModelConfig("model"), ALL)
    assert (names(file.parent), file.read_text()) == (["config.pbtxt"], "# mine\n")
