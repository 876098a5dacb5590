"""The contract, inbound: what is an event of CloudFormation's, and where its answer may go."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader

from telephony.cloudformation.request import NotARequestError, ResponseHostRefusedError, parse
from tests.contract.cloudformation import event

HOST = "cloudformation-custom-resource-response-useast1.s3.amazonaws.com"
DNS_SUFFIXES = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
    "aws-eusc": "eusc-de-east-1",
}


def stack_id(partition: str = "aws", region: str = "us-east-1") -> str:
    return f"arn:{partition}:cloudformation:{region}:123456789012:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"


def parsed(url: str, allowed: frozenset[str] = frozenset(), **fields: Any) -> Any:
    fields = {"request_type": "Create"} | fields
    request_type = fields.pop("request_type")
    return parse(event(request_type, response_url=url, **fields), allowed_hosts=allowed)


def suffix_of(partition: str) -> str:
    known = Loader().load_data("partitions")["partitions"]
    return str(next(one["outputs"]["dnsSuffix"] for one in known if one["id"] == partition))


@pytest.mark.parametrize(("partition", "region"), DNS_SUFFIXES.items())
@pytest.mark.parametrize(
    "form", ["{bucket}.s3.{suffix}", "{bucket}.s3-{region}.{suffix}", "{bucket}.s3.{region}.{suffix}"]
)
def test_every_partition_is_answered_in_every_form_of_its_bucket(partition: str, region: str, form: str) -> None:
    bucket = f"cloudformation-custom-resource-response-{region.replace('-', '')}"
    host = form.format(bucket=bucket, region=region, suffix=suffix_of(partition))

    request = parsed(f"https://{host}/x?X-Amz-Signature=1", stack_id=stack_id(partition, region))

    assert request.response_url.startswith(f"https://{host}/")


def test_every_partition_that_botocore_knows_is_known() -> None:
    known = {one["id"] for one in Loader().load_data("partitions")["partitions"]}

    assert known == set(DNS_SUFFIXES)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}/x",
        f"https://{HOST}:443/x",
        f"https://{HOST.upper()}/x",
        f"HTTPS://{HOST}/x?y#z",
    ],
)
def test_the_bucket_of_the_stacks_region_is_answered(url: str) -> None:
    assert parsed(url).response_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        f"http://{HOST}/x",
        f"ftp://{HOST}/x",
        f"//{HOST}/x",
        f"https://{HOST}:80/x",
        f"https://{HOST}:8443/x",
        f"https://{HOST}:99999/x",
        f"https://{HOST}:port/x",
        f"https://user@{HOST}/x",
        f"https://user:secret@{HOST}/x",
        f"https://@{HOST}/x",
        f"https://{HOST}@example.net/x",
        f"https://{HOST}:443@example.net/x",
        f"https://{HOST}.example.net/x",
        f"https://{HOST}./x",
        f"https://x{HOST}/x",
        f"https://x.{HOST}/x",
        f"https://example.net/{HOST}/x",
        f"https://example.net?{HOST}",
        f"https://example.net#{HOST}",
        f"https://example.net\\.{HOST}/x",
        f"https://example.net\\@{HOST}/x",
        "https://cloudformation-custom-resource-response-useast1-evil.s3.amazonaws.com/x",
        "https://cloudformation-custom-resource-response-useast1evil.s3.amazonaws.com/x",
        "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.cn/x",
        "https://cloudformation-custom-resource-response-useast1.s3-us-west-2.amazonaws.com/x",
        "https://cloudformation-custom-resource-response-uswest2.s3.amazonaws.com/x",
        "https://s3.amazonaws.com/cloudformation-custom-resource-response-useast1/x",
        "https://cloudformation-custom-resource-response-useast1.s3.dualstack.us-east-1.example.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::1/x",
        "https:///x",
    ],
)
def test_no_other_host_is_answered(url: str) -> None:
    with pytest.raises(NotARequestError) as refused:
        parsed(url)
    assert "secret" not in str(refused.value)
    assert "example.net" not in str(refused.value)


@pytest.mark.parametrize(("whitespace", "place"), [("\n", 8), ("\t", 20), ("\r", 8 + len(HOST)), (" ", 0)])
def test_a_url_that_cannot_be_called_is_refused_before_anything_is_bought(whitespace: str, place: int) -> None:
    """urlsplit drops such characters, urllib3 does not: what was checked would not be what is called."""
    url = f"https://{HOST}/x"

    with pytest.raises(NotARequestError):
        parsed(url[:place] + whitespace + url[place:])


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("localhost:8443", "https://localhost:8443/x"),
        ("localhost", "https://localhost/x"),
        ("localhost:443", "https://localhost/x"),
    ],
)
def test_a_host_that_the_deployer_allows_is_answered(allowed: str, url: str) -> None:
    assert parsed(url, frozenset({allowed})).response_url == url


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("localhost:8443", "https://localhost:8444/x"),
        ("localhost:8443", "https://localhost/x"),
        ("localhost", "http://localhost/x"),
        ("localhost", "https://user@localhost/x"),
        ("localhost", "https://localhost.example.net/x"),
    ],
)
def test_an_allowed_host_is_exactly_that_one(allowed: str, url: str) -> None:
    with pytest.raises(ResponseHostRefusedError):
        parsed(url, frozenset({allowed}))


def test_a_partition_that_nobody_knows_is_refused_and_not_guessed() -> None:
    with pytest.raises(ResponseHostRefusedError):
        parsed(f"https://{HOST}/x", stack_id=stack_id("aws-moon"))


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
def test_a_stack_id_is_the_arn_of_a_stack(forged: str) -> None:
    with pytest.raises(NotARequestError):
        parsed(f"https://{HOST}/x", stack_id=forged)


def test_a_request_carries_what_the_event_said() -> None:
    issued = "X-Amz-Date=20261121T080000Z"
    request = parsed(
        f"https://{HOST}/x?{issued}&X-Amz-Expires=7200",
        request_type="Update",
        request_id="r",
        logical_id="Number",
        resource_type="Custom::SmsPhoneNumber",
        properties={"ServiceTimeout": 90, "Colour": "red"},
        old_properties={},
        physical_id="phone-1",
    )

    assert (request.request_type, request.request_id, request.logical_resource_id) == ("Update", "r", "Number")
    assert (request.resource_type, request.physical_resource_id) == ("Custom::SmsPhoneNumber", "phone-1")
    assert request.service_timeout == 90
    assert request.issued_at == 1795248000
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
def test_the_age_of_a_request_is_read_from_its_url_or_not_known(query: str, issued_at: float | None) -> None:
    assert parsed(f"https://{HOST}/x?{query}").issued_at == issued_at


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("60", 60), ("3600", 3600), ("1", 1), ("0", 3600), ("3601", 3600), ("-5", 3600), ("x", 3600), (None, 3600)],
)
def test_the_service_timeout_is_read_or_an_hour(given: str | None, seconds: int) -> None:
    assert parsed(f"https://{HOST}/x", properties={"ServiceTimeout": given}).service_timeout == seconds


@pytest.mark.parametrize("broken", [["60"], {"a": "1"}, True, 1.5, "²", "٣"])
def test_a_service_timeout_that_cannot_be_read_is_no_reason_to_fail(broken: object) -> None:
    sent = event("Create", response_url=f"https://{HOST}/x")
    sent["ResourceProperties"]["ServiceTimeout"] = broken

    assert 0 < parse(sent, allowed_hosts=frozenset()).service_timeout <= 3600


@pytest.mark.parametrize("sent", [None, [], "", 7, {}, {"RequestType": "Create"}, {"detail-type": "Scheduled Event"}])
def test_what_is_no_event_is_refused(sent: object) -> None:
    with pytest.raises(NotARequestError):
        parse(sent, allowed_hosts=frozenset())


@pytest.mark.parametrize("name", ["StackId", "RequestId", "LogicalResourceId", "ResourceType", "ResponseURL"])
@pytest.mark.parametrize("value", [None, "", 7, [], {}])
def test_a_field_that_is_missing_or_no_text_is_refused_by_its_name_alone(name: str, value: object) -> None:
    sent = event("Create", response_url=f"https://{HOST}/x?X-Amz-Signature=abc")
    sent[name] = value

    with pytest.raises(NotARequestError) as refused:
        parse(sent, allowed_hosts=frozenset())
    assert name in str(refused.value)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize("request_type", ["create", "CREATE", "Read", "", None, ["Create"]])
def test_an_unknown_request_type_is_refused(request_type: object) -> None:
    sent = event("Create", response_url=f"https://{HOST}/x")
    sent["RequestType"] = request_type

    with pytest.raises(NotARequestError):
        parse(sent, allowed_hosts=frozenset())


@pytest.mark.parametrize("request_type", ["Update", "Delete"])
def test_a_request_that_needs_a_physical_id_is_refused_without(request_type: Any) -> None:
    more: dict[str, Any] = {"old_properties": {}} if request_type == "Update" else {}
    sent = event(request_type, response_url=f"https://{HOST}/x", physical_id="phone-1", **more)
    del sent["PhysicalResourceId"]

    with pytest.raises(NotARequestError):
        parse(sent, allowed_hosts=frozenset())


def test_neither_the_url_nor_a_property_stands_in_the_repr_of_a_request() -> None:
    request = parsed(f"https://{HOST}/x?X-Amz-Signature=abc", properties={"Code": "swordfish"})

    assert "Signature" not in repr(request)
    assert "swordfish" not in repr(request)
