"""The `inference` protos say what Triton's do, and their stubs live beside those of Triton's client."""

import subprocess
import sys

import pytest
from google.protobuf.descriptor import FieldDescriptor
from sentinova_server.repository import model_config_pb2
from sentinova_server.rpc.inference import grpc_service_pb2
from tritonclient.grpc import model_config_pb2 as triton_config
from tritonclient.grpc import service_pb2 as triton

# Of the KServe v2 protocol, where Triton's responses are empty: its clients pass them over.
KSERVE_FIELDS = {
    ("inference.RepositoryModelLoadResponse", "model_name"): (1, FieldDescriptor.TYPE_STRING),
    ("inference.RepositoryModelLoadResponse", "isLoaded"): (2, FieldDescriptor.TYPE_BOOL),
    ("inference.RepositoryModelUnloadResponse", "model_name"): (1, FieldDescriptor.TYPE_STRING),
    ("inference.RepositoryModelUnloadResponse", "isUnloaded"): (2, FieldDescriptor.TYPE_BOOL),
}

INFER = {
    "model_name": "sentiment_en",
    "id": "7",
    "inputs": [{"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "contents": {"bytes_contents": [b"good"]}}],
    "outputs": [{"name": "SCORES", "parameters": {"classification": {"int64_param": 2}}}],
    "parameters": {"priority": {"uint64_param": 1}, "share": {"double_param": 0.5}},
}


def wire(field):
    """Everything of a field that decides its bytes and its name in a client."""
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return field.number, field.type, field.is_repeated, field.has_presence, kind and kind.full_name, oneof


def messages(descriptors):
    """All messages by full name, nested ones and the entries of maps too."""
    found = {}
    for descriptor in descriptors:
        found[descriptor.full_name] = descriptor
        found |= messages(descriptor.nested_types)
    return found


def test_service_messages_are_tritons_and_no_more():
    ours = messages(grpc_service_pb2.DESCRIPTOR.message_types_by_name.values())
    theirs = messages(triton.DESCRIPTOR.message_types_by_name.values())
    assert ours.keys() == theirs.keys()
    extra = {}
    for name, message in ours.items():
        fields = {field.name: wire(field) for field in message.fields}
        other = {field.name: wire(field) for field in theirs[name].fields}
        extra |= {(name, field): fields.pop(field)[:2] for field in fields.keys() - other.keys()}
        assert fields == other, name
        assert message.GetOptions().map_entry == theirs[name].GetOptions().map_entry
        assert [one.name for one in message.oneofs] == [one.name for one in theirs[name].oneofs]
    assert extra == KSERVE_FIELDS


def test_service_methods_are_tritons():
    def methods(module):
        return {
            (service.full_name, method.name): (
                method.input_type.full_name,
                method.output_type.full_name,
                method.client_streaming,
                method.server_streaming,
            )
            for service in module.DESCRIPTOR.services_by_name.values()
            for method in service.methods
        }

    assert methods(grpc_service_pb2) == methods(triton)
    assert len(methods(triton)) == 20


def test_service_file_has_no_enums_of_its_own():
    """Where Triton adds one, the comparison above has to look at enums too."""
    assert not triton.DESCRIPTOR.enum_types_by_name
    assert not grpc_service_pb2.DESCRIPTOR.enum_types_by_name


def test_config_is_a_part_of_tritons():
    """Each message, field and value of ours is in the client that NVIDIA ships, with the same number and type."""
    ours = messages(model_config_pb2.DESCRIPTOR.message_types_by_name.values())
    theirs = messages(triton_config.DESCRIPTOR.message_types_by_name.values())
    for name, message in ours.items():
        other = theirs[name].fields_by_name
        for field in message.fields:
            assert wire(field) == wire(other[field.name]), field.full_name
    enums = {enum.full_name: enum for message in theirs.values() for enum in message.enum_types}
    enums |= {enum.full_name: enum for enum in triton_config.DESCRIPTOR.enum_types_by_name.values()}
    for enum in [
        *model_config_pb2.DESCRIPTOR.enum_types_by_name.values(),
        *(enum for message in ours.values() for enum in message.enum_types),
    ]:
        values = {value.name: value.number for value in enums[enum.full_name].values}
        assert {value.name: value.number for value in enum.values} == values, enum.full_name


@pytest.mark.parametrize(
    "modules",
    [
        ("sentinova_server.rpc.inference.grpc_service_pb2_grpc", "tritonclient.grpc.service_pb2_grpc"),
        ("tritonclient.grpc.service_pb2_grpc", "sentinova_server.rpc.inference.grpc_service_pb2_grpc"),
    ],
    ids=["ours first", "theirs first"],
)
def test_both_stubs_load_in_one_process(modules):
    """Both packages register messages of the same names: ours keep to a pool of their own."""
    program = "\n".join(
        [
            *(f"import {module}" for module in modules),
            "from tritonclient.grpc import service_pb2 as triton",
            "from sentinova_server.rpc.inference import grpc_service_pb2 as ours",
            "assert ours.ModelInferRequest is not triton.ModelInferRequest",
            "assert ours.DESCRIPTOR.pool is not triton.DESCRIPTOR.pool",
            "print(triton.ModelInferRequest.FromString(ours.ModelInferRequest(id='7').SerializeToString()).id)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [(grpc_service_pb2, triton), (triton, grpc_service_pb2)],
    ids=["ours to theirs", "theirs to ours"],
)
def test_requests_cross_over(sender, receiver):
    sent = sender.ModelInferRequest(**INFER)
    received = receiver.ModelInferRequest.FromString(sent.SerializeToString())
    assert str(received) == str(sent)
    assert received.inputs[0].contents.bytes_contents == [b"good"]
    assert received.parameters["share"].double_param == 0.5
    assert received.ByteSize() == sent.ByteSize()


def test_kserve_fields_do_not_disturb_tritons_client():
    ours = grpc_service_pb2.RepositoryModelLoadResponse(model_name="sentiment_en", isLoaded=True)
    assert triton.RepositoryModelLoadResponse.FromString(ours.SerializeToString()).ListFields() == []


def test_config_crosses_over():
    ours = grpc_service_pb2.ModelConfigResponse(
        config={
            "name": "scores",
            "max_batch_size": 8,
            "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [-1], "optional": True}],
            "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [2], "label_filename": "labels.txt"}],
            "dynamic_batching": {"max_queue_delay_microseconds": 100},
            "model_transaction_policy": {"decoupled": False},
        }
    )
    theirs = triton.ModelConfigResponse.FromString(ours.SerializeToString())
    assert str(theirs) == str(ours)
    assert theirs.config.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert theirs.config.HasField("model_transaction_policy")
