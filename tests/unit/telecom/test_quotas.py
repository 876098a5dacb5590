"""Service Quotas: the quota of phone numbers of Amazon Connect."""

from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import error_of
from tests.unit.telecom.conftest import cached_client

QUOTA = {"ServiceCode": "connect", "QuotaCode": "L-8F812903"}


@pytest.fixture
def quotas(server: TelecomServer) -> Any:
    return cached_client(server.url, "service-quotas")


@pytest.mark.parametrize(
    ("level", "values"),
    [("default", [None, None, 7]), ("account", [None, 7, 10]), ("resource", [7, 10, 10])],
)
def test_value_of_each_level(server: TelecomServer, quotas: Any, instance: str, level: str, values: list[Any]) -> None:
    server.configure(connect_numbers=7, quota_level=level)
    asked: list[tuple[Any, dict[str, str]]] = [
        (quotas.get_service_quota, QUOTA | {"ContextId": instance}),
        (quotas.get_service_quota, QUOTA),
        (quotas.get_aws_default_service_quota, QUOTA),
    ]
    for (call, parameters), value in zip(asked, values, strict=True):
        if value is None:
            assert error_of(call, **parameters)["Code"] == "NoSuchResourceException"
        else:
            assert call(**parameters)["Quota"]["Value"] == value


@pytest.mark.parametrize("changed", [{"ServiceCode": "sms-voice"}, {"QuotaCode": "L-00000000"}])
def test_other_quotas_do_not_exist(quotas: Any, changed: dict[str, str]) -> None:
    assert error_of(lambda: quotas.get_service_quota(**QUOTA | changed))["Code"] == "NoSuchResourceException"


def test_invalid_input_and_other_operations_are_refused(quotas: Any) -> None:
    assert (
        error_of(lambda: quotas.get_service_quota(**QUOTA | {"QuotaCode": "1"}))["Code"] == "IllegalArgumentException"
    )
    assert error_of(quotas.list_services)["Code"] == "IllegalArgumentException"


def test_calls_are_throttled(server: TelecomServer, quotas: Any) -> None:
    server.configure(rate=True)
    refused = error_of(lambda: [quotas.get_service_quota(**QUOTA) for _ in range(50)])
    assert refused["Code"] == "TooManyRequestsException"
    assert server.calls()["service-quotas.GetServiceQuota"] > 5
