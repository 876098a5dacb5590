"""The container's TLS: one context for every client, which refuses whom botocore would refuse."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError

from layers.dependencies import certificates
from telephony import transport
from telephony.aws import clients

ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=3)


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


def bundle(directory: Path, ca: trustme.CA) -> Path:
    """A file with the root, and another one."""
    path = directory / f"{id(ca)}.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes() + ca.cert_pem.bytes())
    return path


def index(directory: Path, ca: trustme.CA) -> Path:
    """The same, as the layer has it."""
    path = directory / str(id(ca))
    certificates.main(bundle(directory, ca), path)
    return path


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_CA_BUNDLE", "CA_DIRECTORY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    transport.context.cache_clear()
    yield
    transport.context.cache_clear()


@pytest.fixture(
    params=[("AWS_CA_BUNDLE", bundle), ("AWS_CA_BUNDLE", index), ("CA_DIRECTORY", index)],
    ids=["a bundle", "a directory", "the layer's directory"],
)
def authority(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    name, trusting = request.param
    ca = trustme.CA()
    monkeypatch.setenv(name, str(trusting(tmp_path, ca)))
    return ca


def asked(ca: trustme.CA, name: str) -> str:
    """What a client of DynamoDB comes to at a host that has a certificate of `ca` for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        client = boto3.client("dynamodb", endpoint_url=f"https://127.0.0.1:{server.server_port}", config=ONCE)
        client.list_tables()
    except (ClientError, SSLError) as error:
        return type(error).__name__
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    return "answered"


def test_a_host_that_the_bundle_vouches_for_is_talked_to(authority: trustme.CA) -> None:
    assert clients.session  # whose import puts every client on the one context
    assert asked(authority, "127.0.0.1") == "ClientError"


def test_a_host_of_another_name_is_refused(authority: trustme.CA) -> None:
    assert asked(authority, "127.0.0.2") == "SSLError"


@pytest.mark.usefixtures("authority")
def test_a_host_that_nobody_vouches_for_is_refused() -> None:
    assert asked(trustme.CA(), "127.0.0.1") == "SSLError"


def test_a_bundle_that_is_named_goes_before_the_layers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, layers = trustme.CA(), trustme.CA()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle(tmp_path, named)))
    monkeypatch.setenv("CA_DIRECTORY", str(index(tmp_path, layers)))
    assert [asked(ca, "127.0.0.1") for ca in (named, layers)] == ["ClientError", "SSLError"]


def test_without_either_it_is_what_the_system_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systems = trustme.CA()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(tmp_path, systems)))
    assert [asked(ca, "127.0.0.1") for ca in (systems, trustme.CA())] == ["ClientError", "SSLError"]


def test_certificates_that_are_not_where_they_should_be_are_missed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CA_DIRECTORY", "/nowhere")
    with pytest.raises(FileNotFoundError):
        transport.context()


def test_roots_of_one_name_all_stand_in_the_directory(tmp_path: Path) -> None:
    twins = [trustme.CA(organization_name="Twin", organization_unit_name="Twin") for _ in range(2)]
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(twin.cert_pem.bytes() for twin in twins))
    certificates.main(both, tmp_path / "index")
    assert sorted(path.suffix for path in (tmp_path / "index").iterdir()) == [".0", ".1"]


def test_the_certificates_are_not_made_without_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="openssl command, which was not found"):
        certificates.main(bundle(tmp_path, trustme.CA()), tmp_path / "index")


def test_what_openssl_cannot_read_ends_the_build(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(subprocess.CalledProcessError):
        certificates.main(broken, tmp_path / "index")


def test_the_bundle_is_loaded_once_for_all_clients(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *args: Any, **more: Any) -> None:
        loaded.append(args or more)
        load(context, *args, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)

    for _ in range(3):
        assert asked(authority, "127.0.0.1") == "ClientError"

    assert len(loaded) == 1
