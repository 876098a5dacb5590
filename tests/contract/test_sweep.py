"""The sweep tells of what no stack names, looks again at purchases of unknown end, and releases next to nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest
import time_machine

from telephony import clock
from telephony.aws import services
from telephony.errors import TelephonyError, ThrottledError
from telephony.handlers import sweep
from tests.conftest import CONNECT, SMS, STACK_ID, Context, Laptop
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template

CREATED = "2026-01-01T00:00:00Z"
RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
NOTHING = dict.fromkeys(
    ("STACK_DELETED", "NOT_REFERENCED", "UNKNOWN_PURCHASE_FOUND", "UNKNOWN_PURCHASE_RELEASED", "UNKNOWN_PURCHASE_OPEN"),
    0,
)


class StacksApi:
    """DescribeStacks and DescribeStackResource over HTTP, of the stacks that it is told of.

    Messages as CloudFormation words them, both with ValidationError: `Stack with id ... does not exist`, `Resource ...
    does not exist for stack ...`. A deleted stack is described, by its id, for another 90 days (API reference,
    DescribeStacks).
    """

    def __init__(self) -> None:
        self.stacks: dict[str, tuple[str, dict[str, str]]] = {}
        """By StackId: the status, and the physical ids by logical id."""
        self.throttles = 0
        """How many of the next calls are throttled."""
        self.calls: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def know(self, stack: Stack, status: str = "") -> None:
        """Tell of a stack as it is now."""
        self.stacks[stack.stack_id] = (status or stack.status, stack.physical_ids)

    def answer(self, asked: dict[str, str]) -> tuple[int, str]:
        self.calls.append(asked["Action"])
        if self.throttles:
            self.throttles -= 1
            return 400, _error("Throttling", "Rate exceeded")
        name = asked["StackName"]
        if name not in self.stacks:
            return 400, _error("ValidationError", f"Stack with id {name} does not exist")
        status, physical_ids = self.stacks[name]
        if asked["Action"] == "DescribeStacks":
            fields = {"StackId": name, "StackName": "example", "CreationTime": CREATED, "StackStatus": status}
            return 200, _result("DescribeStacks", f"<Stacks><member>{_xml(fields)}</member></Stacks>")
        logical_id = asked["LogicalResourceId"]
        if logical_id not in physical_ids:
            return 400, _error("ValidationError", f"Resource {logical_id} does not exist for stack {name}")
        fields = {"LogicalResourceId": logical_id, "PhysicalResourceId": physical_ids[logical_id]}
        fields |= {"ResourceType": "Custom::Any", "ResourceStatus": status, "LastUpdatedTimestamp": CREATED}
        return 200, _result("DescribeStackResource", f"<StackResourceDetail>{_xml(fields)}</StackResourceDetail>")


def _handler(api: StacksApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = api.answer({name: values[0] for name, values in parse_qs(body).items()})
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(answer.encode())))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            del format, args

    return Handler


def _xml(fields: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())


def _result(action: str, inner: str) -> str:
    namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
    return f'<{action}Response xmlns="{namespace}"><{action}Result>{inner}</{action}Result></{action}Response>'


def _error(code: str, message: str) -> str:
    inner = _xml({"Type": "Sender", "Code": code, "Message": message})
    return f"<ErrorResponse><Error>{inner}</Error><RequestId>-</RequestId></ErrorResponse>"


@pytest.fixture
def stacks(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> Iterator[StacksApi]:
    del laptop  # whose container the sweep runs in
    with StacksApi() as api:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", api.url)
        services.cloudformation.cache_clear()
        yield api
    services.cloudformation.cache_clear()


@pytest.fixture(params=[False, True], ids=["reports", "may release"])
def release(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both settings: what is promised whether or not the sweep may release."""
    may: bool = request.param
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", "true" if may else "false")
    return may


@pytest.fixture
def may_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", "true")


def run() -> dict[str, int]:
    return sweep.handler({}, cast("Any", Context(900)))


