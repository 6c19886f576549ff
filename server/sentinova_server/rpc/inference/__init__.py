"""Stubs of `inference.GRPCInferenceService`, generated from protos/inference by `make protos`."""
