"""What there is to call: the server, its models and their tensors, in this service's messages.

Knows both sides; must not decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sentinova_server.repository import model_config_pb2
from sentinova_server.repository.policy import All, Latest, Specific, VersionPolicy
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.views import View
from sentinova_server.runtime.tensors import BYTES, TensorSpec
from sentinova_server.serving.analysis import TextClassifier
from sentinova_server.serving.registry import ModelRecord, State
from sentinova_server.serving.served import ServedModel, ServedVersion
from sentinova_server.serving.statistics import Durations, VersionStatistics

# Those of Triton's extensions that this server has: https://github.com/triton-inference-server/server/tree/main/docs/protocol
EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "parameters",
    "statistics",
    "logging",
)
_STATES = {
    State.LOADING: "LOADING",
    State.AVAILABLE: "READY",
    State.UNLOADING: "UNLOADING",
    State.END: "UNAVAILABLE",
    State.FAILED: "UNAVAILABLE",
}
_NANOSECONDS = 1_000_000_000


def to_metadata(served: ServedModel, versions: Sequence[int], view: View) -> pb.ModelMetadataResponse:
    """Makes the metadata of a model.

    Args:
        served: the version that is described.
        versions: those that are told of.
        view: what it takes and gives.
    """
    return pb.ModelMetadataResponse(
        name=served.name,
        versions=[str(version) for version in versions],
        platform=_platform(served),
        inputs=_to_tensors(view.inputs),
        outputs=_to_tensors(view.outputs),
    )


def to_config(served: ServedModel, view: View) -> model_config_pb2.ModelConfig:
    """Makes the config that a version is served by, with all that was chosen for it."""
    config, skipped = served.config, 1 if view.max_batch_size else 0
    message = model_config_pb2.ModelConfig(
        name=served.name,
        platform=_platform(served),
        backend="openvino",
        version_policy=_to_policy(config.version_policy),
        max_batch_size=view.max_batch_size,
        model_transaction_policy=model_config_pb2.ModelTransactionPolicy(decoupled=False),
    )
    for spec in view.inputs:
        message.input.add(name=spec.name, data_type=_to_data_type(spec), dims=spec.shape[skipped:])
    labels = {output.name: output.label_filename for output in config.outputs}
    for spec in view.outputs:
        names = labels.get(spec.name, "")
        if isinstance(served, TextClassifier) and spec.name in view.labels:
            names = config.label_filename
        message.output.add(
            name=spec.name, data_type=_to_data_type(spec), dims=spec.shape[skipped:], label_filename=names
        )
    message.instance_group.add(
        name=f"{served.name}_0", count=served.model.parallelism, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU
    )
    if view.max_batch_size:
        _set_batching(message.dynamic_batching, served)
    if config.response_cache:
        message.response_cache.enable = True
    return message


def to_index(owner: ModelRecord[ServedModel], *, ready: bool) -> list[pb.RepositoryIndexResponse.ModelIndex]:
    """Makes the entries of a model: one a version, or one without where it has none.

    Args:
        owner: the model.
        ready: whether only versions that take requests are wanted.
    """
    versions = [one for one in owner.versions.values() if not ready or one.state is State.AVAILABLE]
    if not owner.versions and not ready:
        return [pb.RepositoryIndexResponse.ModelIndex(name=owner.name, reason=owner.message)]
    return [
        pb.RepositoryIndexResponse.ModelIndex(
            name=owner.name, version=str(one.version), state=_STATES[one.state], reason=_reason(one)
        )
        for one in versions
    ]


def to_statistics(served: ServedModel) -> pb.ModelStatistics:
    """Makes the statistics of a version."""
    found = served.statistics
    message = pb.ModelStatistics(
        name=served.name,
        version=str(served.version),
        last_inference=round(found.last * 1000),
        inference_count=found.rows,
        execution_count=found.batches,
        inference_stats=_to_sums(found),
    )
    for size in sorted(found.by_size):
        durations = found.by_size[size]
        message.batch_stats.add(batch_size=size, compute_infer=_to_duration(durations))
    message.memory_usage.add(type="CPU", byte_size=served.model.memory_bytes)
    return message


def _to_sums(found: VersionStatistics) -> pb.InferStatistics:
    return pb.InferStatistics(
        success=_to_duration(found.requests),
        fail=_to_duration(found.failures),
        queue=_to_duration(found.queue),
        compute_input=_to_duration(found.prepare),
        compute_infer=_to_duration(found.infer),
        compute_output=_to_duration(found.finish),
    )


def _to_duration(durations: Durations) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=durations.count, ns=round(durations.seconds * _NANOSECONDS))


def _platform(served: ServedModel) -> str:
    return served.config.platform or f"{served.model.format}_openvino"


def _reason(record: ServedVersion) -> str:
    if record.state is State.AVAILABLE:
        return ""
    return record.message or ("unloaded" if record.state is State.END else "")


def _to_tensors(specs: Iterable[TensorSpec]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [
        pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)
        for spec in specs
    ]


def _to_data_type(spec: TensorSpec) -> int:
    name = "STRING" if spec.datatype == BYTES else spec.datatype
    return int(model_config_pb2.DataType.Value(f"TYPE_{name}"))


def _to_policy(policy: VersionPolicy) -> model_config_pb2.ModelVersionPolicy:
    message = model_config_pb2.ModelVersionPolicy()
    match policy:
        case All():
            message.all.SetInParent()
        case Specific(versions):
            message.specific.versions.extend(sorted(versions))
        case Latest(count):
            message.latest.num_versions = count
    return message


def _set_batching(message: model_config_pb2.ModelDynamicBatching, served: ServedModel) -> None:
    config = served.config
    message.max_queue_delay_microseconds = round(config.max_queue_delay * 1e6)
    message.priority_levels = config.priority_levels
    message.default_priority_level = config.default_priority
    if config.max_queue_size or config.queue_timeout:
        message.default_queue_policy.max_queue_size = config.max_queue_size
        message.default_queue_policy.default_timeout_microseconds = round(config.queue_timeout * 1e6)
