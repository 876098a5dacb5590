"""`telephony verify` on the local AWS, with a function and stacks of its own."""

import json
import subprocess
import sys

import pytest

from local.aws import ROOT, LocalAws

pytestmark = pytest.mark.e2e
ROWS = (1, 4, 5, 6, 21, 22, 35, 43, 45, 46, 47, 49)
"""Those of CloudFormation."""


def test_experiments_with_stacks_hold_and_leave_nothing() -> None:
    with LocalAws() as aws:
        options = ("--max-cost", "0.02", "--row", "45", "--row", "46", "--output", "json")
        environment = {"PYTHONPATH": str(ROOT / "functions"), "ALLOWED_RESPONSE_HOSTS": aws.response_host}
        verified = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "telephony_cli.app", "verify", *options],
            cwd=ROOT,
            env=aws.environment() | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        remaining = {
            "stacks": aws.client("cloudformation").describe_stacks()["Stacks"],
            "functions": aws.client("lambda").list_functions()["Functions"],
            "roles": [role for role in aws.client("iam").list_roles()["Roles"] if "verify" in role["RoleName"]],
        }

    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = {(each["row"], each["result"]) for each in json.loads(verified.stdout)["results"]}
    assert found == {(row, "HOLDS") for row in ROWS}
    assert remaining == {"stacks": [], "functions": [], "roles": []}
