"""Several descriptor pools looked up as one, as server reflection asks them."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from sentinova_server.rpc.inference import grpc_service_pb2
from sentinova_server.rpc.reflection import JoinedPools


def pool_of(name, *, extension=False):
    """Makes a pool with the file `NAME.proto`, which has a message and, if wanted, an extension of it."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto2")
    message = file.message_type.add(name="Message")
    message.extension_range.add(start=100, end=200)
    if extension:
        file.extension.add(name="note", number=100, label=1, type=9, extendee=f".{name}.Message")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


FIRST, SECOND = pool_of("first"), pool_of("second", extension=True)
JOINED = JoinedPools([FIRST, SECOND])


@pytest.mark.parametrize("name", ["first", "second"])
def test_what_any_pool_has_is_found(name):
    assert JOINED.FindFileByName(f"{name}.proto").name == f"{name}.proto"
    assert JOINED.FindFileContainingSymbol(f"{name}.Message").name == f"{name}.proto"
    assert JOINED.FindMessageTypeByName(f"{name}.Message").full_name == f"{name}.Message"


def test_what_none_has_is_a_key_error():
    for look_up in (JOINED.FindFileByName, JOINED.FindFileContainingSymbol, JOINED.FindMessageTypeByName):
        with pytest.raises(KeyError):
            look_up("third")


def test_the_first_pool_that_has_it_counts():
    other = pool_of("first")
    assert JoinedPools([other, FIRST]).FindFileByName("first.proto") is other.FindFileByName("first.proto")


def test_extensions_are_found_where_they_are():
    message = SECOND.FindMessageTypeByName("second.Message")
    joined = JoinedPools([SECOND, FIRST])
    assert joined.FindExtensionByNumber(message, 100).full_name == "second.note"
    assert [one.full_name for one in joined.FindAllExtensions(message)] == ["second.note"]


def test_the_inference_service_is_not_in_the_default_pool_and_found_all_the_same():
    own = grpc_service_pb2.DESCRIPTOR.pool
    assert own is not descriptor_pool.Default()
    joined = JoinedPools([descriptor_pool.Default(), own])
    service = joined.FindFileContainingSymbol("inference.GRPCInferenceService").services_by_name["GRPCInferenceService"]
    assert service.methods_by_name["ModelInfer"].input_type.full_name == "inference.ModelInferRequest"


@pytest.mark.parametrize("method", ["GRPCInferenceService.ModelInfer", "GRPCInferenceService"])
def test_a_service_is_found_by_each_of_its_methods(method):
    joined = JoinedPools([FIRST, grpc_service_pb2.DESCRIPTOR.pool])
    assert joined.FindFileContainingSymbol(f"inference.{method}").name == "inference/grpc_service.proto"


def test_a_method_that_is_not_there_is_a_key_error():
    joined = JoinedPools([FIRST, grpc_service_pb2.DESCRIPTOR.pool])
    with pytest.raises(KeyError):
        joined.FindFileContainingSymbol("inference.GRPCInferenceService.Nothing")
