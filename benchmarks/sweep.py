"""Simulates the sweep of an account with thousands of numbers, in virtual time.

The provider creates one number of each type. The others are copies of it in the local services, in the state table and
in the stacks of CloudFormation, with their own IDs.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from typing import Any, Final
from uuid import UUID

import attrs

from benchmarks.account import ACCOUNT_ID, TAGGING, Limits
from benchmarks.lambda_and_sqs import Function, TimedOutError
from benchmarks.provider import Provider, Request, Result
from benchmarks.services import REGION, SIMULATOR
from local.telecom import Options
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.rules import TagStore
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends

TIMEOUT, EVENT = 900.0, {"interval": 82_800}
"""Of the function, in seconds, and of its schedule."""

_SMS: Final = "SmsPhoneNumber"
_SENDER: Final = "SmsSenderId"
_CONNECT: Final = "ConnectPhoneNumber"
_NUMBERS_PER_STACK = 5
_TYPES = (_SMS, _SMS, _CONNECT, _SMS, _SMS, _SENDER, _SMS, _SMS, _CONNECT, _SMS)
"""Of ten consecutive numbers."""
_INDEXED = frozenset({"sms-voice:phone-number", "sms-voice:sender-id", "connect:phone-number"})
_RATES = {f"{TAGGING}.GetResources": 10.0, "cloudformation.ListStackResources": 5.0}
"""Calls per second. The SMS service allows one per operation, Connect two."""
_SERVICES = ("pinpoint-sms-voice-v2", "connect", TAGGING)
_INTERVAL, _DAY, _MAX_RUNS = 3600.0, 86_400.0, 20


def sweeps(count: int, seed: int) -> Result:
    """Simulate sweeps in an account, and in one whose tagging service knows no type."""
    without = Options(rate=True, unindexed_types=_INDEXED)
    return _sweeps(count, seed, Options(rate=True)) | {"without_tagging_service": _sweeps(count, seed, without)}


def _sweeps(count: int, seed: int, options: Options) -> Result:
    """Simulate a sweep that finds nothing, and a day later one that finds leaks."""
    account = _Account(count, seed, options)
    healthy, leaks = account.sweep(), account.leak()
    with_leaks = account.sweep()
    return healthy | {"with_leaks": with_leaks | {"all_found": with_leaks["found"] == leaks}}


@attrs.frozen
class _Original:
    """A number that the provider has created."""

    stack_id: str
    physical_id: str
    record: Any
    """Of the local service."""
    writes: tuple[str, ...]
    """PutItem requests of its items in the state table."""


class _Account:
    """An account with numbers in stacks, more than a day after their purchase."""

    def __init__(self, count: int, seed: int, options: Options) -> None:
        options = options.changed({"connect_numbers": count + 1})
        self._provider = Provider(Limits(slow_calls=_RATES), options, seed)
        from telephony.handlers import sweep  # noqa: PLC0415 - reads the environment

        self._account = self._provider.account
        self._function = Function(sweep.handler, TIMEOUT)
        self._count = count
        self._stacks = self._account.stacks.stacks
        originals = self._originals()
        for number in range(count):
            self._copy(number, originals[_TYPES[number % len(_TYPES)]])
        self._sleep(_DAY)

    def sweep(self) -> Result:
        """Run the function each hour until a run has nothing to do, and return what it did until then."""
        account, started, durations = self._account, self._account.calls.copy(), list[float]()
        found, throttled = 0, account.throttled.total()
        while len(durations) < _MAX_RUNS:
            at, before = account.clock.now, _remote_calls(account.calls)
            # A run that takes too long is not stopped, but misses the goal.
            with redirect_stdout(io.StringIO()), suppress(TimedOutError):
                totals = self._provider.call(lambda: account.lambda_service.invoke(self._function, EVENT))
                found = sum(totals.values())
            if _remote_calls(account.calls) == before:
                break
            durations.append(account.clock.now - at)
            self._sleep(at + _INTERVAL - account.clock.now)
        self._sleep(_DAY)
        calls = account.calls - started
        return {
            "count": self._count,
            "stacks": len(self._stacks),
            "calls_per_100_numbers": 100 * _calls_of(calls, *_SERVICES) / self._count,
            "cloudformation_calls_per_stack": _calls_of(calls, "cloudformation") / len(self._stacks),
            "seconds": max(durations, default=0.0),
            "runs": len(durations),
            "found": found,
            "throttled_calls": account.throttled.total() - throttled,
            "calls": dict(sorted(calls.items())),
        }

    def leak(self) -> int:
        """Remove one of 100 numbers from their stacks, as if CloudFormation had dropped it. Returns how many."""
        stacks = list(self._stacks.values())
        # Each of the next ten has another place in _TYPES.
        leaked = [100 * hundred + hundred % len(_TYPES) for hundred in range(self._count // 100)]
        for number in leaked:
            del stacks[number // _NUMBERS_PER_STACK].resources[f"Number{number}"]
        return len(leaked)

    @property
    def _tables(self) -> Mapping[str, dict[Any, Any]]:
        """The records of the local services, by type."""
        stores = map(self._account.services.store, (pinpointsmsvoicev2_backends, telecomconnect_backends))
        sms, connect = (store[ACCOUNT_ID][REGION] for store in stores)
        return {_SMS: sms.phone_numbers, _SENDER: sms.sender_ids, _CONNECT: connect.claimed}

    def _sleep(self, seconds: float) -> None:
        self._provider.call(lambda: self._account.clock.sleep(seconds))

    def _originals(self) -> Mapping[str, _Original]:
        """Create a number of each type, and remove it from the services."""
        with self._provider.without_limits():
            declared = {
                _SMS: SIMULATOR,
                _SENDER: {"SenderId": "ORIGINAL", "IsoCountryCode": "GB"},
                _CONNECT: {"TargetArn": self._provider.create_instance(), "CountryCode": "US", "Type": "DID"},
            }
            requests = [Request(f"Original{name}", f"Custom::{name}", values) for name, values in declared.items()]
            self._provider.run(requests)
        self._account.stacks.default = None
        found = {}
        for name, request in zip(declared, requests, strict=True):
            [record] = self._tables[name].values()
            self._tables[name].clear()
            items = [item for item in self._account.table.items() if request.logical_id in json.dumps(item)]
            writes = tuple(json.dumps({"Item": item}) for item in items)
            response = self._provider.response(request).content
            found[name] = _Original(response["StackId"], response["PhysicalResourceId"], record, writes)
        return found

    def _copy(self, number: int, original: _Original) -> None:
        """Add a copy of a number to a stack, the state table and the service."""
        name, record = _TYPES[number % len(_TYPES)], original.record
        logical_id, stack = f"Number{number}", number // _NUMBERS_PER_STACK
        own_id = {_SMS: f"phone-{number:032x}", _SENDER: f"S{number}", _CONNECT: str(UUID(int=number))}[name]
        texts = {"/bulk-0/": f"/bulk-{stack}/", f"Original{name}": logical_id, record.id: own_id}
        texts |= {record.number: f"+1206{number:07}"} if hasattr(record, "number") else {}

        def copied(text: str) -> str:
            for old, new in texts.items():
                text = text.replace(old, new)
            return text

        values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        own = {field: copied(value) for field, value in values.items() if isinstance(value, str)}
        tags = TagStore()
        tags.write({key: copied(value) for key, value in record.tags.written.items()}, self._account.clock.now, 0)
        added = dataclasses.replace(record, **own, serial=number, tags=tags)
        self._tables[name][(own_id, record.country) if name == _SENDER else own_id] = added
        for write in original.writes:
            self._account.table.call("PutItem", copied(write).encode())
        stack_id, physical_id = copied(original.stack_id), copied(original.physical_id)
        known = self._stacks.get(stack_id) or self._account.stacks.know(stack_id)
        known.resources[logical_id] = (physical_id, "CREATE_COMPLETE")
        known.add(logical_id, "CREATE_COMPLETE", physical_id, resource_type=f"Custom::{name}")


def _remote_calls(calls: Counter[str]) -> int:
    return _calls_of(calls, *_SERVICES, "cloudformation")


def _calls_of(calls: Counter[str], *services: str) -> int:
    return sum(number for name, number in calls.items() if name.split(".")[0] in services)
