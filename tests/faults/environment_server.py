"""The environment process: telecom services, DynamoDB, SQS, S3, the CloudFormation API, and a record of their use."""

from __future__ import annotations

import copy
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import attrs
import boto3
import trustme
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from local.telecom import Clock, Options, TelecomServer, world
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.dispatch import Answer
from local.telecom.faults import Fault
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from tests.contract.cloudformation.api import Refusal
from tests.contract.cloudformation.queue import QueueApi, QueuedMessage
from tests.contract.responses import Mode, ResponseSink
from tests.contract.state_table import create_state_table
from tests.faults.environment import QUOTAS, Purchase, Response, Snapshot, VirtualClock
from tests.faults.stacks import Stacks

if TYPE_CHECKING:
    from moto.core.request import Request

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_TABLE = "state"
_SERVICES = ("PINPOINT_SMS_VOICE_V2", "CONNECT", "RESOURCE_GROUPS_TAGGING_API", "SERVICE_QUOTAS", "DYNAMODB")
"""Served by the telecom server."""
_LONGEST_REQUEST = 5.0
"""Seconds of real time. A request takes milliseconds, unless the machine is overloaded."""
_IDENTITY_TAGS = ("cfn-telephony:stack-id", "cfn-telephony:request-id", "cfn-telephony:issued-at")
_RELEASE_AFTER = "cfn-telephony:release-after"
_LATER = DynamoType({"S": "LATER"})
"""A state of a purchase that this version of the provider does not know."""
_SETTINGS = ("tags", "protected", "target")
"""What belongs to the state of a number, as the services' status page names it."""
_PHYSICAL_IDS = {"phone_numbers": "{id}", "sender_ids": "{country}|{id}", "connect_numbers": "{arn}"}
"""The form of the physical ID by kind of resource; pools are not purchased."""
_CONTENDED = {
    "pinpoint-sms-voice-v2": (
        *("RequestPhoneNumber", "UpdatePhoneNumber", "ReleasePhoneNumber", "PutKeyword", "DeleteKeyword"),
        *("RequestSenderId", "UpdateSenderId", "ReleaseSenderId", "TagResource", "UntagResource"),
    ),
    "connect": (
        *("ClaimPhoneNumber", "ImportPhoneNumber", "UpdatePhoneNumber", "UpdatePhoneNumberMetadata"),
        *("ReleasePhoneNumber", "TagResource", "UntagResource"),
    ),
}
"""Operations whose slots other requests can take: those that change something."""


