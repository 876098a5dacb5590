"""What no role can do, and what the policies can't prevent. test_permissions.py tests what each role needs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.contract.iam import reference
from tests.contract.iam.calls import arn, request, tag_keys
from tests.contract.iam.evaluation import Statement
from tests.contract.iam.template import Principal, Template
from tests.contract.test_permissions import FUNCTIONS, WIDEST
from tests.contract.test_sms_phone_number import ROLE as PASSED

ROLES = [*FUNCTIONS.values()]
PURCHASING = {"ProviderRole", "ContinuationRole"}
OWN = {"cfn-telephony:managed-by": "cfn-telephony"}
ADOPTED = {"cfn-telephony:managed-by": "cfn-telephony-adopted"}
OTHER = {"cfn-telephony:managed-by": "another"}
NUMBERS = [
    arn("sms-voice", "phone-number/phone-1"),
    arn("sms-voice", "sender-id/ACME/GB"),
    arn("connect", "phone-number/11111111-1111-4111-8111-111111111111"),
]
"""A resource of each type."""
JOIN_POOL = "sms-voice:AssociateOriginationIdentity"
"""Allowed for every number: a purchase needs it before the number has its tags. Joining a pool is free of charge."""
ANY_CONNECT_NUMBER = arn("connect", "phone-number/*")
PURCHASES = {
    "sms-voice:RequestPhoneNumber": "*",
    "sms-voice:RequestSenderId": "*",
    "connect:ClaimPhoneNumber": ANY_CONNECT_NUMBER,
    "connect:ImportPhoneNumber": ANY_CONNECT_NUMBER,
}
"""The resources of actions that purchase."""
REDRIVE = "arn:aws:iam::123456789012:role/operations/redrive"
ADMINISTRATOR = "arn:aws:iam::123456789012:role/administrator"
EVERYTHING = Statement("", "", "Allow", ("*",), ("*",), ())


def changes(
    principal: Principal, number: str, tags: Mapping[str, str], requested: Mapping[str, str] | None = None
) -> set[str]:
    """Every action of the service with which the principal can change the number.

    tags: of the number. requested: the tags in the request.
    """
    context = tag_keys("ResourceTag", tags) | tag_keys("RequestTag", requested or {})
    writes = filter(reference.is_write, reference.actions_on(number))
    return {action for action in writes if principal.decide(request(action, number, context)).allowed}


def test_statements_use_only_what_their_actions_support() -> None:
    """Source: Service Authorization Reference. A key that an action does not support is in none of its requests."""
    statements = {one for principal in WIDEST.roles().values() for one in principal.statements}
    for statement in statements:
        for action in {*statement.actions} - {"sqs:*"}:
            assert reference.exists(action), action
            supported = [one for one in statement.resources if reference.supports(action, one)]
            assert supported, f"{statement.sid}: {action} supports none of these resources"
            keys = {reference.general_key(key) for _, key, _ in statement.conditions}
            for resource in supported:
                assert keys <= reference.condition_keys(action, resource), f"{statement.sid}: {action} on {resource}"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("tags", [{}, OTHER, {"team": "cfn-telephony"}])
def test_number_without_the_tag_cannot_be_changed_or_released(role: str, number: str, tags: dict[str, str]) -> None:
    principal = WIDEST.roles()[role]

    assert changes(principal, number, tags) <= {JOIN_POOL}
    assert changes(principal, number, tags, OTHER) <= {JOIN_POOL}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", NUMBERS)
def test_number_of_another_account_cannot_be_changed_although_it_has_the_tag(role: str, number: str) -> None:
    shared = number.replace(":123456789012:", ":210987654321:")

    assert changes(WIDEST.roles()[role], shared, OWN, OWN) == set()


@pytest.mark.parametrize("number", NUMBERS)
def test_number_without_the_tag_can_be_tagged_like_a_purchase(number: str) -> None:
    """The policies can't prevent this: a purchase sets its tags with the same action, before its ID is known."""
    tag = f"{number.split(':')[2]}:TagResource"

    assert {role for role in ROLES if tag in changes(WIDEST.roles()[role], number, {}, OWN)} == PURCHASING


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", NUMBERS)
def test_number_keeps_its_ownership_tags(role: str, number: str) -> None:
    principal, service, tags = WIDEST.roles()[role], number.split(":")[2], tag_keys("ResourceTag", OWN)

    def allowed(action: str, context: dict[str, tuple[str, ...]]) -> bool:
        return principal.decide(request(f"{service}:{action}", number, tags | context)).allowed

    assert allowed("TagResource", tag_keys("RequestTag", {"team": "sms"})) == (role in PURCHASING)
    assert allowed("UntagResource", {"aws:TagKeys": ("team",)}) == (role in PURCHASING)
    assert not allowed("TagResource", tag_keys("RequestTag", OTHER))
    assert not allowed("UntagResource", {"aws:TagKeys": ("team", "cfn-telephony:managed-by")})
    assert not allowed("UntagResource", {"aws:TagKeys": ("cfn-telephony:request-id",)})


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", NUMBERS)
def test_adopted_number_can_be_changed_and_never_released(role: str, number: str) -> None:
    adopted = changes(WIDEST.roles()[role], number, ADOPTED)

    assert not [action for action in adopted if "Release" in action]
    assert bool(adopted - {JOIN_POOL}) == (role in PURCHASING)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", NUMBERS)
