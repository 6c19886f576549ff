"""What the benchmarks run on: the processor and the versions of everything that works in them.

Knows /proc/cpuinfo and installed packages. Names no host and no path.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

# What inference on CPUs gains from.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
_PACKAGES = ("sentinova", "openvino", "numpy", "tokenizers", "grpcio", "protobuf")


def cpu_flags() -> frozenset[str]:
    """Gives the processor's features."""
    for line in _cpuinfo():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def has_bf16() -> bool:
    """Tells whether the processor multiplies bfloat16 by itself."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def cores() -> int:
    """Gives the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine_facts() -> dict[str, str]:
    """Describes processor, memory, system and versions."""
    model = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "?")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    flags = cpu_flags()
    return {
        "processor": model,
        "cores": str(cores()),
        "instructions": ", ".join(flag for flag in _FLAGS if flag in flags) or "none of those looked for",
        "without": ", ".join(flag for flag in _FLAGS if flag not in flags) or "none",
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "source": _commit(),
    }


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.SubprocessError):
        return "?"
    return f"commit {done.stdout.strip()}"