class RecordingServer(TelecomServer):
    """The telecom services, with a record of every purchase, and of every change or release that must not happen."""

    def __init__(self, clock: Clock, stacks: Stacks) -> None:
        super().__init__(clock=clock)
        self.stacks = stacks
        self.forget()

    def serve(self, request: Request) -> Answer | Fault:
        """Serve a call and record its effects. DynamoDB calls have none."""
        if request.headers.get("X-Amz-Target", "").startswith("DynamoDB"):
            return super().serve(request)
        with self._lock:
            answer = super().serve(request)
            self.observe()
            return answer

    def finish_requests(self) -> None:
        """Wait until the requests of invocations that were killed have taken effect."""
        self._http.close_connections()
        until = time.monotonic() + _LONGEST_REQUEST
        while self._http.has_connections and time.monotonic() < until:
            time.sleep(0.001)

    def forget(self) -> None:
        """Start a new record: resources that are held now do not count as purchases."""
        with self._lock:
            self.purchases: list[Purchase] = []
            self.held_purchases: dict[str, Purchase] = {}
            """By physical ID."""
            self.violations: list[tuple[str, str]] = []
            self.checks_changes = True
            self.adopted = set[str]()
            """Physical IDs of numbers that existed before. Only ownership tags of them may change."""
            self.protected_by_hand = set[str]()
            """Physical IDs whose deletion protection nothing that is declared may disable."""
            self.tagged = set[str]()
            """Physical IDs of the numbers with the tag of their due date."""
            self._settings = {physical_id: settings for physical_id, settings, _ in self._resources()}
            self._log.clear()

    def observe(self, *, by_hand: bool = False) -> None:
        """Record what was purchased, changed or released since the last time."""
        with self._lock:
            found = {physical_id: (settings, tags) for physical_id, settings, tags in self._resources()}
            self.tagged = {physical_id for physical_id, (_, tags) in found.items() if _RELEASE_AFTER in tags}
            for physical_id, (settings, tags) in found.items():
                if physical_id not in self._settings:
                    stack_id, request_id, issued_at = map(tags.get, _IDENTITY_TAGS)
                    purchase = Purchase(physical_id, stack_id, request_id, issued_at, by_hand)
                    self.held_purchases[physical_id] = purchase
                    self.purchases += [] if by_hand else [purchase]
                elif settings != self._settings[physical_id] and self.checks_changes and not by_hand:
                    self._check("wrongly_changed", physical_id, settings)
                self._follow_owner(physical_id, tags)
            for physical_id in self._settings.keys() - found.keys():
                if not by_hand:
                    self._check("wrongly_released", physical_id, {})
                self.held_purchases.pop(physical_id, None)
            self._settings = {physical_id: settings for physical_id, (settings, _) in found.items()}

    def _follow_owner(self, physical_id: str, tags: dict[str, str]) -> None:
        """Note which stack has a number that another one had before."""
        held, owner = self.held_purchases.get(physical_id), tags.get(_IDENTITY_TAGS[0])
        if held is not None and owner is not None and held.stack_id != owner:
            self.held_purchases[physical_id] = attrs.evolve(held, stack_id=owner)

    def _check(self, finding: str, physical_id: str, settings: dict[str, Any]) -> None:
        """Record a violation if an operator or a stack in no operation has the number, or if a stack retained it."""
        purchase = self.held_purchases.get(physical_id)
        if purchase is None:
            return
        if physical_id in self.protected_by_hand and not settings.get("protected"):
            self.protected_by_hand.discard(physical_id)
            self.violations.append(("wrongly_changed", f"{physical_id} lost its protection, which was set by hand"))
        guarded = self.stacks.guards(purchase.stack_id, physical_id)
        # During an operation, CloudFormation may have requested the change. Its Delete ends the guard before a release.
        if purchase.by_hand or (guarded and (not settings or self.stacks.at_rest(purchase.stack_id))):
            owner = "an operator" if purchase.by_hand else purchase.stack_id
            self.violations.append((finding, f"{physical_id} of {owner}: {settings or 'released'}"))

    def _resources(self) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
        """Return the physical ID, the settings and the tags of everything that is held."""
        everything = self.held()
        return [
            (form.format_map(held), self._settings_of(form.format_map(held), held), held["tags"])
            for kind, form in _PHYSICAL_IDS.items()
            for held in everything[kind]
        ]

    def _settings_of(self, physical_id: str, held: dict[str, Any]) -> dict[str, Any]:
        if physical_id in self.adopted:
            table, key = self._find(physical_id)
            settings: dict[str, Any] = copy.deepcopy(vars(table[key]))
        else:
            settings = {name: held.get(name) for name in _SETTINGS}
        ours = "cfn-telephony:" if physical_id in self.adopted else _RELEASE_AFTER
        return settings | {"tags": {key: tag for key, tag in held["tags"].items() if not key.startswith(ours)}}

    def release_by_hand(self, physical_id: str) -> None:
        """Release a number as an operator does in the console."""
        with self._lock:
            table, key = self._find(physical_id)
            del table[key]
            self.protected_by_hand.discard(physical_id)
            self.observe(by_hand=True)

    def protect_by_hand(self, physical_id: str, *, enabled: bool) -> None:
        """Enable or disable the deletion protection of a number that still exists. Connect has none."""
        with self._lock:
            (self.protected_by_hand.add if enabled else self.protected_by_hand.discard)(physical_id)
            for table, key in self._matches(physical_id):
                table[key].protected = enabled
            self.observe(by_hand=True)

    def adopt_by_hand(self, physical_id: str) -> None:
        """Note that an operator has let a stack adopt a number."""
        with self._lock:
            self.adopted.add(physical_id)
            self.held_purchases[physical_id] = attrs.evolve(self.held_purchases[physical_id], by_hand=True)
            self.observe(by_hand=True)

    def request_by_hand(self, physical_id: str) -> None:
        """Request a sender ID without tags."""
        country, name = physical_id.split("|")
        with self._lock, world.entered(self.world):
            self._sms().request_sender_id({"SenderId": name, "IsoCountryCode": country})
            self.observe(by_hand=True)

    def _find(self, physical_id: str) -> tuple[dict[Any, Any], Any]:
        [found] = self._matches(physical_id)
        return found

    def _matches(self, physical_id: str) -> list[tuple[dict[Any, Any], Any]]:
        """Return the table and the key of a number, if it is held."""
        connect = self.world.store(telecomconnect_backends)[_ACCOUNT][_REGION]
        key: Any = tuple(reversed(physical_id.split("|"))) if "|" in physical_id else physical_id.rpartition("/")[2]
        tables = (self._sms().phone_numbers, self._sms().sender_ids, connect.claimed)
        return [(table, key) for table in tables if key in table]

    def _sms(self) -> Any:
        return self.world.store(pinpointsmsvoicev2_backends)[_ACCOUNT][_REGION]


