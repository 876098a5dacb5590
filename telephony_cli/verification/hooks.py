"""An experiment with a CloudFormation Hook of its own, which is invoked only for a stack of the experiment.

Change sets and stacks show whether the Hook has stopped them, so the function of the Hook stops them if it sees what is
assumed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from telephony.aws import services
from telephony.cloudformation.hook import s3_host
from telephony.settings import settings
from telephony_cli.verification.experiment import Experiment, Finding, Run, experiment, require
from telephony_cli.verification.holdings import IN_OPERATION, stack_status
from telephony_cli.verification.stacks import (
    LAMBDA_COST,
    OPERATION_PERIOD,
    TYPE,
    create_stack,
    custom_resource,
    new_change_set,
    stack_events,
    stack_template,
)

_READY_WITHIN = 300
_SHOWN = {
    True: "The stack was shown.",
    False: "The stack was not shown.",
    None: "The Hook failed, or something else did.",
}
FUNCTION = """
import json, os, re, urllib.parse, urllib.request

def handler(event, context):
    fields = {name.lower(): value for name, value in event.items()}
    request = fields["requestdata"]
    # The name of a change set says what is asked: whether something is seen, or whether it is not.
    asked = re.search("changeSet/(yes|no)-([a-z]+)-", json.dumps(request.get("targetLogicalId")))
    if asked:
        sees, text = {"resources": lists_resource, "host": is_at_s3}[asked[2]](request["payload"])
        stopped = sees == (asked[1] == "yes")
    else:
        stopped, text = shows_stack(os.environ["STACK"]), "The stack is shown."
    status = {"hookStatus": "FAILED", "errorCode": "NonCompliant"} if stopped else {"hookStatus": "SUCCESS"}
    return status | {"message": text, "clientRequestToken": fields["clientrequesttoken"]}

