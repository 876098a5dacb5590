"""Random histories of a stack: whatever happens, what is held is what CloudFormation has."""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.faults.attempts import Blow
from tests.faults.crew import Crew
from tests.faults.declarations import PLAIN
from tests.faults.histories import Step

_SHRUNK_FROM = 50
"""Examples from which on there is also the time to shrink what fails."""

blows = st.none() | st.builds(
    Blow,
    st.sampled_from(["kill", "lose", "reset"]),
    st.integers(0, 14),
    after=st.booleans(),
    times=st.sampled_from([1, 3]),
)
stops = st.builds(Blow, st.just("stop"), st.integers(0, 14), after=st.booleans())
after_create = st.sampled_from(["retries", "last-resort", "given-up", "cancelled", "ignored"])
after_update = st.sampled_from(
    ["retries", "last-resort", "given-up", "cancelled", "ignored", "rolled-back", "deleted", "rollback-failed"]
)
after_delete = st.sampled_from(["retries", "last-resort", "given-up", "cancelled"])
beside = st.sampled_from(["meanwhile", "twin"])


class Histories(RuleBasedStateMachine):
    crew: Crew

    def __init__(self) -> None:
        super().__init__()
        self.exists = self.begun = False

    def take(self, step: Step) -> None:
        told = self.crew.step(step)
        self.exists = told.exists
        self.begun |= step.what not in {"begin", "end"}
        assert told.defect is None, "\n".join([*told.story, told.defect or ""])
        wrong = {name: value for name, value in attrs.asdict(told.findings).items() if value}
        assert not told.findings.wrong, "\n".join([str(wrong), *told.story])

    @initialize(variant=st.sampled_from(PLAIN), environment=st.sampled_from(["plain", "plain", "forget", "late"]))
    def begin(self, variant: str, environment: str) -> None:
        self.take(Step("begin", variant=variant, environment=environment))

    @precondition(lambda self: not self.exists)
    @rule(blow=blows, then=after_create)
    def create(self, blow: Blow | None, then: str) -> None:
        self.take(Step("create", blow=blow, then=then))

    @precondition(lambda self: not self.exists)
    @rule(blow=stops, then=beside)
    def create_beside(self, blow: Blow, then: str) -> None:
        self.take(Step("create", blow=blow, then=then))

    @precondition(lambda self: self.exists)
    @rule(request=st.sampled_from(["update", "replace"]), blow=blows, then=after_update)
    def update(self, request: str, blow: Blow | None, then: str) -> None:
        self.take(Step(request, blow=blow, then=then))

    @precondition(lambda self: self.exists)
    @rule(request=st.sampled_from(["update", "replace"]), blow=stops, then=beside)
    def update_beside(self, request: str, blow: Blow, then: str) -> None:
        self.take(Step(request, blow=blow, then=then))

    @precondition(lambda self: self.exists)
    @rule(blow=blows, then=after_delete)
    def delete(self, blow: Blow | None, then: str) -> None:
        self.take(Step("delete", blow=blow, then=then))

    @precondition(lambda self: self.exists)
    @rule()
    def retain(self) -> None:
        self.take(Step("retain"))

    @precondition(lambda self: self.begun)
    @rule(index=st.integers(0, 9))
    def again(self, index: int) -> None:
        self.take(Step("again", index=index))

    def teardown(self) -> None:
        self.take(Step("end"))


def play(crew: Crew, examples: int) -> None:
    """Play so many, always the same ones. Raise AssertionError, with the history, if anything is wrong."""

    class Played(Histories):
        pass

    Played.crew = crew
    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=examples,
            stateful_step_count=6,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if examples > _SHRUNK_FROM else [])],
        ),
    )
