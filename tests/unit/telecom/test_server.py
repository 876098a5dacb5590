import json
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from botocore.exceptions import ClientError

from local.telecom import Options, TelecomServer
from tests.unit.telecom.calls import client, request

SMS = "pinpoint-sms-voice-v2"
ROOT = Path(__file__).parents[3]


def ask(url: str, body: object = None, method: str = "GET", **headers: str) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=5) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_the_page_shows_what_is_held_and_called(server: TelecomServer, sms: Any, connect: Any, instance: str) -> None:
    number = request(sms, ClientToken="t", Tags=[{"Key": "a", "Value": "b"}])
    sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB")
    connect.claim_phone_number(TargetArn=instance, PhoneNumber="+12065560000")
    with pytest.raises(ClientError):
        sms.describe_pools(PoolIds=["nowhere"])
    page = ask(f"{server.url}/_telecom")
    assert page["counts"] == {"phone_numbers": 1, "sender_ids": 1, "connect_numbers": 1}
    assert page["held"]["phone_numbers"][0]["id"] == number["PhoneNumberId"]
    assert page["held"]["phone_numbers"][0]["tags"] == {"a": "b"}
    assert page["held"]["pools"] == []
    assert page["calls"] == {
        "connect.CreateInstance": 1,
        f"{SMS}.RequestPhoneNumber": 1,
        f"{SMS}.RequestSenderId": 1,
        "connect.ClaimPhoneNumber": 1,
        f"{SMS}.DescribePools": 1,
    }
    assert [(call["operation"], call["ok"], call["error"]) for call in page["log"][-2:]] == [
        ("ClaimPhoneNumber", True, None),
        ("DescribePools", False, "ResourceNotFoundException"),
    ]
    assert page["log"][1]["token"] == "t"


def test_faults_options_and_reset_have_pages(server: TelecomServer, sms: Any) -> None:
    fault = {"service": SMS, "operation": "DescribePools", "kind": "error", "code": "AccessDeniedException"}
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
    ("path", "body", "status"),
    [("options", {"colour": 1}, 400), ("faults", {"kind": "throttle"}, 400), ("elsewhere", {}, 404)],
)
def test_nonsense_on_the_pages_is_refused(server: TelecomServer, path: str, body: object, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(f"{server.url}/_telecom/{path}", body, "POST")
    with caught.value as answer:
        assert answer.code == status


def test_nobody_elses_call_is_passed_on(server: TelecomServer) -> None:
    ssm = client(server.url, "ssm")
    with pytest.raises(ClientError, match="not signed for a service of this server") as caught:
        ssm.describe_parameters()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_region_without_the_service_has_no_endpoint(server: TelecomServer) -> None:
    connect = client(server.url, "connect", region="eu-west-3")
    with pytest.raises(ClientError, match="no endpoint in eu-west-3"):
        connect.list_phone_numbers_v2()


def test_dynamodb_is_there_and_its_conditions_hold_among_threads(dynamodb: Any) -> None:
    dynamodb.create_table(
        TableName="ledger",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def put(_: int) -> bool:
        try:
            dynamodb.put_item(
                TableName="ledger", Item={"pk": {"S": "1"}}, ConditionExpression="attribute_not_exists(pk)"
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(24))) == 1


def test_two_servers_do_not_see_each_other(server: TelecomServer, sms: Any, dynamodb: Any) -> None:
    request(sms)
    with TelecomServer(Options(phone_numbers=3)) as other:
        assert other.held()["phone_numbers"] == []
        client(other.url, "dynamodb").create_table(
            TableName="theirs",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    assert dynamodb.list_tables()["TableNames"] == []
    assert len(server.held()["phone_numbers"]) == 1


def test_a_call_costs_a_few_milliseconds(sms: Any) -> None:
    sms.describe_pools()
    start = time.perf_counter()
    for _ in range(50):
        sms.describe_pools()
    assert (time.perf_counter() - start) / 50 < 0.02  # about 0.0015 on an idle machine


def test_the_program_serves_over_tls_and_says_where(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    command = [sys.executable, "-m", "local.telecom", "--cert", str(tmp_path / "cert.pem")]
    command += ["--key", str(tmp_path / "key.pem"), "--option", "phone_numbers=1", "--option", "rate=false"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603
        assert program.stdout
        where = json.loads(program.stdout.readline())
        assert where["sms_voice"].startswith("https://127.0.0.1:")
        assert where["connect"] == where["sms_voice"]
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(where["page"], timeout=5, context=trusting) as page:  # noqa: S310
            assert json.loads(page.read())["counts"]["phone_numbers"] == 0
        verify = str(tmp_path / "ca.pem")
        sms = client(where["sms_voice"], SMS, verify)
        request(sms)
        with pytest.raises(ClientError, match="quota of phone numbers"):
            request(sms)
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=10) == 0
