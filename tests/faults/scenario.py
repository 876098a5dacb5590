"""A scenario, identified by its name, and the runner that executes it from the first request to the findings."""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Iterator
from typing import Any, Self, cast

import attrs

from tests.faults.audit import Audit, Findings
from tests.faults.declarations import STANDARD, VARIANTS, ScenarioContext, Variant
from tests.faults.delivery import QUEUE_TROUBLES
from tests.faults.environment import Environment
from tests.faults.follow_ups import FOLLOW_UPS, FaultedRequest, RequestKind, issue
from tests.faults.invocation import InjectedFault, InvocationResult, warm_up
from tests.faults.simulation import SERVICE_BEHAVIORS, StackSimulation

type RecordedRequest = tuple[str, RequestKind, str]
"""A variant, a kind of request, and a behavior."""

_SCENARIOS_PER_RESET = 40
"""The environment is reset after this many scenarios, so that listings stay short."""


@attrs.frozen
class Scenario:
    """What is declared, the request that the fault hits, the fault, the follow-up, and how the services behave.

    The name contains all of it: sms-phone-number/create/kill+4/retries~kill-3@tokens-forgotten%token^fresh.
    """

    variant: str
    request: RequestKind
    fault: InjectedFault | None
    follow_up: str
    second_fault: InjectedFault | None = None
    behavior: str = "default"
    """One of SERVICE_BEHAVIORS or QUEUE_TROUBLES."""
    mutation: str | None = None
    fresh: bool = False
    """Each invocation runs in a new interpreter."""

    def __str__(self) -> str:
        name = f"{self.variant}/{self.request}/{self.fault or 'none'}/{self.follow_up}"
        name += f"~{self.second_fault}" if self.second_fault else ""
        name += f"@{self.behavior}" if self.behavior != "default" else ""
        return name + (f"%{self.mutation}" if self.mutation else "") + ("^fresh" if self.fresh else "")

    @classmethod
    def parse(cls, name: str) -> Self:
        match = re.fullmatch(
            r"([a-z0-9-]+)/([a-z]+)/([^/]+)/([a-z-]+)(?:~([^@%^]+))?(?:@([a-z-]+))?(?:%([a-z]+))?(\^fresh)?", name
        )
        if match is None:
            raise ValueError(f"{name} is not the name of a scenario")
        return cls(
            match[1],
            cast("RequestKind", match[2]),
            None if match[3] == "none" else InjectedFault.parse(match[3]),
            match[4],
            InjectedFault.parse(match[5]) if match[5] else None,
            match[6] or "default",
            match[7],
            match[8] is not None,
        )


@attrs.frozen
class ScenarioResult:
    """The findings of a scenario. `log` is empty if nothing is wrong, unless it was requested."""

    name: str
    findings: Findings
    calls: list[list[str]]
    """The calls of each invocation of the request if there was no fault, as `service.Operation` or `response`."""
    next_calls: list[str]
    """The calls of the next invocation after a fault; of the same one if it was paused and resumed."""
    log: list[str]
    defect: str | None = None
    """An error of the harness or of the preparation."""

    @property
    def wrong(self) -> bool:
        return self.findings.wrong or self.defect is not None

    def __str__(self) -> str:
        log = (f"    {line}" for line in self.log)
        return "\n".join([f"{self.name}  {self.findings.nonzero}", *log, self.defect or ""])


