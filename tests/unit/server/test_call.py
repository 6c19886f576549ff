"""An error that nobody foresaw: the client gets no word of it, the log has it whole under the request id."""

import grpc
import pytest
from sentinova.v1 import model_service_pb2 as pb
from sentinova.v1 import model_service_pb2_grpc as pb_grpc
from sentinova_server.observability.metrics import Metrics
from sentinova_server.rpc.call import CallInterceptor
from sentinova_server.rpc.model_service import ModelService
from structlog.testing import capture_logs


class BrokenRegistry:
    def get(self, name):
        raise RuntimeError(f"secret of {name}")


async def test_an_unknown_exception_is_logged_and_not_shown():
    metrics = Metrics()
    service = pb.DESCRIPTOR.services_by_name["ModelService"]
    server = grpc.aio.server(interceptors=[CallInterceptor(metrics, (service,))])
    pb_grpc.add_ModelServiceServicer_to_server(ModelService(BrokenRegistry(), None, None, None), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with capture_logs() as logs:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = pb_grpc.ModelServiceStub(channel).GetModel(
                pb.GetModelRequest(name="m"), metadata=[("x-request-id", "id-7")], timeout=30
            )
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
        await server.stop(None)
    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error.value)
    assert "id-7" in error.value.details()
    [failure] = [entry for entry in logs if entry["event"] == "call_failed"]
    assert (failure["code"], failure["request_id"], failure["method"]) == ("INTERNAL", "id-7", "GetModel")
    assert "secret of m" in str(failure["exc_info"])
    count = metrics.registry.get_sample_value(
        "sentinova_requests_total", {"model": "", "version": "", "method": "GetModel", "code": "INTERNAL"}
    )
    assert count == 1
