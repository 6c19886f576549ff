"""Silence of gRPC's core log, for the `sentinova` command: importing this module does it.

Knows one environment variable. Must be imported before gRPC is, which reads the variable when it is loaded.
What the core would log (each failed handshake, say) is in the error of the call too.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
