"""config.pbtxt: what it says is what is served, and what is wrong in it is named."""

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.repository import model_config_pb2
from sentinova_server.repository.config import ModelConfig, Precision, TensorConfig, parse_config, read_config
from sentinova_server.repository.policy import All, Latest, Specific
from sentinova_server.repository.traffic import CanaryLimits, Traffic

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
parameters { key: "label.stable" value { string_value: "2" } }
parameters { key: "label.next" value { string_value: "7" } }
parameters { key: "weight.stable" value { string_value: "90" } }
parameters { key: "weight.7" value { string_value: "10" } }
parameters { key: "shadow" value { string_value: "next" } }
parameters { key: "shadow.percent" value { string_value: "5" } }
parameters { key: "canary.max_error_rate" value { string_value: "0.01" } }
parameters { key: "canary.max_disagreement" value { string_value: "0.2" } }
parameters { key: "canary.min_documents" value { string_value: "500" } }
parameters { key: "keep_previous" value { string_value: "true" } }
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
        outputs=(TensorConfig("logits", "FP32", (2,), "classes.txt"),),
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
        traffic=Traffic(
            labels={"stable": 2, "next": 7},
            weights={"stable": 90, 7: 10},
            shadow="next",
            shadow_percent=5,
            limits=CanaryLimits(max_error_rate=0.01, max_disagreement=0.2, min_documents=500),
        ),
        keep_previous=True,
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


def test_what_asks_for_nothing_that_there_is_not_is_taken(folder):
    text = 'input [{ name: "a" optional: false }] model_transaction_policy { decoupled: false }'
    assert read(folder, text).inputs == (TensorConfig("a"),)


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
        ('input [{ name: "a" }, { name: "mask" optional: true }]', ["`input.optional`", "'mask'"]),
        ("model_transaction_policy { decoupled: true }", ["`model_transaction_policy.decoupled`"]),
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


def parameters(**texts):
    """Gives the text of a config with these parameters; `__` stands for a dot."""
    entries = [(key.replace("__", "."), text) for key, text in texts.items()]
    return "".join(f'parameters {{ key: "{key}" value {{ string_value: "{text}" }} }}\n' for key, text in entries)


@pytest.mark.parametrize(
    ("text", "traffic"),
    [
        ("", Traffic()),
        (parameters(label__stable="9223372036854775807"), Traffic(labels={"stable": 2**63 - 1})),
        (parameters(weight__1="100"), Traffic(weights={1: 100})),
        (parameters(weight__1="0", weight__2="60", weight__3="40"), Traffic(weights={1: 0, 2: 60, 3: 40})),
        (parameters(weight__a="50", weight__2="50", label__a="1"), Traffic(labels={"a": 1}, weights={"a": 50, 2: 50})),
        (parameters(shadow="3"), Traffic(shadow=3, shadow_percent=100)),
        (parameters(shadow__percent="1", shadow="x", label__x="1"), Traffic({"x": 1}, {}, "x", 1)),
        (parameters(canary__max_error_rate="1e-3"), Traffic(limits=CanaryLimits(max_error_rate=0.001))),
        (parameters(canary__max_disagreement="0"), Traffic(limits=CanaryLimits(max_disagreement=0))),
        (parameters(canary__min_documents="1"), Traffic(limits=CanaryLimits(min_documents=1))),
        (parameters(canary__min_documents="1000"), Traffic(limits=CanaryLimits(min_documents=1000))),
    ],
)
def test_traffic_is_read(folder, text, traffic):
    assert read(folder, text).traffic == traffic


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (parameters(label__Stable="1"), ["parameters['label.Stable']", "is no label", "a-z"]),
        (parameters(label__="1"), ["parameters['label.']", "is no label"]),
        (parameters(label__7="1"), ["parameters['label.7']", "is no label"]),
        (parameters(label__stable="0"), ["label.stable", "'0'", "1 to 9223372036854775807"]),
        (parameters(label__stable="9223372036854775808"), ["label.stable", "1 to 9223372036854775807"]),
        (parameters(label__stable="new"), ["label.stable", "'new'"]),
        (parameters(weight__1="99"), ["parameters['weight.1']", "sum to 99 percent"]),
        (parameters(weight__1="50", weight__2="60"), ["weight.1, weight.2", "sum to 110 percent"]),
        (parameters(weight__1="101"), ["weight.1", "'101'", "0 to 100"]),
        (parameters(weight__1="-1", weight__2="101"), ["weight.1", "'-1'", "0 to 100"]),
        (parameters(weight__1="50.5"), ["weight.1", "'50.5'", "whole number"]),
        (parameters(weight__stable="100"), ["weight.stable", "label.stable"]),
        (parameters(weight__01="100"), ["weight.01", "number or label"]),
        (parameters(weight__="100"), ["weight.", "number or label"]),
        (
            parameters(label__a="2", weight__2="50", weight__a="50"),
            ["weight.a", "another weight of version 2", "weight.2"],
        ),
        (parameters(label__a="2", label__b="2", weight__a="50", weight__b="50"), ["weight.b", "weight.a"]),
        (parameters(shadow="next"), ["parameters['shadow']", "label.next"]),
        (parameters(shadow="0"), ["parameters['shadow']", "number or label"]),
        (parameters(shadow="1", shadow__percent="0"), ["shadow.percent", "1 to 100"]),
        (parameters(shadow="1", shadow__percent="101"), ["shadow.percent", "1 to 100"]),
        (parameters(shadow__percent="10"), ["shadow.percent", "needs the parameter shadow"]),
        (parameters(canary__max_error_rate="1.1"), ["canary.max_error_rate", "0 to 1"]),
        (parameters(canary__max_error_rate="nan"), ["canary.max_error_rate", "0 to 1"]),
        (parameters(canary__max_disagreement="-0.1"), ["canary.max_disagreement", "0 to 1"]),
        (parameters(canary__max_disagreement="5%"), ["canary.max_disagreement", "'5%'"]),
        (parameters(canary__min_documents="0"), ["canary.min_documents", "1 to 1000"]),
        (parameters(canary__min_documents="1001"), ["canary.min_documents", "1 to 1000"]),
        (parameters(keep_previous="yes"), ["keep_previous", "'yes'", "true or false"]),
        (
            parameters(canary__max_errors="1"),
            ["canary.max_errors", "known keys", "canary.max_error_rate", "label.NAME"],
        ),
        (parameters(labels__x="1"), ["labels.x", "known keys"]),
    ],
)
def test_what_is_wrong_in_the_traffic_is_named(folder, text, told):
    with pytest.raises(LoadError) as error:
        read(folder, text)
    for part in told:
        assert part in str(error.value)


