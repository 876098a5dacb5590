"""The TLS context that all AWS clients of a container share."""

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

SINGLE_ATTEMPT = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=3)


class RespondBadRequest(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def bundle(directory: Path, ca: trustme.CA) -> Path:
    """Write a bundle with the root and another one."""
    path = directory / f"{id(ca)}.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes() + ca.cert_pem.bytes())
    return path


def index(directory: Path, ca: trustme.CA) -> Path:
    """Write an indexed directory with the same roots, as in the layer."""
    path = directory / str(id(ca))
    certificates.main(bundle(directory, ca), path)
    return path


@pytest.fixture(autouse=True)
def _new_context(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_CA_BUNDLE", "CA_DIRECTORY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    transport.context.cache_clear()
    yield
    transport.context.cache_clear()


@pytest.fixture(
    params=[("AWS_CA_BUNDLE", bundle), ("AWS_CA_BUNDLE", index), ("CA_DIRECTORY", index)],
    ids=["a bundle", "a directory", "the layer's directory"],
)
def trusted(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    name, write = request.param
    ca = trustme.CA()
    monkeypatch.setenv(name, str(write(tmp_path, ca)))
    return ca


def connects(ca: trustme.CA, name: str = "127.0.0.1") -> bool:
    """Return whether a client accepts a host whose certificate is issued by `ca` for `name`."""
    assert clients.session, "the import makes all clients use the provider's context"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), RespondBadRequest)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}"
    try:
        boto3.client("dynamodb", endpoint_url=url, config=SINGLE_ATTEMPT).list_tables()
    except ClientError:
        return True
    except SSLError:
        return False
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    pytest.fail("expected an error")


def test_only_hosts_with_a_trusted_certificate_for_their_name_are_accepted(trusted: trustme.CA) -> None:
    assert connects(trusted)
    assert not connects(trusted, "127.0.0.2")
    assert not connects(trustme.CA())


def test_aws_ca_bundle_takes_precedence_over_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured, layer = trustme.CA(), trustme.CA()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle(tmp_path, configured)))
    monkeypatch.setenv("CA_DIRECTORY", str(index(tmp_path, layer)))
    assert [connects(ca) for ca in (configured, layer)] == [True, False]


def test_default_is_the_roots_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = trustme.CA()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(tmp_path, system)))
    assert [connects(ca) for ca in (system, trustme.CA())] == [True, False]


def test_missing_certificate_directory_fails_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CA_DIRECTORY", "/nowhere")
    with pytest.raises(FileNotFoundError):
        transport.context()


def test_index_contains_all_roots_of_one_name(tmp_path: Path) -> None:
    twins = [trustme.CA(organization_name="Twin", organization_unit_name="Twin") for _ in range(2)]
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(twin.cert_pem.bytes() for twin in twins))
    certificates.main(both, tmp_path / "index")
    assert sorted(path.suffix for path in (tmp_path / "index").iterdir()) == [".0", ".1"]


def test_index_requires_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="openssl command, which was not found"):
        certificates.main(bundle(tmp_path, trustme.CA()), tmp_path / "index")


def test_invalid_certificate_fails_the_build(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(subprocess.CalledProcessError):
        certificates.main(broken, tmp_path / "index")


def test_roots_are_loaded_once_for_all_clients(trusted: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = ssl.SSLContext.load_verify_locations

    def count(context: ssl.SSLContext, *args: Any, **more: Any) -> None:
        loads.append(args or more)
        load(context, *args, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", count)
    assert all(connects(trusted) for _ in range(3))
    assert len(loads) == 1