def deployed(laptop: Laptop, kind: Kind, **more: Any) -> Stack:
    stack = laptop.cloudformation.stack("swept")
    assert stack.deploy(template(kind.properties, kind, **more)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack


def suspect(laptop: Laptop, kind: Kind, *, deleted: bool) -> str:
    """A purchase that nobody knows to have bought, and which then turns out to have; its physical id.

    The first call gets no answer, the next one is refused, no number is to be found; deleted: the rollback's Delete is
    answered as well. The service has done the work of the first call later than anybody looked.
    """
    record = unknown_end(laptop, kind, deleted=deleted)
    stack_id, logical_id = record["pk"]["S"].split("|")
    tags = {
        "cfn-telephony:managed-by": "cfn-telephony",
        "cfn-telephony:stack-id": stack_id,
        "cfn-telephony:logical-id": logical_id,
        "cfn-telephony:request-id": record["sk"]["S"].removeprefix("purchase#"),
    }
    if kind.service == CONNECT:
        target, number = kind.properties["TargetArn"], record["candidate"]["S"]
        return laptop.connect.claim_phone_number(TargetArn=target, PhoneNumber=number, Tags=tags)["PhoneNumberArn"]
    listed: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
    if kind is SMS_SENDER_ID:
        made = laptop.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB", Tags=listed)
        return f"{made['IsoCountryCode']}|{made['SenderId']}"
    asked: dict[str, Any] = SIMULATOR | {"MessageType": "TRANSACTIONAL"}
    return laptop.sms.request_phone_number(**asked, Tags=listed)["PhoneNumberId"]


def unknown_end(laptop: Laptop, kind: Kind, *, deleted: bool) -> dict[str, Any]:
    laptop.telecom.fault(kind.service, kind.operation, "reset")
    laptop.telecom.fault(kind.service, kind.operation, "error", code="AccessDeniedException", message="No.")
    declared: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties, "logical_id": kind.operation}
    failed = laptop.send("Create", **declared)
    assert failed["Status"] == "FAILED"
    if deleted:
        answer = laptop.send("Delete", physical_id=failed["PhysicalResourceId"], **declared)
        assert answer["Status"] == "SUCCESS"
    [record] = [row for row in laptop.purchases() if row["sk"]["S"] == f"purchase#{failed['RequestId']}"]
    assert record["purchase_state"] == {"S": "UNKNOWN"}
    assert record["canceled"] == {"BOOL": deleted}
    return record


def state(laptop: Laptop) -> str:
    [record] = laptop.purchases()
    return str(record["purchase_state"]["S"])


# -- what no stack names -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("release")
def test_what_a_living_stack_names_is_no_finding(laptop: Laptop, kind: Kind, stacks: StacksApi) -> None:
    stacks.know(deployed(laptop, kind))

    assert run() == NOTHING

    assert laptop.held() == {kind.held: 1}
    assert stacks.calls == ["DescribeStacks", "DescribeStackResource"]


@pytest.mark.usefixtures("release")
def test_what_this_provider_did_not_buy_is_nobodys_business(laptop: Laptop, stacks: StacksApi) -> None:
    asked: dict[str, Any] = SIMULATOR | {"MessageType": "TRANSACTIONAL"}
    laptop.sms.request_phone_number(**asked, Tags=[{"Key": "cfn-telephony", "Value": "no"}])
    laptop.sms.request_sender_id(SenderId="OTHERS", IsoCountryCode="GB")

    assert run() == NOTHING

    assert laptop.held() == {"phone_numbers": 1, "sender_ids": 1}
    assert stacks.calls == []


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("described", [True, False])
def test_what_a_policy_kept_of_a_deleted_stack_is_told_and_never_released(
    laptop: Laptop, kind: Kind, stacks: StacksApi, described: bool
) -> None:
    stack = deployed(laptop, kind, **RETAINED)
    assert stack.delete() == "DELETE_COMPLETE"
    if described:
        stacks.know(stack)

    assert run() == NOTHING | {"STACK_DELETED": 1}

    assert laptop.held() == {kind.held: 1}
    assert state(laptop) == "READY"


@pytest.mark.usefixtures("release")
def test_what_a_replacement_left_behind_is_told_and_never_released(
    laptop: Laptop, kind: Kind, stacks: StacksApi
) -> None:
    stack = deployed(laptop, kind, **RETAINED)
    changed = kind.properties | kind.replacing | {"AllowReplacement": True}
    assert stack.deploy(template(changed, kind, **RETAINED)) == "UPDATE_COMPLETE", stack.reasons("Number")
    stacks.know(stack)

    assert run() == NOTHING | {"NOT_REFERENCED": 1}

    assert laptop.held() == {kind.held: 2}


