"""What a new version changes: which versions a server serves with it, in words. Pure.

Knows configs and numbers; must not know states: whether a version can be loaded shows when it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sentinova_server.repository.config import CONFIG_FILE, ModelConfig
from sentinova_server.repository.policy import choose_versions


def describe_serving(folder: Path, config: ModelConfig, versions: Sequence[int], added: int) -> str:
    """Says which versions a server serves once a new one is there.

    Args:
        folder: the model's folder.
        config: its configuration.
        versions: those that were there before, in ascending order.
        added: the new one.
    """
    traffic = config.traffic
    named = {traffic.labels.get(name, name) if isinstance(name, str) else name for name in traffic.weights}
    named.update(traffic.labels.values())
    everything = {*versions, added}
    served = sorted({*choose_versions(everything, config.version_policy), *(named & everything)})
    if added not in served:
        return f"No server serves it yet: version_policy in {folder / CONFIG_FILE} does not choose {added}."
    unserved = [str(version) for version in versions if version not in served]
    others = f" version_policy leaves out {', '.join(unserved)}." if unserved else ""
    if traffic.weights:
        shared = f"the weights in {folder / CONFIG_FILE} say which version answers where none is asked for."
        return f"A server serves version {added}; {shared}{others}"
    default = "it" if served[-1] == added else f"version {served[-1]}"
    return f"A server serves version {added}, and answers with {default} where no version is asked for.{others}"
