import json
import logging
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import trustme

from local.telecom import Options, TelecomServer
from tests.unit.telecom.calls import client, error_of, quota, request

SMS = "pinpoint-sms-voice-v2"
CALL = {"service": SMS, "operation": "DescribePools"}
ROOT = Path(__file__).parents[3]


def ask(url: str, body: object = None, method: str = "GET", **headers: str) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=5) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_status_page_lists_resources_and_calls(server: TelecomServer, sms: Any, connect: Any, instance: str) -> None:
    number = request(sms, ClientToken="t", Tags=[{"Key": "a", "Value": "b"}])
    sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB")
    connect.claim_phone_number(TargetArn=instance, PhoneNumber="+12065560000")
    assert error_of(sms.describe_pools, PoolIds=["nowhere"])
    page = ask(f"{server.url}/_telecom")
    assert page["counts"] == {"phone_numbers": 1, "sender_ids": 1, "connect_numbers": 1}
    assert page["held"]["phone_numbers"][0]["id"] == number["PhoneNumberId"]
    assert page["held"]["phone_numbers"][0]["tags"] == {"a": "b"}
    assert page["held"]["pools"] == []
    operations = [f"{SMS}.{name}" for name in ("RequestPhoneNumber", "RequestSenderId", "DescribePools")]
    assert page["calls"] == dict.fromkeys([*operations, "connect.CreateInstance", "connect.ClaimPhoneNumber"], 1)
    claim, described = [(call["operation"], call["ok"], call["error"]) for call in page["log"][-2:]]
    assert claim == ("ClaimPhoneNumber", True, None)
    assert described == ("DescribePools", False, "ResourceNotFoundException")
    assert page["log"][1]["token"] == "t"


def test_faults_options_and_reset_over_http(server: TelecomServer, sms: Any) -> None:
    fault = CALL | {"kind": "error", "code": "AccessDeniedException"}
    ask(f"{server.url}/_telecom/faults", fault, "POST")
    assert ask(f"{server.url}/_telecom/faults")[0]["code"] == "AccessDeniedException"
    ask(f"{server.url}/_telecom/faults", method="DELETE")
    sms.describe_pools()
    ask(f"{server.url}/_telecom/options", {"phone_numbers": 7, "off": ["sms.release.pool"]}, "POST")
    shown = ask(f"{server.url}/_telecom/options")
    assert (shown["phone_numbers"], shown["off"], shown["token_seconds"]) == (7, ["sms.release.pool"], None)
    assert server.options == Options(phone_numbers=7, off=frozenset({"sms.release.pool"}))
    request(sms)
    ask(f"{server.url}/_telecom/reset", {}, "POST")
    assert (server.held()["phone_numbers"], server.calls()) == ([], {})


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("options", {"colour": "red"}, 400, "unknown option"),
        ("options", {"on": ["no.such"]}, 400, "unknown behaviour no.such"),
        ("faults", CALL | {"kind": "explode"}, 400, "kind must be one of"),
        ("faults", {"kind": "throttle"}, 400, "service"),
        ("faults", CALL | {"kind": "error"}, 400, "needs a code"),
        ("faults", CALL | {"kind": "hang", "when": "never"}, 400, "before or after"),
        ("elsewhere", {}, 404, "elsewhere"),
    ],
)
def test_invalid_management_request_is_rejected(
    server: TelecomServer, path: str, body: object, status: int, message: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(f"{server.url}/_telecom/{path}", body, "POST")
    with caught.value as answer:
        assert answer.code == status
        assert message in answer.read().decode()


def test_call_of_other_service_is_not_forwarded(server: TelecomServer) -> None:
    error = error_of(client(server.url, "ssm").describe_parameters)
    assert (error["Code"], error["Status"]) == ("UnknownService", 404)


def test_region_without_service_has_no_endpoint(server: TelecomServer) -> None:
    connect = client(server.url, "connect", region="eu-west-3")
    assert error_of(connect.list_phone_numbers_v2)["Code"] == "UnknownEndpoint"


def test_servers_are_isolated(server: TelecomServer, sms: Any, dynamodb: Any) -> None:
    request(sms)
    with TelecomServer(Options(phone_numbers=3)) as other:
        assert other.held()["phone_numbers"] == []
        client(other.url, "dynamodb").create_table(
            TableName="other",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    assert dynamodb.list_tables()["TableNames"] == []
    assert len(server.held()["phone_numbers"]) == 1


def test_moto_does_not_log_debug_messages(server: TelecomServer) -> None:
    assert server
    parser = logging.getLogger("moto.dynamodb.parsing.expressions")
    assert (parser.isEnabledFor(logging.INFO), parser.isEnabledFor(logging.WARNING)) == (False, True)


def test_program_serves_over_tls_and_prints_urls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    command = [sys.executable, "-m", "local.telecom", "--cert", str(tmp_path / "cert.pem")]
    command += ["--key", str(tmp_path / "key.pem"), "--option", "phone_numbers=1", "--option", "rate=false"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603
        assert program.stdout
        urls = json.loads(program.stdout.readline())
        assert urls["sms_voice"].startswith("https://127.0.0.1:")
        assert urls["connect"] == urls["sms_voice"]
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(urls["page"], timeout=5, context=context) as page:  # noqa: S310
            assert json.loads(page.read())["counts"]["phone_numbers"] == 0
        sms = client(urls["sms_voice"], SMS, str(tmp_path / "ca.pem"))
        request(sms)
        assert quota(request, sms=sms) == "PHONE_NUMBERS_PER_ACCOUNT"
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=10) == 0