def test_number_can_be_adopted_only_if_parameter_allows_it(role: str, number: str) -> None:
    tag = f"{number.split(':')[2]}:TagResource"

    assert (tag in changes(WIDEST.roles()[role], number, {}, ADOPTED)) == (role in PURCHASING)
    assert tag not in changes(Template().roles()[role], number, {}, ADOPTED)
    assert changes(Template().roles()[role], number, ADOPTED) <= {JOIN_POOL}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", PURCHASES)
def test_purchase_requires_the_tag(role: str, action: str) -> None:
    def allowed(tags: Mapping[str, str]) -> bool:
        return WIDEST.roles()[role].decide(request(action, PURCHASES[action], tag_keys("RequestTag", tags))).allowed

    assert allowed(OWN) == (role in PURCHASING)
    assert not allowed({})
    assert not allowed(OTHER)


@pytest.mark.parametrize("number", NUMBERS)
def test_sweep_can_release_only_if_parameter_allows_it(number: str) -> None:
    assert changes(Template().roles()["SweepRole"], number, OWN, OWN) == set()

    releases = changes(WIDEST.roles()["SweepRole"], number, OWN, OWN)
    assert {action.partition(":")[2].startswith(("Release", "Update", "Disassociate")) for action in releases} == {True}


@pytest.mark.parametrize("redrive", [set(), {REDRIVE}])
def test_only_provider_sends_and_only_continuation_receives(redrive: set[str]) -> None:
    """The policies of the queues deny it to everyone else, even to roles that are allowed everything."""
    template = Template(RedriveRoleArn="".join(redrive))
    provider, continuation, *others = (template.arn(role) for role in ROLES)
    sqs = ""  # has no ARN as a principal
    arns = (provider, continuation, *others, REDRIVE, ADMINISTRATOR, sqs)
    principals = [Principal(one, (EVERYTHING, *template.resource_policies())) for one in arns]

    def allowed(action: str, queue: str, *, secure: bool = True) -> set[str]:
        call = request(f"sqs:{action}", template.arn(queue), {})
        return {principal.arn for principal in principals if principal.decide(call, secure=secure).allowed}

    assert allowed("SendMessage", "RequestQueue") == {provider} | redrive
    assert allowed("ReceiveMessage", "RequestQueue") == {continuation}
    assert allowed("SendMessage", "DeadLetterQueue") == {sqs}
    assert allowed("ReceiveMessage", "DeadLetterQueue") == redrive
    for queue in ("RequestQueue", "DeadLetterQueue"):
        assert allowed("DeleteMessage", queue) == {*arns}
        assert allowed("DeleteMessage", queue, secure=False) == set()


@pytest.mark.parametrize(
    ("parameter", "value", "action", "resource"),
    [
        ("PoolArns", arn("sms-voice", "pool/pool-1"), JOIN_POOL, "pool/pool-{}"),
        ("PoolArns", arn("sms-voice", "pool/pool-1"), "sms-voice:DisassociateOriginationIdentity", "pool/pool-{}"),
        ("ConnectTargetArns", arn("connect", "instance/1"), "connect:ClaimPhoneNumber", "instance/{}"),
        ("ConnectTargetArns", arn("connect", "instance/1"), "connect:ImportPhoneNumber", "instance/{}"),
        ("ConnectTargetArns", arn("connect", "instance/1"), "connect:UpdatePhoneNumber", "instance/{}"),
        ("StateTableName", "table1", "dynamodb:PutItem", "table/table{}"),
    ],
)
@pytest.mark.parametrize("role", sorted(PURCHASING))
def test_parameter_restricts_the_roles(parameter: str, value: str, action: str, resource: str, role: str) -> None:
    restricted = Template(**{parameter: value}).roles()[role]

    def allowed(number: int) -> bool:
        named = arn(action.partition(":")[0], resource.format(number))
        return restricted.decide(request(action, named, {})).allowed

    assert allowed(1)
    assert not allowed(2)


@pytest.mark.parametrize("role", ROLES)
def test_only_listed_roles_are_passed_and_only_to_the_sms_service(role: str) -> None:
    def allowed(template: Template, passed: str = PASSED, service: str = "sms-voice.amazonaws.com") -> bool:
        call = request("iam:PassRole", passed, {"iam:PassedToService": (service,)})
        return template.roles()[role].decide(call).allowed

    assert allowed(WIDEST) == (role in PURCHASING)
    assert not allowed(WIDEST, service="lambda.amazonaws.com")
    assert not allowed(WIDEST, passed=ADMINISTRATOR)
    assert not allowed(Template())
