"""config.pbtxt: what it says is what is served, and what is wrong in it is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.repository import model_config_pb2
from sentinova_server.repository.config import ModelConfig, Precision, TensorConfig, read_config
from sentinova_server.repository.policy import All, Latest, Specific

WHOLE = """
name: "model"
backend: "openvino"
platform: "paddlenlp_bert"
max_batch_size: 32
version_policy { specific { versions: [2, 7] } }
input [{ name: "input_ids" data_type: TYPE_INT64 dims: [-1] }]
output [{ name: "logits" data_type: TYPE_FP32 dims: [2] label_filename: "classes.txt" }]
instance_group [{ count: 2 kind: KIND_CPU }]
dynamic_batching {
  max_queue_delay_microseconds: 500 priority_levels: 3 default_priority_level: 2
  default_queue_policy { max_queue_size: 64 default_timeout_microseconds: 250000 timeout_action: REJECT }
}
response_cache { enable: true }
parameters { key: "max_length" value { string_value: "128" } }
parameters { key: "max_batch_tokens" value { string_value: "1024" } }
parameters { key: "temperature" value { string_value: "1.5" } }
parameters { key: "temperature.2" value { string_value: "0.75" } }
parameters { key: "precision" value { string_value: "bf16" } }
parameters { key: "precision.7" value { string_value: "int8" } }
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


def read(folder, text):
    (folder / "config.pbtxt").write_text(text)
    return read_config(folder)


def test_every_field_is_read(folder):
    assert read(folder, WHOLE) == ModelConfig(
        name="model",
        platform="paddlenlp_bert",
        version_policy=Specific(frozenset({2, 7})),
        max_batch_size=32,
        inputs=(TensorConfig("input_ids", "INT64", (-1,)),),
        outputs=(TensorConfig("logits", "FP32", (2,)),),
        label_filename="classes.txt",
        instance_count=2,
        max_queue_delay=0.0005,
        max_queue_size=64,
        queue_timeout=0.25,
        priority_levels=3,
        default_priority=2,
        response_cache=True,
        max_batch_tokens=1024,
        max_length=128,
        temperatures={None: 1.5, 2: 0.75},
        precisions={None: Precision.BF16, 7: Precision.INT8},
    )


def test_temperatures_are_by_version(folder):
    config = read(folder, WHOLE)
    assert (config.temperature(2), config.temperature(3)) == (0.75, 1.5)
    assert ModelConfig("m").temperature(1) == 1.0


def test_precisions_are_by_version(folder):
    config = read(folder, WHOLE)
    assert (config.precision(7), config.precision(2)) == (Precision.INT8, Precision.BF16)
    assert ModelConfig("m").precision(1) is None


def test_no_file_and_an_empty_one_give_the_defaults(folder):
    assert read_config(folder) == read(folder, "") == ModelConfig("model", version_policy=Latest(1))


def test_all_versions(folder):
    assert read(folder, "version_policy { all {} }").version_policy == All()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name: "model"\nmax_batch_sise: 3', ["line 2, column 1", "max_batch_sise"]),
        ("max_batch_size: many", ["line 1", "many"]),
        ("version_policy { newest {} }", ["line 1", "newest"]),
        ('name: "other"', ["`name`", "'other'", "'model'"]),
        ('backend: "pytorch"', ["`backend`", "'pytorch'"]),
        ("max_batch_size: -1", ["`max_batch_size`", "-1"]),
        ("version_policy { specific {} }", ["version_policy.specific.versions"]),
        ("version_policy { specific { versions: 0 } }", ["version_policy.specific.versions"]),
        ("instance_group [{kind: KIND_GPU}]", ["instance_group.kind", "KIND_CPU"]),
        ("instance_group [{count: -2}]", ["instance_group.count", "-2"]),
        ("instance_group [{}, {}]", ["`instance_group`"]),
        ('output [{label_filename: "../../secret"}]', ["label_filename", "plain file name"]),
        ('parameters { key: "temprature" value { string_value: "1" } }', ["temprature", "known keys"]),
        ('parameters { key: "temperature" value { string_value: "0" } }', ["temperature", "above 0"]),
        ('parameters { key: "temperature" value { string_value: "nan" } }', ["temperature", "above 0"]),
        ('parameters { key: "temperature.0" value { string_value: "1" } }', ["temperature.0"]),
        ('parameters { key: "max_length" value { string_value: "-5" } }', ["max_length", "'-5'"]),
        ('parameters { key: "precision" value { string_value: "fp16" } }', ["precision", "'fp16'", "auto, f32, bf16"]),
        ('parameters { key: "max_batch_tokens" value { string_value: "8" } }', ["max_batch_tokens", "16 to 1048576"]),
        ("dynamic_batching { max_queue_delay_microseconds: -1 }", ["line 1", "-1"]),
        ("dynamic_batching { priority_levels: 101 }", ["priority_levels", "0 to 100"]),
        ("dynamic_batching { priority_levels: 2 }", ["default_priority_level", "is 0", "1 to 2"]),
        ("dynamic_batching { default_priority_level: 1 }", ["default_priority_level", "priority_levels is 0"]),
        ("dynamic_batching { default_queue_policy { timeout_action: DELAY } }", ["timeout_action", "REJECT"]),
    ],
)
def test_what_is_wrong_is_named_with_its_file(folder, text, told):
    with pytest.raises(LoadError) as error:
        read(folder, text)
    assert error.value.file == folder / "config.pbtxt"
    for part in told:
        assert part in str(error.value)


def test_a_file_that_is_not_text_is_named(folder):
    (folder / "config.pbtxt").write_bytes(b"\xff\xfe")
    with pytest.raises(LoadError, match=r"config\.pbtxt: cannot be read"):
        read_config(folder)


@given(st.binary(max_size=200))
def test_no_content_breaks_the_reader(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    (folder / "config.pbtxt").write_bytes(content)
    try:
        assert isinstance(read_config(folder), ModelConfig)
    except LoadError as error:
        assert error.file == folder / "config.pbtxt"  # noqa: PT017


def test_names_and_numbers_are_tritons():
    """Every field of ours is in the client that NVIDIA ships, with the same number and type."""
    from tritonclient.grpc import model_config_pb2 as triton

    def compare(ours, theirs):
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated)
            if field.message_type:
                compare(field.message_type, other.message_type)
            if field.enum_type:
                values = {value.name: value.number for value in other.enum_type.values}
                assert {value.name: value.number for value in field.enum_type.values} == values

    compare(model_config_pb2.ModelConfig.DESCRIPTOR, triton.ModelConfig.DESCRIPTOR)
