"""What runs a model: files, OpenVINO, tokenizer, golden values. Knows no request."""

import sys

# OpenVINO reports each import over the network (a process, a name look-up and a request to an analytics service) unless
# this package is missing: then it does without, by its own stub. A server has nobody to ask for consent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None: importing it raises ImportError
