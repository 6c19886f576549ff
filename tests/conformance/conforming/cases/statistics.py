"""ModelStatistics: what is counted, and for which models."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, call
from conforming.models import STEADY
from conforming.observations import Observation, observe, refused
from conforming.requests import ones, raw_input, request, texts
from conforming.targets import CALL_SECONDS, Target

TITLE = "Statistics"


def _read(target: Target, model: str, version: str) -> Any:
    asked = pb.ModelStatisticsRequest(name=model, version=version)
    [found] = target.stub.ModelStatistics(asked, timeout=CALL_SECONDS).model_stats
    return found


def _try(target: Target, message: Any) -> None:
    with contextlib.suppress(grpc.RpcError):  # what fails is counted too, or not
        target.stub.ModelInfer(message, timeout=CALL_SECONDS)


def _counts(name: str, messages: list[Any], expected: Observation) -> Case:
    """Makes a case of what some requests, one after the other, add to the counts of their model's version 1."""

    def run(target: Target) -> Observation:
        model = messages[0].model_name

        def ask() -> Observation:
            before = _read(target, model, "1")
            for message in messages:
                _try(target, message)
            after = _read(target, model, "1")
            times = ("success", "queue", "compute_input", "compute_infer", "compute_output")
            return {
                "inferences": after.inference_count - before.inference_count,
                "executions": after.execution_count - before.execution_count,
                "succeeded": after.inference_stats.success.count - before.inference_stats.success.count,
                "failed": after.inference_stats.fail.count - before.inference_stats.fail.count,
                "times": [
                    one
                    for one in times
                    if getattr(after.inference_stats, one).ns > getattr(before.inference_stats, one).ns
                ],
                "batches": _batches(before, after),
            }

        return observe(ask)

    return Case(f"statistics/{name}", run, {"code": "OK", **expected})


def _batches(before: Any, after: Any) -> list[list[int]]:
    """Gives `[size, executions]` of each size of batch that was run."""
    old = {one.batch_size: one.compute_infer.count for one in before.batch_stats}
    new = {one.batch_size: one.compute_infer.count for one in after.batch_stats}
    return [[size, new[size] - old.get(size, 0)] for size in sorted(new) if new[size] != old.get(size, 0)]


def _last_inference(target: Target) -> Observation:
    """Tells whether the time of the last inference is now, in milliseconds since 1970."""

    def ask() -> Observation:
        before = time.time() * 1000
        target.stub.ModelInfer(ones("batched"), timeout=CALL_SECONDS)
        found = _read(target, "batched", "1").last_inference
        return {"now": before - 1000 <= found <= time.time() * 1000 + 1000}

    return observe(ask)


def _names(got: Any) -> Observation:
    return {"of": sorted([one.name, one.version] for one in got.model_stats)}


def _ask_client(target: Target) -> Observation:
    def ask() -> Observation:
        found = target.client.get_inference_statistics("simple", "1", as_json=True)["model_stats"]
        return {"of": [[one["name"], one["version"]] for one in found]}

    return observe(ask)


_ALL = sorted([model.name, str(version)] for model in STEADY for version in model.versions)
_TIMES = ["success", "queue", "compute_input", "compute_infer", "compute_output"]
_SUCCESS = {"failed": 0, "times": _TIMES}
_NOTHING = {"inferences": 0, "executions": 0, "succeeded": 0, "times": [], "batches": []}

CASES = [
    _counts("one request", [ones("batched")], {"inferences": 1, "executions": 1, "succeeded": 1, **_SUCCESS, "batches": [[1, 1]]}),
    _counts("batches of 3 and 5", [ones("batched", 3), ones("batched", 5), ones("batched", 3)],
            {"inferences": 11, "executions": 3, "succeeded": 3, **_SUCCESS, "batches": [[3, 2], [5, 1]]}),
    _counts("without batch", [request("identity_fp32", raw_input("INPUT0", "FP32", [4, 1], [1] * 4))] * 2,
            {"inferences": 2, "executions": 2, "succeeded": 2, **_SUCCESS, "batches": [[1, 2]]}),
    _counts("texts", [texts("good")], {"inferences": 1, "executions": 1, "succeeded": 1, **_SUCCESS, "batches": [[1, 1]]}),
    _counts("a request that is refused", [request("batched", raw_input("INPUT0", "FP32", [1, 3], [1, 1]))], {**_NOTHING, "failed": 1}),
    Case("statistics/last inference", _last_inference, {"code": "OK", "now": True}),
    call("statistics/all models", "ModelStatistics", pb.ModelStatisticsRequest(), {"code": "OK", "of": _ALL}, _names),
    call("statistics/all versions", "ModelStatistics", pb.ModelStatisticsRequest(name="versions"),
         {"code": "OK", "of": [["versions", "1"], ["versions", "2"]]}, _names),
    call("statistics/one version", "ModelStatistics", pb.ModelStatisticsRequest(name="versions", version="1"),
         {"code": "OK", "of": [["versions", "1"]]}, _names),
    call("statistics/unknown model", "ModelStatistics", pb.ModelStatisticsRequest(name="nope"), refused("NOT_FOUND", "nope")),
    call("statistics/unknown version", "ModelStatistics", pb.ModelStatisticsRequest(name="batched", version="9"), refused("NOT_FOUND", "batched", "9")),
    call("statistics/version that is no number", "ModelStatistics", pb.ModelStatisticsRequest(name="batched", version="abc"), refused("INVALID_ARGUMENT", "abc")),
    Case("statistics/client", _ask_client, {"code": "OK", "of": [["simple", "1"]]}),
]  # fmt: skip
