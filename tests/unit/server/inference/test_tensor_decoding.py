"""Tensors on the wire: what tritonclient writes is read, what is read is written again, and nonsense is refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.tensor_decoding import decode_inputs, encode_tensor
from sentinova_server.runtime.tensors import NUMPY_TYPES, TensorSpec
from tritonclient.utils import serialize_byte_tensor

NUMBERS = sorted(set(NUMPY_TYPES) - {"BYTES"})
TYPED = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)


def request(datatype, shape, raw=None, name="x", **contents):
    made = pb.ModelInferRequest(inputs=[{"name": name, "datatype": datatype, "shape": shape}])
    if raw is not None:
        made.raw_input_contents.append(raw)
    for field, values in contents.items():
        getattr(made.inputs[0].contents, field).extend(values)
    return made


def decode(made, datatype, shape=None, **options):
    return decode_inputs(made, [TensorSpec("x", datatype, shape or (-1,) * len(made.inputs[0].shape))], **options)["x"]


def attempt(made, datatype):
    """Gives the tensor, or why there is none."""
    try:
        return decode(made, datatype)
    except ServingError as error:
        return error


def refusal(made, *specs, **options):
    with pytest.raises(ServingError) as caught:
        decode_inputs(made, specs or [TensorSpec("x", "FP32", (-1, -1))], **options)
    return caught.value


@given(st.data())
def test_raw_numbers_come_back_bit_for_bit(data):
    datatype = data.draw(st.sampled_from(NUMBERS))
    array = data.draw(arrays.arrays(NUMPY_TYPES[datatype], SHAPES))
    found = decode(request(datatype, array.shape, array.tobytes()), datatype)
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes() == encode_tensor(datatype, found)
    assert found.shape == array.shape


@given(arrays.arrays(np.object_, SHAPES, elements=st.binary(max_size=20)))
def test_raw_bytes_are_those_of_tritonclient(array):
    raw = serialize_byte_tensor(array)
    found = decode(request("BYTES", array.shape, raw.item() if raw.size else b""), "BYTES")
    assert found.tolist() == array.tolist()
    assert encode_tensor("BYTES", found) == (raw.item() if raw.size else b"")


@given(st.data())
def test_typed_contents_are_the_same_as_raw(data):
    datatype = data.draw(st.sampled_from(sorted(TYPED)))
    if datatype == "BYTES":
        values = data.draw(st.lists(st.binary(max_size=9), max_size=9))
    else:
        values = data.draw(arrays.arrays(NUMPY_TYPES[datatype], st.integers(0, 9))).tolist()
    found = decode(request(datatype, [len(values)], **{TYPED[datatype]: values}), datatype)
    expected = np.array(values, NUMPY_TYPES[datatype])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@given(st.sampled_from(NUMBERS), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), st.binary(max_size=64))
def test_no_shape_and_no_size_takes_more_than_the_bytes_that_came(datatype, shape, raw):
    found = attempt(request(datatype, shape, raw), datatype)
    if isinstance(found, ServingError):
        assert found.reason is Reason.INVALID_FIELD
        assert "'x'" in found.message
    else:
        assert found.nbytes == len(raw)


@given(st.binary(max_size=64), st.lists(st.integers(0, 2**40), max_size=3))
def test_any_bytes_are_elements_or_refused(raw, shape):
    found = attempt(request("BYTES", shape, raw), "BYTES")
    if isinstance(found, ServingError):
        assert "'x'" in found.message
    else:
        assert encode_tensor("BYTES", found) == raw


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (request("FP32", [1, 2**30], b"12345678"), "8 bytes; 1,073,741,824 elements"),
        (request("FP32", [1, 2**40], b"12345678"), "a dimension may be 2,147,483,647 at most"),
        (request("FP32", [1, -2], b"12345678"), r"shape \[1, -2\]"),
        (request("FP32", [2], b"12345678"), r"shape \[2\]; the model takes \[-1, -1\]"),
        (request("INT32", [1, 2], b"12345678"), "datatype 'INT32'; the model takes 'FP32'"),
        (request("", [1, 2], b"12345678"), "datatype ''"),
        (request("FP32", [1, 2]), "0 elements in contents.fp32_contents; its shape says 2"),
        (request("FP32", [1, 2], int_contents=[1, 2]), "contents.int_contents; elements of FP32 go into"),
        (request("FP32", [1, 2], fp32_contents=[1, 2, 3]), "3 elements"),
        (request("FP32", [1, 2], b"12345678", fp32_contents=[1, 2]), "raw_input_contents too"),
        (request("FP32", [1, 2], b"12345678", name="y"), "'y' is not one that the model has"),
    ],
)
def test_what_is_wrong_with_a_tensor_is_told_with_its_name(made, told):
    error = refusal(made)
    assert error.reason is Reason.INVALID_FIELD
    assert error.field.startswith("inputs[")
    with pytest.raises(ServingError, match=told):
        raise error


def test_a_number_out_of_its_type_is_refused():
    assert "no INT8" in refusal(request("INT8", [1], int_contents=[200]), TensorSpec("x", "INT8", (-1,))).message


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_comes_raw_alone(datatype):
    made = request(datatype, [1], fp32_contents=[1])
    assert "send raw_input_contents" in refusal(made, TensorSpec("x", datatype, (-1,))).message


def test_every_input_comes_once_but_those_that_may_be_left_out():
    specs = [TensorSpec("x", "UINT8", (-1,)), TensorSpec("y", "UINT8", (-1,))]
    made = request("UINT8", [1], b"1")
    assert "'y' is missing" in refusal(made, *specs).message
    assert list(decode_inputs(made, specs, optional=["y"])) == ["x"]
    made.inputs.add().CopyFrom(made.inputs[0])
    made.raw_input_contents.append(b"1")
    assert "more than once" in refusal(made, *specs).message


def test_raw_contents_are_one_for_each_input():
    made = request("UINT8", [1], b"1")
    made.raw_input_contents.append(b"1")
    error = refusal(made, TensorSpec("x", "UINT8", (-1,)))
    assert error.field == "raw_input_contents"


def test_shared_memory_is_said_not_to_be_there():
    made = request("UINT8", [1])
    made.inputs[0].parameters["shared_memory_region"].string_param = "r"
    assert refusal(made, TensorSpec("x", "UINT8", (-1,))).reason is Reason.NOT_SUPPORTED


def test_any_byte_but_zero_is_true():
    found = decode(request("BOOL", [3], b"\x00\x01\x02"), "BOOL")
    assert found.tolist() == [False, True, True]


def test_a_name_of_a_megabyte_is_not_given_back_whole():
    assert len(refusal(request("FP32", [1, 2], b"12345678", name="n" * 1_000_000)).message) < 1000
