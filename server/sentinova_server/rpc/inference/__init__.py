"""`inference.GRPCInferenceService`; its stubs, `grpc_service_pb2*`, come from protos/inference by `make protos`."""
