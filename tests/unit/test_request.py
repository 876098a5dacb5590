"""Parsing of events: what counts as a request of CloudFormation, and which hosts may receive a response."""

from typing import Any

import pytest
from botocore.loaders import Loader

from telephony.cloudformation.request import NotARequestError, Request, ResponseHostRefusedError, parse
from tests.contract.cloudformation import event

HOST = "cloudformation-custom-resource-response-useast1.s3.amazonaws.com"
URL = f"https://{HOST}/x"
PARTITIONS = {
    partition["id"]: (
        next(region for region in partition["regions"] if "global" not in region),
        partition["outputs"]["dnsSuffix"],
    )
    for partition in Loader().load_data("partitions")["partitions"]
}


def stack_id(partition: str = "aws", region: str = "us-east-1") -> str:
    return f"arn:{partition}:cloudformation:{region}:123456789012:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"


def parsed(url: str = URL, *, allowed: frozenset[str] = frozenset(), **fields: Any) -> Request:
    return parse(event(fields.pop("request_type", "Create"), response_url=url, **fields), allowed_hosts=allowed)


def changed(**fields: Any) -> dict[str, Any]:
    """Return a valid event with changed fields."""
    return event("Create", response_url=f"{URL}?X-Amz-Signature=abc") | fields


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize(
    "form", ["{bucket}.s3.{suffix}", "{bucket}.s3-{region}.{suffix}", "{bucket}.s3.{region}.{suffix}"]
)
def test_response_bucket_is_accepted_in_every_partition(partition: str, form: str) -> None:
    region, suffix = PARTITIONS[partition]
    bucket = f"cloudformation-custom-resource-response-{region.replace('-', '')}"
    url = f"https://{form.format(bucket=bucket, region=region, suffix=suffix)}/x?X-Amz-Signature=1"

    assert parsed(url, stack_id=stack_id(partition, region)).response_url == url


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("", f"https://{HOST}:443/x"),
        ("", f"https://{HOST.upper()}/x"),
        ("", f"HTTPS://{HOST}/x?y#z"),
        ("localhost:8443", "https://localhost:8443/x"),
        ("localhost", "https://localhost/x"),
        ("localhost:443", "https://localhost/x"),
    ],
)
def test_response_bucket_and_allowed_hosts_are_accepted(allowed: str, url: str) -> None:
    assert parsed(url, allowed=frozenset({allowed})).response_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://{HOST}/x",
        f"//{HOST}/x",
        f"https://{HOST}:8443/x",
        f"https://{HOST}:99999/x",
        f"https://{HOST}:port/x",
        f"https://user:secret@{HOST}/x",
        f"https://@{HOST}/x",
        f"https://{HOST}@example.net/x",
        f"https://{HOST}.example.net/x",
        f"https://{HOST}./x",
        f"https://x{HOST}/x",
        f"https://example.net/{HOST}/x",
        f"https://example.net?{HOST}",
        f"https://example.net\\.{HOST}/x",
        f"https://example.net\\@{HOST}/x",
        "https://cloudformation-custom-resource-response-useast1-evil.s3.amazonaws.com/x",
        "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.cn/x",
        "https://cloudformation-custom-resource-response-useast1.s3-us-west-2.amazonaws.com/x",
        "https://cloudformation-custom-resource-response-uswest2.s3.amazonaws.com/x",
        "https://s3.amazonaws.com/cloudformation-custom-resource-response-useast1/x",
        "https://cloudformation-custom-resource-response-useast1.s3.dualstack.us-east-1.example.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1/x",
        "https:///x",
        # urlsplit drops these characters, urllib3 does not: the checked URL would differ from the called one.
        f"https://\n{HOST}/x",
        f"https://{HOST[:12]}\t{HOST[12:]}/x",
        f" https://{HOST}/x",
        # Unlike the allowed localhost:8443 and allowed.example.org.
        "https://localhost:8444/x",
        "https://localhost/x",
        "http://allowed.example.org/x",
        "https://user@allowed.example.org/x",
        "https://allowed.example.org.example.net/x",
    ],
)
def test_other_response_hosts_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ResponseHostRefusedError if url else NotARequestError) as refused:
        parsed(url, allowed=frozenset({"localhost:8443", "allowed.example.org"}))
    assert "secret" not in str(refused.value)
    assert "example.net" not in str(refused.value)