@pytest.mark.usefixtures("release")
def test_what_a_stack_does_not_have_any_more_is_told(laptop: Laptop, kind: Kind, stacks: StacksApi) -> None:
    stack = deployed(laptop, kind, **RETAINED)
    stacks.stacks[stack.stack_id] = ("UPDATE_COMPLETE", {"Other": "other"})

    assert run() == NOTHING | {"NOT_REFERENCED": 1}

    assert laptop.held() == {kind.held: 1}


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_a_stack_that_is_at_work_is_left_to_its_work(laptop: Laptop, stacks: StacksApi, status: str) -> None:
    stacks.stacks[deployed(laptop, SMS_PHONE_NUMBER).stack_id] = (status, {})

    assert run() == NOTHING


def test_a_stack_is_asked_for_once_however_many_numbers_it_has(laptop: Laptop, stacks: StacksApi) -> None:
    stack = laptop.cloudformation.stack("swept")
    number = template(SIMULATOR)["Resources"]["Number"]
    stack.deploy({"Resources": dict.fromkeys(("One", "Two", "Three"), number)})
    stacks.know(stack)

    assert run() == NOTHING

    assert sorted(stacks.calls) == ["DescribeStackResource"] * 3 + ["DescribeStacks"]


def test_more_numbers_than_a_page_holds_are_all_seen(laptop: Laptop, stacks: StacksApi) -> None:
    del stacks
    laptop.telecom.configure(sender_ids=200)
    tags: Any = [
        {"Key": f"cfn-telephony:{key}", "Value": value}
        for key, value in {"managed-by": "cfn-telephony", "stack-id": STACK_ID, "logical-id": "Number"}.items()
    ]
    for index in range(101):
        laptop.sms.request_sender_id(SenderId=f"ACME{index}", IsoCountryCode="GB", Tags=tags)

    assert run() == NOTHING | {"STACK_DELETED": 101}


# -- purchases of unknown end ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("release", "stacks")
@pytest.mark.parametrize("deleted", [False, True])
def test_a_purchase_of_unknown_end_that_brought_nothing_stays_open(laptop: Laptop, kind: Kind, deleted: bool) -> None:
    unknown_end(laptop, kind, deleted=deleted)

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_OPEN": 1}
    assert state(laptop) == "UNKNOWN"


@pytest.mark.usefixtures("release", "stacks")
def test_after_a_day_it_is_certain_that_it_brought_nothing(laptop: Laptop, kind: Kind) -> None:
    unknown_end(laptop, kind, deleted=True)

    with time_machine.travel(clock.now() + 86_401):
        assert run() == NOTHING
        assert run() == NOTHING

    assert state(laptop) == "REFUSED"


@pytest.mark.shows("tags that show late")
@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("deleted", [False, True])
def test_what_it_brought_after_all_is_told_and_not_released(laptop: Laptop, kind: Kind, deleted: bool) -> None:
    physical_id = suspect(laptop, kind, deleted=deleted)

    assert run()["UNKNOWN_PURCHASE_FOUND"] == 1

    assert laptop.ids() == [physical_id]
    assert state(laptop) == "UNKNOWN"


@pytest.mark.usefixtures("stacks", "may_release")
def test_what_it_brought_after_all_is_released_once_its_delete_was_answered(laptop: Laptop, kind: Kind) -> None:
    suspect(laptop, kind, deleted=True)

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}

    assert laptop.held() == {}
    assert state(laptop) == "RELEASED"
    assert run() == NOTHING


