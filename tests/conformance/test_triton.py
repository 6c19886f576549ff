"""Every case against a real Triton: where it differs from Sentinova, the table of differences has the reason."""

from __future__ import annotations

import time

import pytest
from conforming.case import Case
from conforming.cases import CASES
from conforming.differences import DIFFERENCES, comparable
from conforming.observations import Observation
from conforming.orders import code_of
from conforming.requests import raw_input, request
from conforming.servers import TritonServers, lives
from conforming.targets import CALL_SECONDS, Target
from conforming.triton_server import package_version

from benchmarks.processes import ManagedProcess

# A process that crashes takes a moment to be gone: its memory is written out first.
_DYING_LOOKS = 20
_ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("case", _ALL, ids=lambda case: case.name)
def test_it_agrees_or_the_difference_is_explained(case: Case, sentinova, triton, observed, report):
    if case.name not in observed:
        observed[case.name] = case.run(sentinova.target(case.mode))
        report.add_sentinova(case.name, observed[case.name])
    found = _ask(case, triton)
    report.add_triton(case.name, found)
    ours, theirs = comparable(observed[case.name]), comparable(found)
    difference = DIFFERENCES.get(case.name)
    if difference is None:
        assert ours == theirs, "a difference that differences.toml does not explain"
    else:
        assert ours != theirs, "differences.toml explains a difference that is not there"
        assert theirs == difference.triton, "Triton differs in another way than differences.toml says"


def test_the_report_names_both_servers(sentinova, triton, report):
    for servers in (sentinova, triton):
        target = servers.target("none")
        found = target.client.get_server_metadata()
        assert found.version
        report.add_fact(target.server, f"{found.name} {found.version}")
    report.add_fact("Triton's package", f"nvidia-pytriton {package_version()}, models in its Python backend")


def _ask(case: Case, servers: TritonServers) -> Observation:
    if not case.deadly:
        return case.run(servers.target(case.mode))
    with servers.sacrifice() as (target, process):
        found = case.run(target)
        return {**found, **_damage(target, process)}


def _damage(target: Target, process: ManagedProcess) -> Observation:
    """Tells what a request has done to the server; nothing where it goes on."""
    for _ in range(_DYING_LOOKS):
        if not lives(process):
            return {"damage": "the server's process has ended"}
        time.sleep(0.1)
    message = request("identity_fp32", raw_input("INPUT0", "FP32", [1, 1], [1]))
    code = code_of(lambda: target.stub.ModelInfer(message, timeout=CALL_SECONDS))
    return {} if code == "OK" else {"damage": f"the model answers {code} from then on"}
