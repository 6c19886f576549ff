"""Sentinova's model server: Paddle text classifiers over gRPC, run by OpenVINO on the CPU."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sentinova")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"