@pytest.mark.shows("tags that show late")
@pytest.mark.usefixtures("stacks", "may_release")
def test_what_tags_show_only_after_its_delete_is_released_by_the_sweep(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(tags_lag_seconds=120)
    laptop.telecom.fault(kind.service, kind.operation, "lose_answer")
    laptop.telecom.fault(kind.service, kind.operation, "error", code="InternalServerException", status=500, times=999)
    declared: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    failed = laptop.send("Create", **declared)
    gone = laptop.send("Delete", physical_id=failed["PhysicalResourceId"], **declared)

    assert (failed["Status"], gone["Status"], state(laptop)) == ("FAILED", "SUCCESS", "UNKNOWN")
    assert laptop.held() == {kind.held: 1}
    assert run()["UNKNOWN_PURCHASE_OPEN"] == 1

    laptop.telecom.clock.advance(120)
    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
    assert laptop.held() == {}


@pytest.mark.usefixtures("stacks", "may_release")
def test_what_no_delete_was_answered_for_is_told_and_not_released(laptop: Laptop, kind: Kind) -> None:
    physical_id = suspect(laptop, kind, deleted=False)

    found = run()

    assert (found["UNKNOWN_PURCHASE_FOUND"], found["UNKNOWN_PURCHASE_RELEASED"]) == (1, 0)
    assert laptop.ids() == [physical_id]


@pytest.mark.usefixtures("stacks", "may_release")
@pytest.mark.parametrize("kind", [SMS_PHONE_NUMBER, SMS_SENDER_ID], ids=lambda kind: kind.type)
def test_nothing_stands_in_the_way_of_such_a_release(laptop: Laptop, kind: Kind) -> None:
    physical_id = suspect(laptop, kind, deleted=True)
    asked: dict[str, Any] = SIMULATOR | {"MessageType": "TRANSACTIONAL"}
    first = laptop.sms.request_phone_number(**asked)["PhoneNumberId"]
    pool = laptop.sms.create_pool(OriginationIdentity=first, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    if kind is SMS_PHONE_NUMBER:
        laptop.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=True)
        country, identity = "US", physical_id
    else:
        country, identity = physical_id.split("|")
        laptop.sms.update_sender_id(SenderId=identity, IsoCountryCode=country, DeletionProtectionEnabled=True)
    laptop.sms.associate_origination_identity(
        PoolId=pool["PoolId"], OriginationIdentity=identity, IsoCountryCode=country
    )

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}

    assert laptop.ids() == [first]


@pytest.mark.usefixtures("stacks")
def test_a_replacement_whose_answer_was_lost_and_whose_stack_is_gone_is_of_unknown_end_too(
    laptop: Laptop, kind: Kind, release: bool
) -> None:
    fields: dict[str, Any] = {"resource_type": kind.type}
    first = laptop.send("Create", properties=kind.properties, **fields)["PhysicalResourceId"]
    allowed = kind.properties | kind.replacing | {"AllowReplacement": "true"}
    second = laptop.send("Update", physical_id=first, properties=allowed, old_properties=kind.properties, **fields)
    [record] = [row for row in laptop.purchases() if row["physical_id"]["S"] == second["PhysicalResourceId"]]
    # As it is when no answer to the Update was taken: the stack goes with the first number, the only one it knows.
    laptop.dynamodb.update_item(
        TableName=laptop.table,
        Key={"pk": record["pk"], "sk": record["sk"]},
        UpdateExpression="REMOVE response_accepted_at",
    )
    laptop.send("Delete", physical_id=first, properties=kind.properties, **fields)

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}

    assert laptop.held() == ({} if release else {kind.held: 1})


@pytest.mark.usefixtures("stacks", "may_release")
def test_what_a_policy_kept_is_not_released_however_late_its_create_was_answered(laptop: Laptop) -> None:
    # In time for CloudFormation, but within the margin that the provider keeps before the end of the ServiceTimeout.
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "hang", seconds=3.2)
    stack = laptop.cloudformation.stack("swept")
    declared = template(SIMULATOR | {"ServiceTimeout": 4}, SMS_PHONE_NUMBER, **RETAINED)
    assert stack.deploy(declared) == "CREATE_COMPLETE", stack.reasons("Number")
    assert stack.delete() == "DELETE_COMPLETE"

    found = run()

    assert laptop.ids() == [physical_id for _, physical_id in stack.retained]
    assert found["UNKNOWN_PURCHASE_RELEASED"] == 0


@pytest.mark.usefixtures("stacks", "may_release")
def test_a_purchase_that_ended_well_is_never_released(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)

    assert run() == NOTHING | {"STACK_DELETED": 1}

    assert laptop.ids() == [stack.physical_ids["Number"]]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stacks", "may_release")