def lists_resource(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        listed = json.load(response).get("changedResources") or []
    declared = ("Replaced", os.environ["TYPE"])
    changed = [each for each in listed if (each["logicalResourceId"], each["resourceType"]) == declared]
    contexts = [json.loads(each.get(f"{name}Context") or "{}") for each in changed for name in ("before", "after")]
    values = [context.get("Properties", {}).get("Country") for context in contexts]
    return values == ["US", "CA"], f"{len(listed)} resources, with the values {values}."

def is_at_s3(url):
    parts = urllib.parse.urlsplit(url)
    matches = re.fullmatch(os.environ["HOSTS"], parts.netloc.lower())
    return parts.scheme == "https" and bool(matches), f"{parts.scheme}://{parts.netloc}"

def shows_stack(stack):
    import boto3, botocore.exceptions
    cloudformation = boto3.client("cloudformation")
    try:
        listed = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
        template = cloudformation.get_template(StackName=stack)["TemplateBody"]
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return False
    deleted = {"DELETE_COMPLETE", "DELETE_SKIPPED"}
    ids = {each.get("PhysicalResourceId") for each in listed if each["ResourceStatus"] not in deleted}
    return "first" in ids and os.environ["TYPE"] in str(template)
"""


@experiment(46, 47, 49, cost=LAMBDA_COST)
def hook(run: Run) -> Iterator[Finding]:
    """Creates a stack and a Hook that is invoked only for it, with change sets that are not executed."""
    # In this order of creation and of the names, the Hook is deleted first, whatever happens.
    alias = f"CfnTelephony::Verify::{run.name.rpartition('-')[2]}"
    template, stopped = stack_template(Replaced=custom_resource(Id="first")), f"{run.name}-hook-stopped"
    stack_id = create_stack(run, stopped, template)
    hook_id = create_stack(run, f"{run.name}-hook", hook_template(alias, stack_id))

    def ask(row: int, what: str, expected: str) -> Finding:
        """Ask whether the Hook sees something, and whether it does not. One that does not work answers both alike."""
        yes, no = (
            new_change_set(run, stack_id, template, "UPDATE", f"{answer}-{what}", Country="CA")
            for answer in ("yes", "no")
        )
        if yes["Status"] == no["Status"]:
            return Finding(row, None, f"Both change sets are {yes['Status']}: {yes.get('StatusReason', '-')}")
        if yes["Status"] == "FAILED":
            return Finding(row, True, f"The Hook received {expected}.")
        # The message of the Hook is in the result that CloudFormation keeps for the change set.
        text = f"{no.get('StatusReason', '-')} ({no['ChangeSetId']})"
        return Finding(row, False, f"The Hook did not receive {expected}: {text}")

    host = 49, "host", "a URL whose host the release guard accepts"
    # CloudFormation can't use a new role or Hook at once.
    require(lambda: ask(*host).holds is not None, _READY_WITHIN, "The Hook did not work within five minutes.")
    yield ask(46, "resources", "the custom resource with its properties before and after")
    yield ask(*host)
    shown, status = _stops_deletion(stack_id, alias)
    yield Finding(47, shown, f"{_SHOWN[shown]} The deletion ended {status}.")
    run.release(hook_id)
    run.release(stack_id)


def hook_template(alias: str, stack_id: str) -> dict[str, Any]:
    """Return the template of a Hook that is invoked for one stack."""
    read = {"Effect": "Allow", "Action": ["cloudformation:ListStackResources", "cloudformation:GetTemplate"]}
    invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": {"Fn::GetAtt": "Function.Arn"}}
    function = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": "Role.Arn"},
        "Timeout": 25,
        "Environment": {"Variables": {"STACK": stack_id, "TYPE": TYPE, "HOSTS": _hosts(stack_id)}},
        "Code": {"ZipFile": FUNCTION},
    }
    declared = {
        "Alias": alias,
        "LambdaFunction": {"Fn::GetAtt": "Function.Arn"},
        "ExecutionRole": {"Fn::GetAtt": "HookRole.Arn"},
        "FailureMode": "FAIL",
        "HookStatus": "ENABLED",
        "TargetOperations": ["STACK", "CHANGE_SET"],
        "StackFilters": {"FilteringCriteria": "ALL", "StackNames": {"Include": [stack_id.split("/")[1]]}},
    }
    return {
        "Resources": {
            "Role": _role("lambda", read | {"Resource": stack_id}),
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            "HookRole": _role("hooks.cloudformation", invoke),
            "Hook": {"Type": "AWS::CloudFormation::LambdaHook", "Properties": declared},
        }
    }


def _role(service: str, statement: Mapping[str, Any]) -> dict[str, Any]:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trusted, granted = ({"Version": "2012-10-17", "Statement": [each]} for each in (trust, statement))
    policies = [{"PolicyName": "verify", "PolicyDocument": granted}]
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trusted, "Policies": policies}}


def _hosts(stack_id: str) -> str:
    """Return the rule by which the release guard accepts a host, as a regular expression."""
    return "|".join([s3_host(stack_id), *map(re.escape, sorted(settings().allowed_response_hosts))])


def _stops_deletion(stack_id: str, alias: str) -> tuple[bool | None, str]:
    """Delete a stack. Returns whether the Hook stops that, and the status. None: it failed, or something else did."""
    before, status, new = len(stack_events(stack_id)), "", list[Any]()
    services.cloudformation().delete_stack(StackName=stack_id)

    def has_ended() -> bool:
        nonlocal status, new
        events = stack_events(stack_id)
        status, new = stack_status(stack_id), events[: len(events) - before]
        return status == "DELETE_COMPLETE" or (bool(new) and not status.endswith(IN_OPERATION))

    require(has_ended, OPERATION_PERIOD, "The deletion did not end within ten minutes.")
    failed = [text for text in (json.dumps(each, default=str) for each in new) if alias in text and "FAILED" in text]
    if status == "DELETE_COMPLETE":
        return False, status
    # HOOK_FAILED is an error of a Hook, HOOK_COMPLETE_FAILED its answer.
    return True if failed and not any("HOOK_FAILED" in text for text in failed) else None, status


EXPERIMENTS: tuple[Experiment, ...] = (hook,)
