"""Mutated requests against a real server: none may end it, hang it, grow it, or find a defect in it.

`make test` sends 15,000 of them (about 20 seconds), `make conformance` 200,000. Each is made from the seed, which is
printed, and its number alone: `mutate(seed_messages(), SEED, NUMBER)` makes it again.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from conforming.models import STEADY
from conforming.mutation import mutate, seed_messages
from conforming.scale import Scale
from conforming.servers import SentinovaServers

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_IN_FLIGHT = 32
_CALL_SECONDS = 30.0
# Every other code is a defect, or the server's end.
_ALLOWED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"}
_WARM_UP_SHARE = 0.3
_MOST_GROWTH = 1.10


class Fuzzer:
    """Sends mutated requests and counts what becomes of them."""

    def __init__(self, address: str, seed: int) -> None:
        self._address = address
        self._seed = seed
        self._seeds = seed_messages()
        self.codes: Counter[str] = Counter()
        self.defects: list[str] = []

    async def send(self, numbers: range) -> None:
        """Sends the requests of these numbers, several at once."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            method = channel.unary_unary(_METHOD)
            left = iter(numbers)
            await asyncio.gather(*(self._work(method, left) for _ in range(_IN_FLIGHT)))

    async def _work(self, method: grpc.aio.UnaryUnaryMultiCallable, left: Iterator[int]) -> None:
        for number in left:
            began = time.monotonic()
            code, text = "OK", ""
            try:
                await method(mutate(self._seeds, self._seed, number), timeout=_CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                code, text = error.code().name, error.details() or ""
            self.codes[code] += 1
            # The call's own deadline has passed: the server was silent.
            hung = code == "DEADLINE_EXCEEDED" and time.monotonic() - began >= _CALL_SECONDS
            if hung or code not in _ALLOWED:
                self.defects.append(f"number {number}: {'no answer' if hung else code} {text}")
                if code == "UNAVAILABLE":
                    return


def _resident(pid: int) -> int:
    """Gives the resident memory of a process in bytes (Linux, proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.timeout(1800)
async def test_mutated_requests_do_no_harm(sentinova: SentinovaServers, scale: Scale, report):
    with sentinova.run_aside(STEADY) as (server, target):
        # No line a call: the test would be busy reading them.
        target.client.update_log_settings({"log_info": False})
        fuzzer = Fuzzer(target.address, scale.seed)
        warm = int(scale.fuzz_messages * _WARM_UP_SHARE)
        began = time.monotonic()
        await fuzzer.send(range(warm))
        before = _resident(server.process.pid) if not fuzzer.defects else 0
        await fuzzer.send(range(warm, scale.fuzz_messages) if not fuzzer.defects else range(0))
        seconds = time.monotonic() - began
        ended = server.process.poll()
        after = _resident(server.process.pid) if ended is None else 0
        sent = sum(fuzzer.codes.values())
        report.add_fuzzing("messages", f"{sent:,}, seed {scale.seed}, {_IN_FLIGHT} in flight, {seconds:.0f} s")
        report.add_fuzzing("answers", ", ".join(f"{code} {count:,}" for code, count in fuzzer.codes.most_common()))
        report.add_fuzzing("resident memory", f"{before / 1e6:.0f} MB after {warm:,}, {after / 1e6:.0f} MB at the end")
        print(f"{sent} messages in {seconds:.0f} s: {dict(fuzzer.codes)}; {before / 1e6:.0f} to {after / 1e6:.0f} MB")
        assert ended is None, f"the server ended with {ended}; {fuzzer.defects[:5]}"
        assert not fuzzer.defects, list(itertools.islice(fuzzer.defects, 10))
        assert after <= _MOST_GROWTH * before
        # Fuzzing that is refused at the door finds nothing.
        assert fuzzer.codes["OK"] > sent / 20
        assert fuzzer.codes["INVALID_ARGUMENT"] > sent / 20
