"""The services over TLS, with a certificate of a private authority."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from agenttracer._export.response_action import Action, classify_response
from agenttracer._export.transport import Transport
from agenttracer_cli.local import services
from tests.integration.gateway.test_early_answer import MIB, TOO_LARGE
from tests.support.gateway_process import create_topic
from tests.support.stacks import until

DEADLINE_S = 30.0
AGENT = """
from agenttracer import AgentTracer
tracer = AgentTracer(agent_id="support-agent", agent_version="1")
with tracer.start_run() as run:
    pass
print(tracer.flush(timeout_s=20).complete)
"""


class Certificate:
    """A certificate for this machine, and who issued it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        for at, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(self.cert), append=at > 0)
        issued.private_key_pem.write_to_path(str(self.key))

    def settings(self, prefix: str) -> dict[str, str]:
        return {f"{prefix}TLS__CERT_FILE": str(self.cert), f"{prefix}TLS__KEY_FILE": str(self.key)}


def keys(dsn: str) -> dict[str, str]:
    return {"postgres_dsn": dsn, "key_pepper": "p" * 32}


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path)


@pytest.fixture
def gateway(tmp_path: Path, kafka_bootstrap: str, certificate: Certificate, migrated_dsn: dict[str, str]) -> Iterator[str]:
    """Its address."""
    extra = certificate.settings("AGENTTRACER_GATEWAY_") | {
        "AGENTTRACER_GATEWAY_HEAD_TIMEOUT_S": "1",
        "AGENTTRACER_GATEWAY_ANONYMOUS_PROJECT": "default",
    }
    where = {"state_dir": tmp_path, "kafka_bootstrap": kafka_bootstrap, "topic": create_topic(kafka_bootstrap)}
    service = services.gateway(**where, **keys(migrated_dsn["gateway"]), name_key="n" * 32, extra=extra)  # type: ignore[arg-type]  # as the keys say
    service.start()
    try:
        yield _until_ready(service, certificate)
    finally:
        service.terminate()


def _until_ready(service: services.Service, certificate: Certificate) -> str:
    """Its address. Another test's service may take the port before it listens: then it starts again on another one."""
    trust = ssl.create_default_context(cafile=certificate.ca)

    def ready() -> bool:
        if service.pid is None:
            service.start()
        try:
            return httpx.get(f"{_address(service)}/ready", verify=trust).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(ready, timeout_s=DEADLINE_S, what=f"{service.name} is ready")
    except AssertionError as error:
        error.add_note(service.log_tail())
        raise
    return _address(service)


def _address(service: services.Service) -> str:
    return service.url.replace("http:", "https:")


def test_sdk(gateway: str, certificate: Certificate) -> None:
    """The SDK delivers over HTTPS to a gateway whose authority stands in SSL_CERT_FILE, and not without it."""
    environment = {**os.environ, "AGENTTRACER_API_URL": gateway}
    said = subprocess.run(
        [sys.executable, "-c", AGENT], env={**environment, "SSL_CERT_FILE": str(certificate.ca)}, capture_output=True, check=True
    )
    assert said.stdout.strip() == b"True", said.stderr
    metrics = httpx.get(f"{gateway}/metrics", verify=ssl.create_default_context(cafile=certificate.ca)).text
    assert "agenttracer_gateway_events_accepted_total 2.0" in metrics
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{gateway}/ready")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_tls(gateway: str, certificate: Certificate) -> None:
    """TLS 1.1 is refused, 1.2 is not."""
    port = int(gateway.rpartition(":")[2])
    for version, fits in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl.create_default_context(cafile=certificate.ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", port)) as plain:
            try:
                context.wrap_socket(plain, server_hostname="127.0.0.1").close()
            except (ssl.SSLError, OSError):
                assert not fits
            else:
                assert fits


def test_early_answer(gateway: str, certificate: Certificate) -> None:
    """Who is refused while still sending hears so over TLS too; what comes afterwards is taken in."""
    context = ssl.create_default_context(cafile=certificate.ca)
    with (
        socket.create_connection(("127.0.0.1", int(gateway.rpartition(":")[2])), timeout=DEADLINE_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(TOO_LARGE)
        answer = client.recv(65_536)
        client.sendall(b" " * 3 * MIB)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += client.recv(65_536)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in body


def test_sdk_splits(gateway: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK sends in one go and is too large gets the answer by which it sends halves."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca))
    transport = Transport(api_url=gateway, api_key=None, connect_timeout_s=DEADLINE_S, request_timeout_s=DEADLINE_S)
    for _ in range(10):
        assert classify_response(transport.post(os.urandom(3 * MIB))).action is Action.SPLIT
    transport.close()


def test_handshake_that_never_ends(gateway: str) -> None:
    """Who connects and begins no TLS is disconnected like anybody who sends no head."""
    with socket.create_connection(("127.0.0.1", int(gateway.rpartition(":")[2]))) as silent:
        silent.settimeout(DEADLINE_S)
        try:
            assert silent.recv(1) == b""
        except ConnectionResetError:
            return


def test_query_service(tmp_path: Path, certificate: Certificate, migrated_dsn: dict[str, str]) -> None:
    """The query service takes the same settings."""
    extra = certificate.settings("AGENTTRACER_QUERY_")
    service = services.query(state_dir=tmp_path, **keys(migrated_dsn["query"]), extra=extra)
    service.start()
    try:
        address = _until_ready(service, certificate)
        trust = ssl.create_default_context(cafile=certificate.ca)
        assert json.loads(httpx.get(f"{address}/health", verify=trust).text) == {"status": "alive"}
    finally:
        service.terminate()
