"""The commands, and what they exit with."""

import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError
from typer.exceptions import TyperException

from telephony.aws.errors import STATE_TABLE
from telephony.errors import HandlerError, HandlerErrorCode, UnknownOutcomeError
from telephony.lifecycle.plan import STOPS_ON
from telephony.settings import settings
from telephony_cli import drift as drifts
from telephony_cli import inventory, keeping
from telephony_cli import plan as changeset
from telephony_cli.account import DEFAULT_PROVIDER, Failure, use, use_provider
from telephony_cli.account import region as current_region
from telephony_cli.output import Format, show_error
from telephony_cli.verification import run as verification

SUCCESS, ERROR, CHANGES, CONDITION_MET = 0, 1, 2, 3
"""Exit codes. CHANGES: of --detailed-exitcode. CONDITION_MET: of --fail-on and --fail, and of `verify`."""
_ADVICE = {
    HandlerErrorCode.ACCESS_DENIED: "Allow this action for your credentials.",
    HandlerErrorCode.THROTTLING: "Try again.",
    HandlerErrorCode.SERVICE_INTERNAL_ERROR: "Try again.",
    HandlerErrorCode.NETWORK_FAILURE: "Check the Region, the network and the proxy.",
}

app = typer.Typer(
    help="Phone numbers and sender IDs that CloudFormation stacks declare.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

Region = Annotated[str | None, typer.Option("--region", help="The AWS Region.", show_default=False)]
Profile = Annotated[
    str | None, typer.Option("--profile", help="The profile of the AWS configuration.", show_default=False)
]
Output = Annotated[Format, typer.Option("--output", help="A table, or JSON.")]
Provider = Annotated[
    str,
    typer.Option("--provider-stack", help="The stack of the provider.", envvar="CFN_TELEPHONY_STACK"),
]
Reference = Annotated[str, typer.Argument(metavar="ID", help="The ID, the ARN or the number.", show_default=False)]
StackName = Annotated[str, typer.Option("--stack-name", help="The name or the ID of the stack.", show_default=False)]


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text} is no amount in US dollars.")
    return amount


@app.callback()
def _telephony() -> None:
    """Add the help of the commands."""


@app.command()
def plan(
    stack_name: StackName,
    change_set_name: Annotated[
        str, typer.Option("--change-set-name", help="The name or the ARN of the change set.", show_default=False)
    ],
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if a number changes.")
    ] = False,
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", help="Exit with 3 on these effects: buy, replace, release.", show_default=False),
    ] = None,
    provider_stack: Provider = DEFAULT_PROVIDER,
    region: Region = None,
    profile: Profile = None,
    output: Output = Format.TABLE,
) -> int:
    """Show what a change set does to each number, why, and what it costs."""
    conditions = [] if fail_on is None else [name.strip() for name in fail_on.split(",")]
    if unknown := [name for name in conditions if name not in STOPS_ON]:
        raise Failure(f"--fail-on can't be {', '.join(unknown) or 'empty'}. Use {', '.join(STOPS_ON)}.")
    use(region, profile)
    use_provider(provider_stack)
    found = changeset.show(stack_name, change_set_name, output)
    stopped = [each for each in found if each.planned.stops(conditions)] if conditions else []
    if stopped:
        names = ", ".join(f"{each.name} ({each.planned.effect})" for each in stopped)
        show_error(f"Stopped by --fail-on {','.join(conditions)}: {names}.")
        return CONDITION_MET
    return CHANGES if detailed_exitcode and changeset.changes(found) else SUCCESS


@app.command("list")
def list_numbers(region: Region = None, profile: Profile = None, output: Output = Format.TABLE) -> int:
    """List the numbers and sender IDs of the account and Region."""
    use(region, profile)
    inventory.show(output)
    return SUCCESS


