"""Which arithmetic is faster on this CPU, found out by running it.

That a CPU has bfloat16 instructions does not tell: on AMD's Zen 4 they are about twice as fast as float32; on an Intel
server with AVX512_BF16 where AMX was not to be had, OpenVINO's bfloat16 kernels took 1.7 times as long.
Knows OpenVINO; must not know models.
"""

from __future__ import annotations

import time

import numpy as np
import openvino as ov
from openvino import opset13 as ops

# A linear layer of a small BERT on a batch of its tokens: a few milliseconds.
_TOKENS, _WIDTH, _INNER = 256, 384, 1536
# At start another version loads at the same time: of few rounds, none might have a core to itself.
_ROUNDS = 24
# Less than this is not worth what precision is lost.
_LEAST_GAIN = 1.15


def has_bf16(core: ov.Core) -> bool:
    """Tells whether the CPU has instructions for bfloat16 (AVX512_BF16 or AMX)."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def bf16_pays(core: ov.Core) -> bool:
    """Tells whether matrices are multiplied clearly faster in bfloat16 than in float32, on one core.

    Takes some tenths of a second. Both run in turns and the best of each counts, so that other work does not decide.
    """
    if not has_bf16(core):
        return False
    requests = {precision: _compile(core, precision).create_infer_request() for precision in ("f32", "bf16")}
    tokens = np.random.default_rng(0).normal(size=(_TOKENS, _WIDTH)).astype(np.float32)
    best = dict.fromkeys(requests, float("inf"))
    for _ in range(_ROUNDS):
        for precision, request in requests.items():
            started = time.perf_counter()
            request.infer([tokens])
            best[precision] = min(best[precision], time.perf_counter() - started)
    return best["bf16"] * _LEAST_GAIN < best["f32"]


def _compile(core: ov.Core, precision: str) -> ov.CompiledModel:
    data = ops.parameter([_TOKENS, _WIDTH], np.float32)
    rng = np.random.default_rng(1)
    state = data
    for rows, columns in ((_WIDTH, _INNER), (_INNER, _WIDTH)):
        matrix = rng.normal(size=(rows, columns)).astype(np.float32)
        state = ops.relu(ops.matmul(state, ops.constant(matrix), False, False))
    properties = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1",
                  "ENABLE_CPU_PINNING": "NO"}  # fmt: skip
    return core.compile_model(ov.Model([state], [data], "arithmetic"), "CPU", properties)
