"""What can go wrong around the provider, what CloudFormation or Lambda does then, and what the provider promises.

A test that shows a promise names it: `@pytest.mark.shows("delivered twice, one after the other")`. Crash runs have no
marker, but a pattern of their names. docs/faults.md is this catalogue with the tests (tools/fault_matrix.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Fault:
    """One fault; `name` is what the markers say."""

    name: str
    then: str
    """What CloudFormation, Lambda or the service does."""
    promise: str
    runs: tuple[str, ...] = ()
    """Names of the crash runs that show it, as `python -m tests.faults --only` takes them."""


@attrs.frozen
class ContractTest:
    """One of CloudFormation's contract tests for registry types, and what it comes to for a custom resource."""

    name: str
    here: str


FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "Events": (
        Fault(
            "delivered twice, one after the other",
            "Lambda delivers an event at least once, and may repeat one that ended well.",
            "One purchase. The repetition sends the bytes of the first answer again.",
        ),
        Fault(
            "delivered twice at the same moment",
            "Lambda runs both.",
            "One purchase. One run works; the other waits for it and sends the same bytes, or, out of time, sends "
            "nothing and raises.",
            runs=("*/create/none/race@forget", "*/create/stop*/twin"),
        ),
        Fault(
            "a Create that comes after its Delete",
            "CloudFormation has cancelled the Create, and Lambda delivers it late.",
            "Nothing is bought.",
        ),
        Fault(
            "a Create that comes after its ServiceTimeout",
            "CloudFormation has given the Create up; Lambda keeps an event for up to six hours.",
            "Nothing is bought: the age of a request stands in its ResponseURL.",
        ),
        Fault(
            "an event that is not CloudFormation's",
            "Somebody else invokes the function, with anything.",
            "It is refused and raised. Nothing is called, and nothing sent, least of all to the event before it.",
        ),
        Fault(
            "another resource in the same container",
            "Lambda hands the next event, of any stack, to the same process.",
            "Nothing of one event is in the answer or the log of the next.",
        ),
        Fault(
            "fifty numbers in one stack",
            "CloudFormation sends fifty Creates at once; the services allow one or two calls a second.",
            "The calls stand in line, what is throttled all the same is repeated, and each number is bought once.",
        ),
    ),
    "Deaths": (
        Fault(
            "killed at any call of a Create, and run again",
            "Lambda runs the event again, one and two minutes later.",
            "SUCCESS, with one number, bought once.",
            runs=("*/create/kill*/retries",),
        ),
        Fault(
            "killed at any call of a Create, and never run again",
            "CloudFormation gives up after the ServiceTimeout, and deletes an id that it made up.",
            "The Delete succeeds, and nothing is held.",
            runs=("*/create/kill*/given-up", "*/create/kill*/cancelled"),
        ),
        Fault(
            "a Delete while the Create still runs",
            "Another resource has failed: CloudFormation cancels the Create and deletes an id that it made up.",
            "Nothing is held, and both are answered.",
            runs=("*/create/stop*/meanwhile",),
        ),
        Fault(
            "little time left in the invocation",
            "Lambda ends the run, whatever it is at.",
            "Nothing is bought in the last seconds: the run raises, and the next one buys.",
        ),
        Fault(
            "all retries spent",
            "Lambda puts the event into the on-failure queue, which the last resort reads.",
            "What is recorded is sent as it is. What is not known is looked for, and answered FAILED with the real id "
            "if there is one. Nothing new is bought.",
            runs=("*/create/kill*/last-resort",),
        ),
    ),
    "Telecom services": (
        Fault(
            "a purchase whose answer never comes",
            "The service buys and says nothing until the call times out.",
            "The call is given up after 20 seconds. What it bought is found by its tags, or, where they do not show, "
            "by the same call with the same ClientToken: one number.",
        ),
        Fault(
            "a purchase whose answer is lost, and its token forgotten",
            "The service would sell another one under the same ClientToken.",
            "The number is found by the tags that it was bought with, before another attempt is made.",
            runs=("*/create/kill*/retries@forget",),
        ),
        Fault(
            "tags that show late",
            "What was bought carries its tags, and no listing shows them yet.",
            "A retry is covered by the ClientToken; Connect's, whose number was chosen, waits for the tags. A Delete "
            "succeeds and leaves a SUSPECT purchase, which the sweep reports, or, if it may, releases.",
            runs=("*/create/kill*/retries@late", "*/create/kill*/cancelled@later"),
        ),
        Fault(
            "calls that are throttled",
            "The service refuses for now; whoever else uses the account is first.",
            "The call is repeated with growing, jittered pauses as long as there is time; then the event runs again.",
        ),
        Fault(
            "a purchase that is refused",
            "The service says no: a quota, a permission, a price, a wrong value.",
            "FAILED at once with the service's code, and an id that says that nothing was made. Its Delete succeeds "
            "without a call.",
        ),
        Fault(
            "a number that stays PENDING",
            "Activation can take days; CloudFormation waits for an hour at most.",
            "SUCCESS with Status PENDING. With WaitForActive: FAILED before the time is over, with the real id, which "
            "the rollback releases.",
        ),
        Fault(
            "a role that was created a moment ago",
            "The service cannot assume it yet (RESOURCE_NOT_ACCESSIBLE).",
            "It is tried again for two minutes; then FAILED with what to check.",
        ),
        Fault(
            "a sender ID that exists and is somebody else's",
            "The service refuses a second one, or silently gives the first.",
            "FAILED with AlreadyExists. The Delete that follows leaves it alone.",
        ),
    ),
    "State table": (
        Fault(
            "no state table before the purchase",
            "DynamoDB cannot be reached, is silent, refuses or throttles.",
            "Nothing is bought without the ledger. The run raises within ten seconds, and the next one buys.",
        ),
        Fault(
            "no state table after the purchase",
            "DynamoDB fails at any later write.",
            "The run raises or repeats the write; the next run takes what was bought.",
            runs=("*/create/reset*/retries", "*/create/error*/retries"),
        ),
    ),
    "Answer": (
        Fault(
            "an answer that is not taken at once",
            "S3 answers 503, or breaks the connection.",
            "The same bytes are sent again until they are taken.",
        ),
        Fault(
            "an answer that is refused",
            "S3 answers 403 or 404: the URL has expired, or was altered.",
            "One attempt, since no other would fare better. The run raises: Lambda's retry sends the answer again, "
            "and after that the last resort.",
        ),
        Fault(
            "an answer that reaches nobody",
            "The connection is refused, the name unknown, the certificate another one's, the host silent.",
            "It is tried until shortly before the invocation ends; then the run raises. The URL stands in no error.",
        ),
        Fault(
            "an answer that is sent elsewhere",
            "The host redirects (307).",
            "The redirection is not followed, and does not count as taken.",
        ),
        Fault(
            "a Reason of any length and alphabet",
            "CloudFormation takes 4096 bytes and no more.",
            "The body fits and is valid JSON, the ids whole; the Reason loses its end.",
        ),
        Fault(
            "attributes of any shape and size",
            "CloudFormation takes strings, and 4096 bytes in all.",
            "Every attribute is a string. What does not fit is FAILED with the real id, never a body that is refused.",
        ),
    ),
    "Updates": (
        Fault(
            "a change in place",
            "CloudFormation sends an Update; the same id in the answer means the same resource.",
            "The id stays. What differs is changed, in as few calls as it takes, and nothing else.",
        ),
        Fault(
            "a change that needs another number",
            "Another id in the answer makes CloudFormation delete the first one after the whole update.",
            "Refused unless it is allowed. If it is: one is bought, and the Update releases nothing.",
        ),
        Fault(
            "the cleanup after a replacement",
            "CloudFormation deletes the old id when all of the stack is updated; after three failures it forgets it.",
            "The old number is released, the new one is not touched.",
            runs=("*/cleanup/kill*/retries",),
        ),
        Fault(
            "a replacement that fails half way",
            "CloudFormation rolls back, with the id that the answer named.",
            "FAILED with the old id, and the new number is released; if that fails too, with the new id, so that "
            "CloudFormation deletes it.",
            runs=("*/replace/kill*/retries",),
        ),
        Fault(
            "a replacement whose answer is lost",
            "CloudFormation sends the rollback with the old id; nobody ever names the new one.",
            "The rollback releases what it was never told of, and the first number lives.",
            runs=("*/replace/kill*/given-up", "*/replace/kill*/cancelled"),
        ),
        Fault(
            "the rollback of a change that failed half way",
            "CloudFormation sends an Update with the properties of before; the old ones are those that failed.",
            "The number is read, and brought back to what is declared.",
            runs=("*/update/kill*/rolled-back",),
        ),
        Fault(
            "an Update of a number that is gone",
            "Somebody released it by hand; CloudFormation does not know.",
            "FAILED with NotFound and what to do. None is bought in its place.",
        ),
    ),
    "Deletes": (
        Fault(
            "a Delete that comes again",
            "CloudFormation or an operator repeats it; Lambda delivers it twice.",
            "SUCCESS: what is gone is gone.",
            runs=("*/delete/kill*/retries",),
        ),
        Fault(
            "a Delete of a protected number",
            "The service refuses while deletion protection is on.",
            "FAILED with what to do, unless OnDelete allows to lift it. The rollback of a Create that failed is never "
            "stopped by the protection that this Create switched on.",
        ),
        Fault(
            "a Delete of a number in use",
            "The service refuses: it is in a pool, the last of a pool, or in a registration.",
            "FAILED with what to do. Where OnDelete allows it, the number leaves its pool, however long that takes.",
        ),
        Fault(
            "a forged Delete",
            "Who may invoke the function can name any id.",
            "A number is released, or changed, only if the ledger or its tags say that this resource of this stack "
            "owns it.",
        ),
        Fault(
            "a Delete with properties that nobody would accept",
            "CloudFormation sends what an older version had accepted, or what the Create was refused for.",
            "A Delete never fails for its properties.",
        ),
    ),
    "Declarations and secrets": (
        Fault(
            "a boolean in another spelling",
            "CloudFormation sends every value as a string.",
            "true and false; anything else is FAILED and names the property. Nothing is called.",
        ),
        Fault(
            "a secret in anything that is written",
            "Logs, tables, stack events and exceptions are read by many.",
            "Neither a signature of a ResponseURL nor a NoEcho value is in any of them, at any log level. Every test "
            "of the provider looks for both afterwards.",
            runs=("*/create/kill*/retries",),
        ),
    ),
}