class RecordingSink(ResponseSink):
    """The bucket behind the ResponseURLs, and CloudFormation, which reads what is stored."""

    def __init__(self, stacks: Stacks, clock: VirtualClock) -> None:
        super().__init__(trustme.CA(), now=clock.now)
        self._stacks = stacks

    def receive(self, method: str, target: str, content_type: str, body: bytes | None) -> tuple[Mode | str, float]:
        """Record a request, and give CloudFormation the response."""
        verdict, seconds = super().receive(method, target, content_type, body)
        if verdict in {"200", "slow"} and body is not None:
            self._stacks.receive(f"https://{self.host}{target}", body)
        return verdict, seconds


class EnvironmentServer:
    """Environment.server forwards its calls to the public methods of this class."""

    def __init__(self, clock: VirtualClock) -> None:
        self._stacks = Stacks(clock.now)
        self._telecom = RecordingServer(cast("Clock", clock), self._stacks)
        self._telecom.start()
        self._sink = RecordingSink(self._stacks, clock)
        self._queue = QueueApi(clock.now)
        self._queue.__enter__()
        self._clock = clock
        self._first_put = 0

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the Lambda functions."""
        url = self._telecom.url
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CA_BUNDLE": self._sink.ca_file,
            **{f"AWS_ENDPOINT_URL_{name}": url for name in _SERVICES},
            "AWS_ENDPOINT_URL_CLOUDFORMATION": self._stacks.api.url,
            "AWS_ENDPOINT_URL_SQS": self._queue.url,
            "QUEUE_URL": self._queue.queue_url,
            "ALLOWED_RESPONSE_HOSTS": self._sink.host,
            "STATE_TABLE": _TABLE,
            "ACCOUNT_ID": _ACCOUNT,
        }

    def reset(self) -> list[str]:
        """Delete everything. Returns the ARNs of two new Connect instances."""
        self._telecom.reset()
        with self._sink._lock:
            self._sink._puts.clear()
            self._sink._issued.clear()
        credentials: Any = {"region_name": _REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        clients: Any = boto3.Session(**credentials)
        create_state_table(clients.client("dynamodb", endpoint_url=self._telecom.url), _TABLE)
        connect = clients.client("connect", endpoint_url=self._telecom.url)
        instance = {"InboundCallsEnabled": True, "OutboundCallsEnabled": True}
        return [connect.create_instance(IdentityManagementType="CONNECT_MANAGED", **instance)["Arn"] for _ in range(2)]

    def begin(self, *, stacks_lag: float = 0, **options: Any) -> None:
        """Begin a scenario with these options of the services, high quotas and an empty state table."""
        self._telecom.finish_requests()
        self._telecom.options = Options().changed(QUOTAS | options)
        self._telecom.clear_faults()
        self._stacks.begin(stacks_lag)
        self._queue.reset()
        self._telecom.forget()
        with self._telecom._lock:
            self._table().items.clear()
        self._first_put = len(self._sink.puts)

    def _table(self) -> Any:
        return self._telecom.world.store(dynamodb_backends)[_ACCOUNT][_REGION].tables[_TABLE]

    def create_source_number(self) -> str:
        """Create a number that Connect can import, without recording a purchase. Returns its ARN."""
        number = self._request_number()
        self._telecom._settings[number["PhoneNumberId"]] = {}
        return str(number["PhoneNumberArn"])

    def create_existing(self, kind: str, sender_id: str, target_arn: str) -> str:
        """Request or claim what a resource can adopt, as an operator does. Returns its physical ID."""
        telecom = self._telecom
        with telecom._lock, world.entered(telecom.world):
            if kind == "phone_numbers":
                physical_id = str(self._request_number()["PhoneNumberId"])
            elif kind == "sender_ids":
                physical_id = f"GB|{sender_id}"
                telecom.request_by_hand(physical_id)
            else:
                physical_id = self._claim_number(target_arn)
            telecom.adopted.add(physical_id)
            telecom.observe(by_hand=True)
        return physical_id

    def _claim_number(self, target_arn: str) -> str:
        connect = self._telecom.world.store(telecomconnect_backends)[_ACCOUNT][_REGION]
        search = {"TargetArn": target_arn, "PhoneNumberCountryCode": "US", "PhoneNumberType": "DID"}
        found = connect.search_available_phone_numbers(search)["AvailableNumbersList"][0]["PhoneNumber"]
        claim = {"TargetArn": target_arn, "PhoneNumber": found, "PhoneNumberDescription": "Front desk"}
        return str(connect.claim_phone_number(claim)["PhoneNumberArn"])

    def _request_number(self) -> dict[str, Any]:
        request = {"IsoCountryCode": "US", "MessageType": "TRANSACTIONAL", "NumberCapabilities": ["VOICE"]}
        telecom = self._telecom
        with telecom._lock, world.entered(telecom.world):
            sms = telecom.world.store(pinpointsmsvoicev2_backends)[_ACCOUNT][_REGION]
            return dict(sms.request_phone_number({**request, "NumberType": "TOLL_FREE"}))

    def create_response_url(self, stack_id: str, logical_id: str, request_id: str, issued_at: float) -> str:
        return self._sink.url_for(stack_id, logical_id, request_id, datetime.fromtimestamp(issued_at, UTC))

    def stacks(self, operation: str, *arguments: Any) -> Any:
        """Call a method of stacks.Stacks."""
        return getattr(self._stacks, operation)(*arguments)

    def by_hand(self, operation: str, physical_id: str, **more: Any) -> None:
        """Release, protect, adopt or request a number as an operator does."""
        self._telecom.observe()  # A slow purchase may have taken effect, which is not the operator's.
        getattr(self._telecom, f"{operation}_by_hand")(physical_id, **more)

    def check_changes(self, *, enabled: bool) -> None:
        """Check, or don't check, whether a change may happen. Releases are always checked."""
        self._telecom.checks_changes = enabled

    def allow_unprotecting(self, physical_id: str) -> None:
        """Let a declaration decide about the protection of a number, which may have been set by hand."""
        self._telecom.protected_by_hand.discard(physical_id)

    def configure(self, **options: Any) -> None:
        """Change options of the services."""
        self._telecom.configure(**options)

    def inject_fault(self, service: str, operation: str, kind: str, times: int, after: int = 0, **more: Any) -> None:
        if service == "cloudformation":
            refusal: Refusal = "Throttling" if kind == "throttle" else "InternalFailure"
            self._stacks.api.refuse(refusal, times=times, after=after, action=operation)
            return
        if service == "sqs":
            code = "RequestThrottled" if kind == "throttle" else "InternalError"
            self._queue.refuse(operation, times, after=after, code=code)
            return
        more |= {"code": "InternalServerError", "status": 500} if kind == "error" else {}
        if kind == "refuse":
            kind, more = "error", {"code": "AccessDeniedException", "status": 403}
        self._telecom.fault(service, operation, kind, times=times, after=after, **more)

    def reject_response(self, request_id: str, times: int) -> None:
        self._sink.fail_next(request_id, "503", times)

    def clear_faults(self) -> None:
        self._telecom.clear_faults()
        self._stacks.api.allow()
        self._queue.allow()
        with self._sink._lock:
            self._sink._faults.clear()

    # -- the queue --------------------------------------------------------------------------

    def send_message(self, body: str) -> None:
        """Send a message, as Lambda does to a destination."""
        self._queue.send(body)

    def messages(self) -> list[tuple[str, str, float]]:
        """Return the ResponseURL of each message's request, the message ID and when the message is visible."""
        with self._queue._lock:
            return [(_url(each), each.message_id, each.visible_at) for each in self._queue.messages.values()]

    def receive_message(self, message_id: str, version: int | None = None) -> dict[str, Any]:
        """Receive a message, visible or not. Returns the event of an event source mapping.

        version: of a newer provider, which sent the message.
        """
        with self._queue._lock:
            message = self._queue.hide(self._queue.messages[message_id])
            received = message.event()
        if version is not None:
            body = json.loads(message.body) | {"version": version}
            received["Records"][0]["body"] = json.dumps(body)
        return received

    def delete_message(self, message_id: str) -> str | None:
        """Delete a message, if it exists. Returns its body."""
        with self._queue._lock:
            message = self._queue.messages.pop(message_id, None)
        return message.body if message is not None else None

    def keep_visibility(self, *, enabled: bool) -> None:
        """Let a message that is hidden stay so until its new time, or not."""
        self._queue.keeps_visibility = enabled

    # -- the state table --------------------------------------------------------------------

    def throttle_changes(self) -> None:
        """Throttle every operation that changes something, until `clear_faults`."""
        for service, operations in _CONTENDED.items():
            for operation in operations:
                self._telecom.fault(service, operation, "throttle", times=999)

    def contend(self, seconds: float) -> None:
        """Take the slots of the rate limit for the next seconds, as other requests do."""
        next_at = self._clock.now() + seconds
        table = self._table()
        with self._telecom._lock:
            for service, operations in _CONTENDED.items():
                for operation in operations:
                    item = {"pk": {"S": "rate"}, "sk": {"S": f"{service}.{operation}"}}
                    table.put_item(item | {"next_at": {"N": f"{next_at:.3f}"}})

    def upgrade(self) -> None:
        """Change the items as a newer version of the provider does, with states and attributes of its own."""
        with self._telecom._lock:
            for item in self._table().all_items():
                if "state_before" in item.attrs:
                    continue
                if "purchase_state" in item.attrs:
                    item.attrs["state_before"] = item.attrs["purchase_state"]
                    item.attrs["purchase_state"] = _LATER
                elif item.range_key.value.startswith("request#"):
                    for name in item.attrs.keys() - {"pk", "sk"}:
                        del item.attrs[name]
                    item.attrs["later"] = _LATER

    def downgrade(self) -> None:
        """Return the states to those of this version."""
        with self._telecom._lock:
            for item in self._table().all_items():
                if "state_before" in item.attrs:
                    item.attrs["purchase_state"] = item.attrs.pop("state_before")

    # ---------------------------------------------------------------------------------------

    def accepted_response(self, url: str) -> bytes | None:
        """Return the response that CloudFormation accepted for a request."""
        return self._stacks.accepted.get(url)

    def snapshot(self) -> Snapshot:
        """Return the state of the scenario."""
        with self._telecom._lock:
            items = [item.to_json()["Attributes"] for item in self._table().all_items()]
            self._telecom.observe()
        return Snapshot(
            purchases=list(self._telecom.purchases),
            held=list(self._telecom.held_purchases.values()),
            tagged=self._telecom.tagged,
            responses=[
                Response(f"https://{self._sink.host}{put.path}", put.body, put.stored)
                for put in self._sink.puts[self._first_put :]
                if put.request_id
            ],
            items=items,
            calls=[(call["service"], call["operation"], call["error"]) for call in self._telecom.log()],
            violations=list(self._telecom.violations),
        )


def _url(message: QueuedMessage) -> str:
    """Return the ResponseURL of a message's request."""
    body = json.loads(message.body)
    return str((body.get("requestPayload") or body["event"])["ResponseURL"])
