"""A scenario, identified by its name, and the runner that executes it from the first request to the findings."""

from __future__ import annotations

import functools
import re
import secrets
from typing import Any, Self, cast

import attrs

from tests.faults.audit import Audit, Findings
from tests.faults.declarations import STANDARD, VARIANTS, ScenarioContext, Variant
from tests.faults.environment import Environment
from tests.faults.follow_ups import FOLLOW_UPS, FaultedRequest, RequestKind, issue
from tests.faults.invocation import InjectedFault, InvocationResult, warm_up
from tests.faults.simulation import SERVICE_BEHAVIORS, StackSimulation

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
    calls: list[str]
    """The calls of the request if there was no fault, as `service.Operation` or `response`."""
    next_calls: list[str]
    """The calls of the next invocation; of the same one if it was paused and resumed."""
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
        self._recorded: dict[tuple[str, RequestKind], list[str]] = {}

    def warm_up(self) -> None:
        """Run a Create of each type in this process, which all invocations are forked from."""
        simulations = [self.begin(VARIANTS[name]) for name in STANDARD]
        warm_up(each.spec(each.send("Create", each.variant.initial(each.context))) for each in simulations)
        self._begun = 0  # The next scenario resets the environment.

    def recorded_calls(self, variant: str, request: RequestKind) -> list[str]:
        """Return the calls of a request without a fault. Raises AssertionError if it fails."""
        key = (variant, request)
        if key not in self._recorded:
            result = self.run(Scenario(variant, request, None, "retries"), keep_log=True)
            if result.wrong or result.findings.failed:
                raise AssertionError(str(result))
            self._recorded[key] = result.calls
        return self._recorded[key]

    def begin(
        self, variant: Variant, *, behavior: str = "default", mutation: str | None = None, **more: Any
    ) -> StackSimulation:
        server = self._environment.server
        if self._begun % _SCENARIOS_PER_RESET == 0:
            self._environment.clock.reset()
            self._instance_arns = server.reset()
        self._begun += 1
        server.begin(**SERVICE_BEHAVIORS[behavior])
        context = ScenarioContext(
            secret=f"swordfish{secrets.token_hex(8)}",
            sender_id=f"S{self._begun}",
            instance_arns=self._instance_arns,
            source_number=functools.cache(lambda _: server.create_source_number()),
        )
        return StackSimulation(Audit(self._environment, context.secret, mutation), variant, context, **more)

    def run(self, scenario: Scenario, *, keep_log: bool = False) -> ScenarioResult:
        calls = []
        if scenario.fault is not None and scenario.fault.kind in {"error", "throttle"}:
            calls = self.recorded_calls(scenario.variant, scenario.request)
        simulation = self.begin(
            VARIANTS[scenario.variant], behavior=scenario.behavior, mutation=scenario.mutation, fresh=scenario.fresh
        )
        try:
            faulted = _prepare(simulation, scenario)
            simulation.recorded_calls = calls
            prepared = len(simulation.results)
            first_call = len(simulation.audit.snapshot().calls) if scenario.fault is None else 0
            FOLLOW_UPS[scenario.follow_up](simulation, faulted)
            simulation.audit.check()
            simulation.audit.delete_stacks(faulted.declared)
            simulation.audit.check(last=True)
            results = simulation.results[prepared:]
            expected = {"kill": "killed", "pause": "paused"}.get(scenario.fault.kind if scenario.fault else "")
            # A signal that was not sent proves nothing.
            assert expected in {None, results[0].status}, f"{scenario.fault} was not injected: {results[0]}"
        except AssertionError as error:
            return ScenarioResult(str(scenario), simulation.findings, [], [], simulation.log, str(error))
        finally:
            simulation.audit.terminate_invocations()
        named = _operations(simulation, first_call, results[0]) if scenario.fault is None else []
        following = [simulation.resumed] if simulation.resumed else results[1:2]
        next_calls = [call.name for result in following for call in result.calls]
        log = simulation.log if keep_log or simulation.findings.wrong else []
        return ScenarioResult(str(scenario), simulation.findings, named, next_calls, log)


def _operations(simulation: StackSimulation, first: int, result: InvocationResult) -> list[str]:
    """Name the calls as the telecom services and DynamoDB log them. Others and reservations keep their name."""
    logged = iter(simulation.audit.snapshot().calls[first:])
    names = []
    for call in result.calls:
        elsewhere = call.name == "response" or call.name.startswith("cloudformation.")
        operation = call.name if elsewhere else ".".join(next(logged)[:2])
        names.append(call.name if call.name.startswith("reservation.") else operation)
    return names


def _prepare(simulation: StackSimulation, scenario: Scenario) -> FaultedRequest:
    """Run everything before the request that the fault hits, and issue that request."""
    variant, context, kind = simulation.variant, simulation.context, scenario.request
    faults = {"fault": scenario.fault, "second_fault": scenario.second_fault}
    replaces = kind in {"replace", "cleanup", "rollback"}
    initial = (variant.before_replacement if replaces else variant.initial)(context)
    if kind == "create":
        return issue(simulation, kind, initial, initial, **faults)
    simulation.create(initial)
    simulation.clock.advance(600)
    if kind == "delete":
        return issue(simulation, kind, initial, initial, **faults)
    changed = (variant.replaced if replaces else variant.updated)(context)
    if kind in {"update", "replace"}:
        return issue(simulation, kind, initial, changed, **faults)
    old_id = simulation.physical_id
    verdict = simulation.complete(simulation.update(initial, changed, may_purchase=True))
    if not verdict.succeeded or verdict.physical_id == old_id:
        raise AssertionError(f"the replacement failed: {verdict}")
    simulation.replace(verdict.physical_id, changed)
    if kind == "cleanup":
        return issue(simulation, kind, initial, initial, **faults)
    return issue(simulation, kind, changed, initial, **faults)
