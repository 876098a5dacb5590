"""The container's TLS: one context for every client, which refuses whom botocore would refuse."""

from __future__ import annotations

import ssl
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

from telephony import aws, transport

ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=3)


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    transport.context.cache_clear()
    yield ca
    transport.context.cache_clear()


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
    assert aws.session  # whose import puts every client on the one context
    assert asked(authority, "127.0.0.1") == "ClientError"


def test_a_host_of_another_name_is_refused(authority: trustme.CA) -> None:
    assert asked(authority, "127.0.0.2") == "SSLError"


@pytest.mark.usefixtures("authority")
def test_a_host_that_nobody_vouches_for_is_refused() -> None:
    assert asked(trustme.CA(), "127.0.0.1") == "SSLError"


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
