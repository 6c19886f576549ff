"""Parameters of an inference request: their types, their meaning, and the names that are reserved."""

import pytest
from sentinova_server.errors import ServingError
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.parameters import InferParameters, read_classes, read_parameters
from sentinova_server.serving.analysis import LongText


def parameters(**values):
    made = pb.ModelInferRequest()
    for name, (kind, value) in values.items():
        setattr(made.parameters[name], f"{kind}_param", value)
    return made.parameters


def test_nothing_asked_for_is_the_default():
    assert read_parameters(parameters()) == InferParameters()


def test_all_are_read_and_unknown_ones_mean_nothing():
    found = read_parameters(
        parameters(
            priority=("uint64", 2), timeout=("int64", 1_500_000), long_text_policy=("string", "truncate"),
            routing_key=("string", "k"), version_label=("string", "stable"), other=("double", 1.5),
            triton_enable_empty_final_response=("bool", True), sequence_id=("string", "s"), sequence_start=("bool", True),
        )
    )  # fmt: skip
    assert found == InferParameters(2, 1.5, LongText.TRUNCATE, "stable", "k")


def test_a_timeout_of_zero_is_none():
    assert read_parameters(parameters(timeout=("int64", 0))).timeout is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("priority", ("string", "1"), "int64_param or uint64_param"),
        ("priority", ("int64", -1), "0 or more"),
        ("timeout", ("uint64", 1), "must be int64_param"),
        ("timeout", ("int64", -1), "0 or more"),
        ("triton_x", ("bool", True), "reserved"),
        ("triton_enable_empty_final_response", ("int64", 1), "bool_param"),
        ("sequence_id", ("bool", True), "int64_param or string_param"),
        ("sequence_end", ("string", "x"), "bool_param"),
        ("long_text_policy", ("string", "cut"), "error.*truncate"),
        ("long_text_policy", ("int64", 1), "string_param"),
        ("routing_key", ("string", "x" * 257), "256 bytes"),
    ],
)
def test_what_is_wrong_is_told_with_the_name(name, value, told):
    with pytest.raises(ServingError, match=told) as caught:
        read_parameters(parameters(**{name: value}))
    assert caught.value.field == f"parameters[{name!r}]"


@pytest.mark.parametrize("value", [("int64", 0), ("int64", -1), ("string", "2"), ("uint64", 2), ("bool", True)])
def test_classification_is_a_number_of_classes(value):
    with pytest.raises(ServingError, match="int64_param of 1 or more"):
        read_classes("scores", parameters(classification=value))
    assert read_classes("scores", parameters(classification=("int64", 3))) == 3
    assert read_classes("scores", parameters()) == 0