@app.command()
def drift(
    stack_name: StackName,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 3 if a number is modified or deleted.")] = False,
    region: Region = None,
    profile: Profile = None,
    output: Output = Format.TABLE,
) -> int:
    """Show where the numbers of a stack differ from its template."""
    use(region, profile)
    return CONDITION_MET if drifts.show(stack_name, output) and fail else SUCCESS


@app.command()
def restore(
    reference: Reference,
    provider_stack: Provider = DEFAULT_PROVIDER,
    region: Region = None,
    profile: Profile = None,
    output: Output = Format.TABLE,
) -> int:
    """Keep a number that is pending release: it is no longer due, and stays in the account."""
    use(region, profile)
    use_provider(provider_stack)
    keeping.restore(reference, output)
    return SUCCESS


@app.command()
def adopt(
    reference: Reference,
    file: Annotated[Path, typer.Option("--generate-template", help="The file to write.", show_default=False)],
    provider_stack: Provider = DEFAULT_PROVIDER,
    region: Region = None,
    profile: Profile = None,
    output: Output = Format.TABLE,
) -> int:
    """Write a template that adopts an existing number or sender ID with its live settings."""
    use(region, profile)
    keeping.adopt(reference, file, provider_stack, output)
    return SUCCESS


@app.command()
def verify(
    max_cost: Annotated[
        Decimal,
        typer.Option("--max-cost", parser=_usd, metavar="USD", help="What it can cost at most.", show_default=False),
    ],
    rows: Annotated[
        list[int] | None, typer.Option("--row", help="Only the experiments of this row.", show_default=False)
    ] = None,
    simulator_price: Annotated[
        Decimal | None,
        typer.Option(
            "--simulator-price",
            parser=_usd,
            metavar="USD",
            help="The monthly price of a SIMULATOR number, if the account has none.",
            show_default=False,
        ),
    ] = None,
    claim_connect_number: Annotated[
        str | None,
        typer.Option(
            "--claim-connect-number",
            metavar="TARGET_ARN",
            help="Also claim a number of Amazon Connect. Claims count against a limit.",
            show_default=False,
        ),
    ] = None,
    connect_price: Annotated[
        Decimal | None,
        typer.Option(
            "--connect-price",
            parser=_usd,
            metavar="USD",
            help="The price of a DID number of Amazon Connect per day.",
            show_default=False,
        ),
    ] = None,
    region: Region = None,
    profile: Profile = None,
    output: Output = Format.TABLE,
) -> int:
    """Decide by experiments what docs/unverified.md assumes about AWS. Purchases numbers, and releases them."""
    options = verification.Options(
        max_cost=max_cost,
        rows=rows or (),
        simulator_price=simulator_price,
        target_arn=claim_connect_number,
        connect_price=connect_price,
    )
    decided = {row for each in verification.EXPERIMENTS for row in each.rows}
    if unknown := sorted({*options.rows} - decided):
        raise Failure(f"No experiment decides row {', '.join(map(str, unknown))}.")
    use(region, profile)
    holds, succeeded = verification.show(options, output)
    if not succeeded:
        return ERROR
    return SUCCESS if holds else CONDITION_MET


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns its exit code; every error is 1."""
    try:
        run: Callable[..., Any] = app
        return int(run(arguments, standalone_mode=False) or SUCCESS)
    except TyperException as error:
        show_error(f"{error.format_message()} `telephony --help` shows the commands.")
    except Failure as failure:
        show_error(str(failure))
    except (HandlerError, UnknownOutcomeError) as error:
        show_error(" ".join(filter(None, (error.cause, _advice(error)))))
    except BotoCoreError as error:
        show_error(f"The call could not be made: {error}")
    return ERROR


def _advice(error: HandlerError | UnknownOutcomeError) -> str:
    """Return what a caller of the command can do. The remedies of errors are for the operator of the provider."""
    if error.remedy == STATE_TABLE:
        table = f"the table {settings().state_table} exists in {current_region()}"
        return f"Check that {table}, and that your credentials allow to read it."
    return _ADVICE.get(error.error_code, "")


if __name__ == "__main__":
    sys.exit(main())
