"""TLS and mutual TLS, with certificates made on the spot."""

import grpc
import pytest
import trustme
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc as pb_grpc

REQUEST = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"))


@pytest.fixture
def files(tmp_path):
    """PEM files: the authority, the server's, a client's, and those of a stranger."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, issuer in (("server", authority), ("client", authority), ("stranger", stranger)):
        issued = issuer.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        for pem in issued.cert_chain_pems:
            pem.write_to_path(tmp_path / f"{name}.pem", append=True)
    return tmp_path


def flags(files, *, mutual):
    chosen = ["--tls-cert", str(files / "server.pem"), "--tls-key", str(files / "server.key")]
    return [*chosen, "--tls-client-ca", str(files / "ca.pem")] if mutual else chosen


def ask(address, credentials):
    with grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address) as channel:
        return pb_grpc.SentimentServiceStub(channel).AnalyzeSentiment(REQUEST, timeout=20).result.label


def credentials(files, name=None):
    authority = (files / "ca.pem").read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(authority)
    return grpc.ssl_channel_credentials(
        authority, (files / f"{name}.key").read_bytes(), (files / f"{name}.pem").read_bytes()
    )


def test_tls(start_server, tiny_repository, files):
    with start_server(tiny_repository, *flags(files, mutual=False)) as server:
        assert ask(server.address, credentials(files)) == "positive"
        with pytest.raises(grpc.RpcError) as error:
            ask(server.address, None)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_mutual_tls(start_server, tiny_repository, files):
    with start_server(tiny_repository, *flags(files, mutual=True)) as server:
        assert ask(server.address, credentials(files, "client")) == "positive"
        for refused in (None, "stranger"):
            with pytest.raises(grpc.RpcError) as error:
                ask(server.address, credentials(files, refused))
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server.key": "client.key"}, "no PEM certificate that goes with the key"),
        ({"server.pem": b"not a certificate"}, "server.pem: is no PEM certificate"),
        ({"ca.pem": b"not a certificate"}, "ca.pem: holds no PEM certificates"),
    ],
)
def test_files_that_do_not_fit_are_told(start_server, tiny_repository, files, change, told):
    for name, content in change.items():
        (files / name).write_bytes((files / content).read_bytes() if isinstance(content, str) else content)
    with pytest.raises(AssertionError, match="the server ended") as error:
        start_server(tiny_repository, *flags(files, mutual=True)).__enter__()
    assert told in str(error.value)