class ScenarioRunner:
    """Runs scenarios one after another in one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._begun = 0
        self._instance_arns: list[str] = []
        self._recorded: dict[RecordedRequest, list[list[str]]] = {}

    def warm_up(self) -> None:
        """Run a Create of each type in this process, which all invocations are forked from."""
        simulations = [self.begin(VARIANTS[name]) for name in STANDARD]
        warm_up(each.spec(each.send("Create", each.variant.initial(each.context))) for each in simulations)
        self._begun = 0  # The next scenario resets the environment.

    def recorded_calls(self, request: RecordedRequest) -> list[list[str]]:
        """Return the calls of each invocation of a request without a fault. Raises AssertionError if it fails."""
        if request not in self._recorded:
            variant, kind, behavior = request
            result = self.run(Scenario(variant, kind, None, "retries", behavior=behavior), keep_log=True)
            if result.wrong or result.findings.failed:
                raise AssertionError(str(result))
            self._recorded[request] = result.calls
        return self._recorded[request]

    def begin(
        self, variant: Variant, *, behavior: str = "default", mutation: str | None = None, **more: Any
    ) -> StackSimulation:
        server = self._environment.server
        if self._begun % _SCENARIOS_PER_RESET == 0:
            self._environment.clock.reset()
            self._instance_arns = server.reset()
        self._begun += 1
        self._environment.clock.align()
        server.begin(**SERVICE_BEHAVIORS.get(behavior, {}))
        sender_id, target_arn = f"S{self._begun}", self._instance_arns[0]
        context = ScenarioContext(
            secret=f"swordfish{secrets.token_hex(8)}",
            sender_id=sender_id,
            instance_arns=self._instance_arns,
            source_number=functools.cache(lambda _: server.create_source_number()),
            existing=functools.cache(lambda kind: server.create_existing(kind, sender_id, target_arn)),
        )
        return StackSimulation(Audit(self._environment, context.secret, mutation), variant, context, **more)

    def run(self, scenario: Scenario, *, keep_log: bool = False) -> ScenarioResult:
        calls = []
        if scenario.fault is not None and scenario.fault.kind in {"error", "throttle"}:
            calls = self.recorded_calls((scenario.variant, scenario.request, scenario.behavior))
        if scenario.request == "due":
            self._begun = 0  # The sweep also reads the numbers that earlier scenarios left.
        simulation = self.begin(
            VARIANTS[scenario.variant], behavior=scenario.behavior, mutation=scenario.mutation, fresh=scenario.fresh
        )
        try:
            faulted = _prepare(simulation, scenario)
            simulation.recorded_calls = calls
            first_call = len(simulation.audit.snapshot().calls) if scenario.fault is None else 0
            FOLLOW_UPS[scenario.follow_up](simulation, faulted)
            simulation.end_trouble()
            simulation.redrive()
            simulation.drain()
            simulation.audit.check()
            if simulation.variant.pending:
                simulation.audit.end_recovery_windows()
            simulation.audit.delete_stacks(faulted.declared)
            if simulation.variant.pending:
                simulation.audit.end_recovery_windows()
            simulation.audit.check(last=True)
            hit = next((result for result in faulted.sent.invocations if result.injected), None)
            # A signal that was not sent proves nothing.
            needed = scenario.fault is not None and scenario.fault.kind in {"kill", "pause"}
            assert hit is not None or not needed, f"{scenario.fault} was not injected"
        except AssertionError as error:
            return ScenarioResult(str(scenario), simulation.findings, [], [], simulation.log, str(error))
        finally:
            simulation.audit.terminate_invocations()
        named = _operations(simulation, first_call, faulted.sent.invocations) if scenario.fault is None else []
        following = simulation.results[simulation.results.index(hit) + 1 :][:1] if hit is not None else []
        following = [simulation.resumed] if simulation.resumed else following
        next_calls = [call.name for result in following for call in result.calls]
        log = simulation.log if keep_log or simulation.findings.wrong else []
        return ScenarioResult(str(scenario), simulation.findings, named, next_calls, log)


def _operations(simulation: StackSimulation, first: int, results: list[InvocationResult]) -> list[list[str]]:
    """Name the calls as the telecom services and DynamoDB log them. Others, and those with a special name, keep it."""
    logged = iter(simulation.audit.snapshot().calls[first:])
    return [[_operation(call.name, logged) for call in result.calls] for result in results]


def _operation(name: str, logged: Iterator[tuple[str, str, str | None]]) -> str:
    if name == "response" or name.startswith(("cloudformation.", "sqs.")):
        return name
    operation = ".".join(next(logged)[:2])
    return name if name.startswith(("reservation.", "progress.")) else operation


def _prepare(simulation: StackSimulation, scenario: Scenario) -> FaultedRequest:
    """Run everything before the request that the fault hits, and issue that request."""
    variant, context, kind = simulation.variant, simulation.context, scenario.request
    trouble = scenario.behavior if scenario.behavior in QUEUE_TROUBLES else ""
    faults = {"fault": scenario.fault, "second_fault": scenario.second_fault}
    replaces = kind in {"replace", "cleanup", "rollback"}
    initial = (variant.before_replacement if replaces else variant.initial)(context)
    recovers = simulation.variant.pending != ""
    if recovers and kind in {"create", "due"}:
        simulation.prepare_recovery(initial)
    if kind in {"create", "due"}:
        simulation.begin_trouble(trouble)
        return issue(simulation, kind, initial, initial, **faults)
    simulation.create(initial)
    simulation.clock.advance(600)
    if kind in {"update", "replace", "delete"}:
        simulation.begin_trouble(trouble)
    if kind == "delete":
        return issue(simulation, kind, initial, initial, **faults)
    changed = (variant.replaced if replaces else variant.updated)(context)
    if recovers and kind == "replace":
        # The Update that reverts it takes the first number back.
        faulted = issue(simulation, kind, initial, changed, fault=None)
        simulation.pending_id = simulation.physical_id or ""
        FOLLOW_UPS["retries"](simulation, faulted)
        simulation.clock.advance(600)
        return issue(simulation, kind, changed, initial, **faults)
    if kind in {"update", "replace"}:
        return issue(simulation, kind, initial, changed, **faults)
    old_id = simulation.physical_id
    verdict = simulation.complete(simulation.update(initial, changed, may_purchase=True))
    if not verdict.succeeded or verdict.physical_id == old_id:
        raise AssertionError(f"the replacement failed: {verdict}")
    simulation.replace(verdict.physical_id, changed)
    simulation.begin_trouble(trouble)
    if kind == "cleanup":
        return issue(simulation, kind, initial, initial, **faults)
    return issue(simulation, kind, changed, initial, **faults)