def test_a_release_that_fails_is_tried_by_the_next_sweep(laptop: Laptop, kind: Kind) -> None:
    suspect(laptop, kind, deleted=True)
    laptop.telecom.fault(kind.service, kind.releases.split(".")[1], "throttle", times=99)

    found = run()
    assert (found["UNKNOWN_PURCHASE_OPEN"], found["UNKNOWN_PURCHASE_RELEASED"]) == (1, 0)
    assert laptop.held() == {kind.held: 1}
    laptop.telecom.clear_faults()

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
    assert laptop.held() == {}


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        (SMS, "DescribePhoneNumbers"),
        (SMS, "DescribeSenderIds"),
        (SMS, "ListTagsForResource"),
        (CONNECT, "ListPhoneNumbersV2"),
        ("dynamodb", "Scan"),
    ],
)
def test_a_throttled_sweep_ends_in_an_error_and_the_next_run_sees_it_all(
    laptop: Laptop, stacks: StacksApi, service: str, operation: str
) -> None:
    assert deployed(laptop, SMS_PHONE_NUMBER, **RETAINED).delete() == "DELETE_COMPLETE"
    laptop.telecom.fault(service, operation, "throttle", times=99)

    with pytest.raises(TelephonyError):
        run()
    laptop.telecom.clear_faults()

    assert run() == NOTHING | {"STACK_DELETED": 1}
    assert stacks.calls[-1] == "DescribeStacks"


def test_a_throttled_cloudformation_is_not_taken_for_a_stack_that_is_gone(laptop: Laptop, stacks: StacksApi) -> None:
    stacks.know(deployed(laptop, SMS_PHONE_NUMBER))
    stacks.throttles = 99

    with pytest.raises(ThrottledError):
        run()
    stacks.throttles = 0

    assert run() == NOTHING


def test_a_few_throttles_do_not_end_a_sweep(laptop: Laptop, stacks: StacksApi) -> None:
    assert deployed(laptop, SMS_PHONE_NUMBER, **RETAINED).delete() == "DELETE_COMPLETE"
    laptop.telecom.fault(SMS, "DescribePhoneNumbers", "throttle", times=2)
    laptop.telecom.fault(SMS, "ListTagsForResource", "throttle", times=2)
    stacks.throttles = 2

    assert run() == NOTHING | {"STACK_DELETED": 1}


def test_findings_are_counted_in_the_metric_that_the_alarm_looks_at(
    laptop: Laptop, stacks: StacksApi, capsys: pytest.CaptureFixture[str], written: list[str]
) -> None:
    del stacks
    stack = deployed(laptop, SMS_PHONE_NUMBER, **RETAINED)
    assert stack.delete() == "DELETE_COMPLETE"
    capsys.readouterr()

    run()

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"SweepFindings"' in line]
    assert [(one["Finding"], one["SweepFindings"]) for one in metrics] == [("STACK_DELETED", [1.0])]
    [told] = [line for line in written if '"STACK_DELETED"' in line and '"found"' in line]
    assert laptop.ids()[0] in told


@pytest.mark.usefixtures("may_release")
def test_what_a_delete_could_not_release_is_released_once_it_can_be(laptop: Laptop, stacks: StacksApi) -> None:
    """Its Create was promised and never answered; its Delete found it, and the service would not let it go."""
    del stacks
    laptop.sink.fail_next(None, "403", 4)
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type, "properties": SIMULATOR}
    laptop.post("Create", **fields)
    laptop.invoker.settle(30)
    tied = {"code": "ConflictException", "reason": "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION"}
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", times=9, **tied)
    refused = laptop.send("Delete", physical_id="example-Number-1A2B3C4D5E6F", **fields)
    assert (refused["Status"], state(laptop)) == ("FAILED", "READY")
    laptop.telecom.clear_faults()

    with time_machine.travel(clock.now() + 86_401):
        found = run()

    assert found["UNKNOWN_PURCHASE_RELEASED"] == 1
    assert (laptop.held(), state(laptop)) == ({}, "RELEASED")


def test_a_purchase_that_was_to_be_given_back_is_closed_when_its_number_is_gone(
    laptop: Laptop, stacks: StacksApi
) -> None:
    del stacks
    laptop.sink.fail_next(None, "403", 4)
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type, "properties": SIMULATOR}
    laptop.post("Create", **fields)
    laptop.invoker.settle(30)
    laptop.telecom.fault("dynamodb", "UpdateItem", "error", code="ResourceNotFoundException", after=2, times=9)
    laptop.post("Delete", physical_id="example-Number-1A2B3C4D5E6F", **fields)
    laptop.invoker.settle(30)
    laptop.telecom.clear_faults()
    assert laptop.held() == {}
    [record] = laptop.purchases()
    assert (record["purchase_state"]["S"], record["canceled"]["BOOL"]) == ("READY", True)

    with time_machine.travel(clock.now() + 86_401):
        assert run() == NOTHING

    assert state(laptop) == "RELEASED"
