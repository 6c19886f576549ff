"""Lets tests import the tools of protos/, which are programs and not a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "protos"))
