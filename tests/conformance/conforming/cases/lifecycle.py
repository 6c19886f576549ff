"""Loading and unloading by call: states, what is not there, what is broken, and inference meanwhile."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, call
from conforming.models import CYCLES, DAMAGED
from conforming.observations import Observation, observe, refused
from conforming.orders import code_of, factor, index, is_gone, is_ready, load, unload, until
from conforming.targets import CALL_SECONDS, Target

TITLE = "Loading and unloading"

_RELOADS = 5
_STRESS_THREADS = 4
_STRESS_ORDERS = 8
# What an order and an inference may say while others load and unload the same model; version 1 may be ready first.
_ORDERED = {"OK"}
_INFERRED = {"10.0", "20.0", "NOT_FOUND", "UNAVAILABLE"}


def _cycle(name: str, run: Callable[[Target, str], Observation], **expected: Any) -> Case:
    """Makes a case of a model that is its own."""
    return Case(f"lifecycle/{name}", lambda target: run(target, CYCLES[name].name), expected, "explicit")


def _never_loaded(target: Target, model: str) -> Observation:
    stub = target.stub
    return {
        "ready": is_ready(target, model),
        "infer": factor(target, model),
        "metadata": code_of(lambda: stub.ModelMetadata(pb.ModelMetadataRequest(name=model), timeout=CALL_SECONDS)),
        "config": code_of(lambda: stub.ModelConfig(pb.ModelConfigRequest(name=model), timeout=CALL_SECONDS)),
        "states": index(target, model),
        "ready states": index(target, model, ready=True),
    }


def _load(target: Target, model: str) -> Observation:
    return {
        "load": load(target, model),
        "ready": is_ready(target, model),
        "infer": factor(target, model),
        "version 1": factor(target, model, "1"),
        "states": index(target, model),
        "ready states": index(target, model, ready=True),
    }


def _load_again(target: Target, model: str) -> Observation:
    return {"load": load(target, model), "again": load(target, model), "infer": factor(target, model)}


def _unload(target: Target, model: str) -> Observation:
    load(target, model)
    return {
        "unload": unload(target, model),
        "gone": until(lambda: is_gone(target, model)),
        "ready": is_ready(target, model),
        "infer": factor(target, model),
        "states": sorted(index(target, model)),
        "statistics": code_of(
            lambda: target.stub.ModelStatistics(pb.ModelStatisticsRequest(name=model), timeout=CALL_SECONDS)
        ),
    }


def _unload_twice(target: Target, model: str) -> Observation:
    load(target, model)
    first = unload(target, model)
    until(lambda: is_gone(target, model))
    return {"unload": first, "again": unload(target, model)}


def _back(target: Target, model: str) -> Observation:
    load(target, model)
    unload(target, model)
    until(lambda: is_gone(target, model))
    return {"load": load(target, model), "infer": factor(target, model)}


def _new_version(target: Target, model: str) -> Observation:
    """Loads a model anew once its folder has one version more."""
    load(target, model)
    target.repository.add_version(CYCLES["grow"], 3)
    before = factor(target, model)
    return {"before": before, "load": load(target, model), "after": factor(target, model)}


def _reload(target: Target, model: str) -> Observation:
    """Loads a model again and again while it infers."""
    load(target, model)
    answers: Counter[str] = Counter()
    done = threading.Event()

    def infer() -> None:
        while not done.is_set():
            answers[str(factor(target, model))] += 1

    threads = [threading.Thread(target=infer) for _ in range(2)]
    for thread in threads:
        thread.start()
    codes = [load(target, model) for _ in range(_RELOADS)]
    done.set()
    for thread in threads:
        thread.join()
    return {"loads": sorted(set(codes)), "answers": sorted(answers)}


def _stress(target: Target) -> Observation:
    """Loads, unloads and uses three models from several threads at once."""
    models = [CYCLES[name].name for name in "abc"]
    ordered: Counter[str] = Counter()
    inferred: Counter[str] = Counter()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(_STRESS_ORDERS):
            order = chance.choice([load, unload])
            ordered[order(target, chance.choice(models))] += 1
            inferred[str(factor(target, chance.choice(models)))] += 1

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(_STRESS_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "unexpected orders": sorted(set(ordered) - _ORDERED),
        "unexpected answers": sorted(set(inferred) - _INFERRED),
        "loads after": [load(target, model) for model in models],
        "answers after": [factor(target, model) for model in models],
    }


def _damaged_load(target: Target) -> Observation:
    name = DAMAGED["load"].name
    return {"load": load(target, name), "ready": is_ready(target, name), "infer": factor(target, name)}


def _damaged_index(target: Target) -> Observation:
    name = DAMAGED["index"].name
    load(target, name)
    found = target.stub.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=CALL_SECONDS).models
    return {"states": [[one.version, one.state, bool(one.reason)] for one in found if one.name == name]}


def _mended(target: Target) -> Observation:
    """Loads a model whose highest version is broken, takes that away, and loads it again."""
    model = CYCLES["mended"]
    target.repository.add_version(DAMAGED["load"], 3, model.name)
    first = load(target, model.name)
    target.repository.remove_version(model, 3)
    return {"with a broken version": first, "without": load(target, model.name), "infer": factor(target, model.name)}


def _kserve(target: Target, model: str) -> Observation:
    """Loads and unloads as KServe's messages do: they have the model's name where Triton's have the repository's."""
    stub, named = target.stub, {"repository_name": model}
    return {
        "load": code_of(lambda: stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(**named), timeout=CALL_SECONDS)),
        "ready": is_ready(target, model),
        "unload": code_of(
            lambda: stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(**named), timeout=CALL_SECONDS)
        ),
        "gone": until(lambda: not is_ready(target, model)),
    }


def _client(target: Target, model: str) -> Observation:
    def ask() -> Observation:
        with InferenceServerClient(target.address) as client:
            client.load_model(model)
            loaded = client.is_model_ready(model)
            names = [one.name for one in client.get_model_repository_index().models]
            client.unload_model(model, unload_dependents=True)
            gone = until(lambda: not client.is_model_ready(model))
        return {"loaded": loaded, "listed": model in names, "gone": gone}

    return observe(ask)


def _orders(name: str, method: str, expected: Observation, **fields: Any) -> Case:
    request = pb.RepositoryModelLoadRequest if method == "load" else pb.RepositoryModelUnloadRequest
    return call(
        f"lifecycle/{method} {name}", f"RepositoryModel{method.title()}", request(**fields), expected, mode="explicit"
    )


def _unload_parameter(name: str, value: Any, code: str) -> Case:
    def run(target: Target) -> Observation:
        return {"unload": unload(target, CYCLES["absent"].name, {name: value})}

    return Case(f"lifecycle/unload with {name} {value!r}", run, {"unload": code}, "explicit")


_GOOD = [["1", "READY"], ["2", "READY"]]

CASES = [
    _cycle("index", _never_loaded, ready=False, infer="NOT_FOUND", metadata="NOT_FOUND", config="NOT_FOUND",
           states=[["", ""]], **{"ready states": []}),
    _cycle("load", _load, load="OK", ready=True, infer=20.0, states=_GOOD, **{"version 1": 10.0, "ready states": _GOOD}),
    _cycle("again", _load_again, load="OK", again="OK", infer=20.0),
    _cycle("unload", _unload, unload="OK", gone=True, ready=False, infer="NOT_FOUND", statistics="NOT_FOUND",
           states=[["1", "UNAVAILABLE"], ["2", "UNAVAILABLE"]]),
    _cycle("twice", _unload_twice, unload="OK", again="OK"),
    _cycle("back", _back, load="OK", infer=20.0),
    _cycle("grow", _new_version, before=20.0, load="OK", after=30.0),
    _cycle("reload", _reload, loads=["OK"], answers=["20.0"]),
    _cycle("kserve", _kserve, load="OK", ready=True, unload="OK", gone=True),
    _cycle("client", _client, code="OK", loaded=True, listed=True, gone=True),
    Case("lifecycle/stress", _stress, {"unexpected orders": [], "unexpected answers": [], "loads after": ["OK"] * 3,
                                      "answers after": [20.0] * 3}, "explicit"),
    Case("lifecycle/broken model", _damaged_load, {"load": "FAILED_PRECONDITION", "ready": False, "infer": "NOT_FOUND"}, "explicit"),
    Case("lifecycle/broken model in the index", _damaged_index, {"states": [["1", "UNAVAILABLE", True]]}, "explicit"),
    Case("lifecycle/broken version taken away", _mended, {"with a broken version": "FAILED_PRECONDITION", "without": "OK", "infer": 20.0}, "explicit"),
    _orders("an unknown one", "load", refused("NOT_FOUND", "nope"), model_name="nope"),
    _orders("without a name", "load", refused("INVALID_ARGUMENT")),
    _orders("a path", "load", refused("NOT_FOUND"), model_name="../cycle_load"),
    _orders("a path within", "load", refused("NOT_FOUND"), model_name="cycle_load/../cycle_again"),
    _orders("from another repository", "load", refused("UNIMPLEMENTED"), model_name="cycle_late", repository_name="other"),
    _orders("an unknown one", "unload", refused("NOT_FOUND", "nope"), model_name="nope"),
    _orders("without a name", "unload", refused("INVALID_ARGUMENT")),
    _orders("one that was never loaded", "unload", {"code": "OK"}, model_name="cycle_absent"),
    _unload_parameter("unload_dependents", True, "OK"),
    _unload_parameter("unload_dependents", "true", "INVALID_ARGUMENT"),
    _unload_parameter("unload_dependents", 1, "INVALID_ARGUMENT"),
    _unload_parameter("nope", True, "OK"),
]  # fmt: skip