@pytest.mark.parametrize(("text", "kept"), [("true", True), ("false", False)])
def test_whether_the_previous_version_is_kept(folder, text, kept):
    assert read(folder, parameters(keep_previous=text)).keep_previous is kept


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(["weight.1", "shadow", "label.a"]), st.text(max_size=6)))
def test_no_parameter_breaks_the_reader(tmp_path_factory, texts):
    message = model_config_pb2.ModelConfig()
    for key, text in texts.items():
        message.parameters[key].string_value = text
    file = tmp_path_factory.getbasetemp() / "model" / "config.pbtxt"
    try:
        traffic = parse_config(text_format.MessageToString(message), file).traffic
    except LoadError as error:
        assert error.file == file  # noqa: PT017
    else:
        assert not traffic.weights or sum(traffic.weights.values()) == 100


def serving_part(folder, text, version=2):
    part = read(folder, text).serving_part(version)
    assert hash(part) == hash(read(folder, text).serving_part(version))
    return part


@pytest.mark.parametrize(
    "text",
    [
        "version_policy { all {} }",
        parameters(label__a="1", weight__a="40", weight__2="60", shadow="2", canary__min_documents="7"),
        parameters(keep_previous="true"),
        parameters(temperature__1="3"),
        parameters(precision__1="int8"),
        parameters(temperature__2="1"),  # what it is without that, too
    ],
)
def test_what_does_not_touch_a_version_needs_no_reload(folder, text):
    assert serving_part(folder, text) == serving_part(folder, "")


@pytest.mark.parametrize(
    "text",
    [
        parameters(temperature__2="3"),
        parameters(temperature="3"),
        parameters(precision__2="int8"),
        parameters(precision="f32"),
        parameters(max_length="9"),
        parameters(max_batch_tokens="99"),
        "max_batch_size: 3",
        'input [{ name: "input_ids" }]',
        'output [{ label_filename: "l.txt" }]',
        "instance_group [{ count: 2 }]",
        "dynamic_batching { max_queue_delay_microseconds: 7 }",
        "response_cache { enable: true }",
    ],
)
def test_what_touches_a_version_needs_a_reload(folder, text):
    assert serving_part(folder, text) != serving_part(folder, "")


def test_one_versions_parameters_are_not_anothers(folder):
    before, after = read(folder, parameters(temperature="2")), parameters(temperature="2", temperature__2="3")
    after = read(folder, after)
    assert before.serving_part(1) == after.serving_part(1)
    assert before.serving_part(2) != after.serving_part(2)


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
