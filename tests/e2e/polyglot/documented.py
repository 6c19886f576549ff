"""The service config that docs/clients.md gives to those who call by generated stubs.

Knows the page; must not know what the config does.
"""

from __future__ import annotations

import json
import re

from polyglot.languages import ROOT

_PAGE = ROOT / "docs" / "clients.md"


def service_config() -> tuple[str, str]:
    """Gives the page's JSON blocks, merged as the page says, as an option of a channel."""
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", _PAGE.read_text(), re.DOTALL)]
    keys = [key for block in blocks for key in block]
    assert sorted(keys) == ["loadBalancingConfig", "methodConfig"], f"{_PAGE} has other blocks: {keys}"
    return "grpc.service_config", json.dumps({key: value for block in blocks for key, value in block.items()})