def test_unknown_partition_is_refused() -> None:
    with pytest.raises(ResponseHostRefusedError):
        parsed(stack_id=stack_id("aws-moon"))


@pytest.mark.parametrize(
    "forged",
    [
        "stack",
        "arn:aws:cloudformation:us-east-1:123456789012:changeSet/x/y",
        "arn:aws:s3:::bucket",
        "arn:aws:cloudformation:us-east-1.evil.net/:123456789012:stack/a/b",
        "arn:aws:cloudformation:us-east-1:12345678901:stack/a/b",
    ],
)
def test_stack_id_must_be_the_arn_of_a_stack(forged: str) -> None:
    with pytest.raises(NotARequestError):
        parsed(stack_id=forged)


def test_request_contains_the_fields_of_the_event() -> None:
    request = parsed(
        request_type="Update",
        request_id="r",
        logical_id="Number",
        resource_type="Custom::SmsPhoneNumber",
        old_properties={},
        physical_id="phone-1",
    )

    assert (request.request_type, request.request_id, request.logical_resource_id) == ("Update", "r", "Number")
    assert (request.resource_type, request.physical_resource_id) == ("Custom::SmsPhoneNumber", "phone-1")
    assert request.not_created_id == "not-created:r"


@pytest.mark.parametrize(
    ("query", "issued_at"),
    [
        ("X-Amz-Date=20261121T080000Z&X-Amz-Expires=7200", 1795248000),
        ("Expires=1795255200&AWSAccessKeyId=x&Signature=y", 1795248000),
        ("", None),
        ("X-Amz-Date=yesterday", None),
        ("X-Amz-Date=20261341T990000Z", None),
        ("Expires=soon", None),
        ("Expires=nan", None),
        ("Expires=inf", None),
        ("Expires=1e999", None),
    ],
)
def test_time_of_issue_is_read_from_the_url(query: str, issued_at: float | None) -> None:
    assert parsed(f"{URL}?{query}").issued_at == issued_at


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("1", 1), ("60", 60), ("3600", 3600), ("٣", 3)),
        *((value, 3600) for value in ("0", "3601", "-5", "x", "²", None, True, 1.5, ["60"], {"a": "1"})),
    ],
)
def test_service_timeout_is_an_hour_if_missing_or_unreadable(value: object, seconds: int) -> None:
    sent = changed(ResourceProperties={"ServiceTimeout": value})
    assert parse(sent, allowed_hosts=frozenset()).service_timeout == seconds


@pytest.mark.parametrize(
    "sent",
    [
        *(None, [], "", 7, {}, {"RequestType": "Create"}, {"detail-type": "Scheduled Event"}),
        *(changed(RequestType=unknown) for unknown in ("create", "CREATE", "Read", "", None, ["Create"])),
        # PhysicalResourceId is missing.
        changed(RequestType="Update", OldResourceProperties={}),
        changed(RequestType="Delete"),
    ],
)
def test_event_that_is_not_a_request_is_refused(sent: object) -> None:
    with pytest.raises(NotARequestError):
        parse(sent, allowed_hosts=frozenset())


@pytest.mark.parametrize("name", ["StackId", "RequestId", "LogicalResourceId", "ResourceType", "ResponseURL"])
@pytest.mark.parametrize("value", [None, "", 7, [], {}])
def test_missing_field_is_refused_by_name_without_its_value(name: str, value: object) -> None:
    with pytest.raises(NotARequestError) as refused:
        parse(changed(**{name: value}), allowed_hosts=frozenset())
    assert name in str(refused.value)
    assert "abc" not in str(refused.value)


def test_repr_of_request_contains_neither_url_nor_properties() -> None:
    request = parsed(f"{URL}?X-Amz-Signature=abc", properties={"Code": "swordfish"})

    assert "Signature" not in repr(request)
    assert "swordfish" not in repr(request)