CONTRACT_TESTS: tuple[ContractTest, ...] = (
    ContractTest("contract_create_delete", "The answer to a Create gives what was declared; its Delete succeeds."),
    ContractTest(
        "contract_create_create",
        "Declaring the same once more: AlreadyExists where the id is the declarer's to choose (sender IDs); elsewhere "
        "another number. The same request once more makes nothing.",
    ),
    ContractTest("contract_create_read", "The service has what was declared. There is no read handler to ask."),
    ContractTest("contract_create_list", "The sweep's listing holds it. There is no list handler to ask."),
    ContractTest("contract_create_taggable", "Declared tags are there, beside those of the provider."),
    ContractTest("contract_update_read", "The id stays, and the service has what is declared now."),
    ContractTest("contract_update_list", "The id stays in the sweep's listing."),
    ContractTest("contract_update_tag_updatable", "Tags that are declared otherwise are changed in place."),
    ContractTest("contract_update_without_create", "FAILED with NotFound and a message."),
    ContractTest("contract_delete_read", "The service has it no more."),
    ContractTest("contract_delete_list", "The sweep's listing holds it no more."),
    ContractTest("contract_delete_update", "FAILED with NotFound and a message."),
    ContractTest(
        "contract_delete_delete",
        "SUCCESS instead of NotFound: a custom resource has no error codes, and a FAILED Delete would keep the stack "
        "from going. The answer holds no attributes.",
    ),
    ContractTest(
        "contract_delete_create", "The same declaration makes another one, under the same id if it was chosen."
    ),
    ContractTest(
        "every failure has a code and a message",
        "Every Reason begins with one of CloudFormation's error codes, followed by a sentence.",
    ),
    ContractTest(
        "every handler ends in time",
        "An answer comes before the ServiceTimeout is over. IN_PROGRESS is nothing that a custom resource can answer.",
    ),
)
