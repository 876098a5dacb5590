"""The benchmark harness, with small samples. `make bench` checks the figures themselves."""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]
from moto.core.request import Request

from benchmarks import chart, cost, figures, report, sweep
from benchmarks.account import Limits
from benchmarks.artifacts import ROOT, Artifact, without_bytecode
from benchmarks.bulk import SIMULATIONS
from benchmarks.container import Container, HandlerError
from benchmarks.cost import Cost, Samples
from benchmarks.lambda_and_sqs import Function, Lambda, Queue, TimedOutError
from benchmarks.services import Services
from benchmarks.state_table import StateTable, UnsupportedError
from benchmarks.virtual_time import Suspended, VirtualTime
from local.telecom.dispatch import answer, service_of
from local.telecom.world import World, entered
from tests.contract.state_table import create_state_table

SMALL = Samples(instructions=False, rounds=1, warm_events=1, memory_events=2, deletes=1)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as started:
        yield started


@pytest.fixture(scope="module")
def raw_http() -> Artifact:
    return Artifact("raw_http", "raw_http.handler", (ROOT / "benchmarks/peers",), 0)


@pytest.fixture(scope="module")
def provider() -> Artifact:
    packages = Path(pytest.__file__).parents[1]
    path = (ROOT / "functions", packages)
    return Artifact("provider", "telephony.handlers.provider.handler", path, 1.0, ca_directory=True)


def toy(directory: Path, body: str) -> Artifact:
    (directory / "toy.py").write_text(f"import time\n\ndef handler(event, context):\n    {body}\n")
    return Artifact("toy", "toy.handler", (directory,), 0)


def test_every_handler_is_measured(services: Services, raw_http: Artifact, provider: Artifact) -> None:
    costs = cost.measure({"raw_http": raw_http, "provider": provider}, services, SMALL)
    for one in costs.values():
        assert one.cold[0] > 0
        assert one.cold_cpu_ms[0] > 0
        assert len(one.warm) == len(one.rss_mib) == len(one.delete_seconds) == 1
    assert costs["provider"].rss_mib[0] > costs["raw_http"].rss_mib[0] > 0


def test_requested_sleep_is_recorded_instead_of_slept(services: Services, tmp_path: Path) -> None:
    sleeping = toy(tmp_path, "time.sleep(120)")
    with Container(sleeping, services.environment(sleeping), record_sleep=True) as container:
        duration = container.invoke({})
    assert duration.slept == 120
    assert duration.seconds < 10


@pytest.mark.parametrize(
    ("handler", "message"), [("toy.handler", "broken"), ("nowhere.handler", "exited:(.|\n)*No module named")]
)
def test_failing_handler_raises_handler_error(services: Services, tmp_path: Path, handler: str, message: str) -> None:
    toy(tmp_path, "raise ValueError('broken')")
    failing = Artifact("toy", handler, (tmp_path,), 0)
    with Container(failing, services.environment(failing)) as container, pytest.raises(HandlerError, match=message):
        container.invoke({})


def test_bytecode_ratio_compares_with_copy_without_bytecode(
    services: Services, raw_http: Artifact, tmp_path: Path
) -> None:
    ratios = cost.bytecode_ratios(raw_http, Cost(cold=[1.0, 2.0]), services, SMALL, tmp_path)
    assert ratios[1] > ratios[0] > 0
    bare = without_bytecode(raw_http, tmp_path / "again").path[0]
    assert list(bare.rglob("*.py"))
    assert not list(bare.rglob("*.pyc"))


def test_handler_without_response_stops_the_measurement(services: Services, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="expected one SUCCESS"):
        cost.cost_of(toy(tmp_path, "pass"), services, SMALL)


def test_virtual_time_wakes_sleepers_in_order_without_waiting() -> None:
    clock, woken = VirtualTime(1_900_000_000), []

    def sleeper(name: str, seconds: float) -> None:
        time.sleep(seconds)
        woken.append((name, time.time() - 1_900_000_000))

    started = time.perf_counter()
    clock.run([(0, lambda: sleeper("slow", 3600)), (5, lambda: sleeper("late", 10)), (0, lambda: sleeper("quick", 1))])
    assert woken == [("quick", 1), ("late", 15), ("slow", 3600)]
    assert time.perf_counter() - started < 10


def test_virtual_time_raises_error_of_task() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        VirtualTime(1_900_000_000).run([(0, broken)])


def test_tasks_that_wait_for_each_other_are_reported() -> None:
    clock, queue = VirtualTime(1_900_000_000), deque[Suspended]()
    with pytest.raises(RuntimeError, match="1 tasks wait"):
        clock.run([(0, lambda: clock.suspend(queue))])


class Clock:
    """Records when and how often functions run in virtual time."""

    def __init__(self, concurrency: int = 10) -> None:
        self.time = VirtualTime(1_900_000_000)
        self.account = Lambda(self.time, concurrency, seed=1)
        self.runs: list[float] = []

    @property
    def now(self) -> float:
        return self.time.now - 1_900_000_000

    def function(self, seconds: float = 0, failures: int = 0) -> Function:
        def handler(event: Any, _: Any) -> Any:
            self.runs.append(self.now)
            self.time.sleep(seconds)
            if len(self.runs) <= failures:
                raise ValueError("broken")
            return event

        return Function(handler, timeout=60)

    def queue(self, function: Function, max_concurrency: int = 5) -> Queue:
        return Queue(
            self.account, function, visibility_timeout=90, max_receives=3, max_concurrency=max_concurrency, seed=1
        )


def test_failed_event_is_repeated_twice_and_then_sent_to_its_destination() -> None:
    clock, sent = Clock(), list[str]()
    function = clock.function(failures=3)
    clock.time.run([(0, lambda: clock.account.invoke_asynchronously(function, {"number": 1}, sent.append))])
    assert [round(second - first) for first, second in pairwise(clock.runs)] == [60, 120]
    assert [json.loads(record)["requestPayload"] for record in sent] == [{"number": 1}]


def test_event_that_is_throttled_until_its_maximum_age_is_sent_to_the_destination() -> None:
    clock, sent = Clock(concurrency=0), list[str]()
    function = Function(lambda *_: None, timeout=60, max_event_age=600)
    clock.time.run([(0, lambda: clock.account.invoke_asynchronously(function, {}, sent.append))])
    assert clock.now == 600
    assert json.loads(sent[0])["requestContext"]["condition"] == "EventAgeExceeded"


def test_functions_share_the_concurrency_of_the_account_and_throttled_events_return() -> None:
    clock = Clock(concurrency=2)
    functions = [clock.function(seconds=5) for _ in range(2)]
    clock.time.run(
        (0, partial(clock.account.invoke_asynchronously, function, number))
        for number in range(3)
        for function in functions
    )
    assert len(clock.runs) == 6
    assert all(third - first >= 5 for first, third in zip(clock.runs, clock.runs[2:], strict=False))
    assert clock.account.throttles > 0
    billed, cold_starts = (sum(getattr(one, name) for one in functions) for name in ("billed", "cold_starts"))
    assert billed == pytest.approx(6 * 5.1 + cold_starts * 0.6)


def test_function_that_exceeds_its_timeout_fails() -> None:
    clock = Clock()
    with pytest.raises(TimedOutError):
        clock.time.run([(0, lambda: clock.account.invoke(clock.function(seconds=61), {}))])


def test_message_is_delivered_again_when_it_is_visible_until_it_succeeds() -> None:
    clock = Clock()

    def handler(event: Any, _: Any) -> Any:
        [record] = event["Records"]
        clock.runs.append(clock.now)
        if len(clock.runs) == 2:
            return {"batchItemFailures": []}
        queue.call("ChangeMessageVisibility", {"ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": 600})
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}

    queue = clock.queue(Function(handler, 60))
    clock.time.run([(0, lambda: queue.call("SendMessage", {"MessageBody": "{}", "DelaySeconds": 100}))])
    first, second = clock.runs
    assert 100 <= first <= 121
    assert 600 <= second - first <= 621
    assert not queue.dead


def test_message_that_fails_returns_after_the_visibility_timeout_and_ends_in_the_dead_letter_queue() -> None:
    clock = Clock()
    queue = clock.queue(clock.function(failures=9))
    clock.time.run([(0, lambda: queue.send("lost"))])
    assert len(clock.runs) == 3
    # The first execution environment starts after the message was received.
    assert all(second - first >= 90 - 0.6 for first, second in pairwise(clock.runs))
    assert queue.dead == ["lost"]


def test_mapping_invokes_at_most_its_maximum_concurrency() -> None:
    clock = Clock()
    queue = clock.queue(clock.function(seconds=30), max_concurrency=2)
    clock.time.run((0, partial(queue.send, str(number))) for number in range(6))
    assert len(clock.runs) == 6
    assert all(third - first >= 30 for first, third in zip(clock.runs, clock.runs[2:], strict=False))


def test_simulation_has_the_limits_of_the_template() -> None:
    template = cfn_yaml.load(str(ROOT / "template.yaml"))
    resources, limits = template["Resources"], Limits()
    for name in ("ProviderFunction", "ContinuationFunction"):
        assert resources[name]["Properties"]["Timeout"] == limits.timeout
    event = resources["ProviderFunction"]["Properties"]["EventInvokeConfig"]
    assert event["MaximumEventAgeInSeconds"] == limits.max_event_age
    queue = resources["RequestQueue"]["Properties"]
    assert queue["VisibilityTimeout"] == limits.visibility_timeout
    assert queue["RedrivePolicy"]["maxReceiveCount"] == limits.max_receives
    assert template["Parameters"]["MaximumConcurrency"]["Default"] == limits.queue_concurrency
    function = resources["SweepFunction"]["Properties"]
    assert function["Timeout"] == sweep.TIMEOUT
    assert json.loads(function["Events"]["Hourly"]["Properties"]["Input"]) == sweep.EVENT


def item(sort: str, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": "a"}, "sk": {"S": sort}, **attributes}


def given(**values: Any) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}}


def update(sort: str, change: str, condition: str = "", **values: Any) -> dict[str, Any]:
    parameters = {"Key": item(sort), "UpdateExpression": change, "ReturnValues": "ALL_NEW"}
    return parameters | (given(**values) if values else {}) | ({"ConditionExpression": condition} if condition else {})


ABSENT, OLD = {"ConditionExpression": "attribute_not_exists(pk)"}, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
EITHER, LISTED = "n < :n OR (word = :word AND n <> :more)", "word IN (:n, :word) AND NOT attribute_exists(gone)"
N, MORE, WORD = {"N": "1"}, {"N": "5.25"}, {"S": "x"}
ALL = {"KeyConditionExpression": "pk = :pk", **given(pk={"S": "a"})}
OPEN = {"S": "open"}
OVERDUE = {"IndexName": "unfinished", "KeyConditionExpression": "unfinished = :open AND deadline <= :now"}
COUNTED = {"IndexName": "counted", "KeyConditionExpression": "resource_type = :type AND counted_at > :since"}


def batch(*sorts: str) -> dict[str, Any]:
    return {"Keys": [item(sort) for sort in sorts]}


TABLE_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("PutItem", {"Item": item("1", n=N, word=WORD), **ABSENT}),
    ("PutItem", {"Item": item("1"), **ABSENT, **OLD}),
    ("UpdateItem", update("1", "SET n = n + :more", EITHER, n=N, more=MORE, word=WORD)),
    (
        "UpdateItem",
        update("1", "SET n = n - :more, #w = :y", more=MORE, y={"S": "y"})
        | {"ExpressionAttributeNames": {"#w": "other"}},
    ),
    ("UpdateItem", update("1", "SET n = :more", "n >= :more", more=MORE) | OLD),
    ("UpdateItem", update("2", "SET n = :more", "n >= :more", more=MORE) | OLD),
    ("UpdateItem", update("1", "ADD returned :slots", slots={"NS": ["3", "1.5"]})),
    ("UpdateItem", update("1", "SET n = :n ADD returned :slots", slots={"NS": ["2"]}, n={"N": "7"})),
    (
        "UpdateItem",
        update("1", "DELETE returned :taken", "contains(returned, :slot)", taken={"NS": ["3"]}, slot={"N": "3"}),
    ),
    (
        "UpdateItem",
        update("1", "DELETE returned :taken", "contains(returned, :slot)", taken={"NS": ["3"]}, slot={"N": "3"}),
    ),
    ("UpdateItem", update("1", "SET n = :n REMOVE word", LISTED, n=N, word=WORD)),
    ("UpdateItem", update("1", "SET n = if_not_exists(absent, :n)", n={"N": "4"})),
    ("GetItem", {"Key": item("1")}),
    ("GetItem", {"Key": item("absent")}),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": {"Item": item("3"), **ABSENT}},
                {"Update": {"Key": item("1"), "UpdateExpression": "SET n = :n", **given(n=N)}},
                {"ConditionCheck": {"Key": item("2"), "ConditionExpression": "attribute_not_exists(pk)"}},
            ]
        },
    ),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": {"Item": item("4")}},
                {"Delete": {"Key": item("3"), "ConditionExpression": "attribute_exists(absent)"}},
            ]
        },
    ),
    (
        "TransactWriteItems",
        {"TransactItems": [{"Delete": {"Key": item("3"), "ConditionExpression": "attribute_exists(pk)"}}]},
    ),
    ("DeleteItem", {"Key": item("2"), "ConditionExpression": "attribute_exists(pk)"}),
    ("DeleteItem", {"Key": item("1"), "ConditionExpression": "n > :more", **given(more=MORE)}),
    ("Query", ALL),
    ("DeleteItem", {"Key": item("1")}),
    ("Query", ALL),
    *(("PutItem", {"Item": item(f"o{at}", unfinished=OPEN, deadline={"N": str(at)})}) for at in (30, 10, 20)),
    ("PutItem", {"Item": item("o40", deadline={"N": "40"})}),
    ("Query", OVERDUE | given(open=OPEN, now={"N": "20"})),
    ("Query", OVERDUE | given(open=OPEN, now={"N": "9"})),
    ("Query", OVERDUE | given(open=OPEN, now={"N": "9"}) | {"ConsistentRead": True}),
    ("UpdateItem", update("o10", "REMOVE unfinished")),
    ("Query", OVERDUE | given(open=OPEN, now={"N": "99"})),
    *(
        ("PutItem", {"Item": item(f"c{at}", resource_type=WORD, counted_at={"N": str(at)}, attempted_at=N, n=N)})
        for at in (10, 20)
    ),
    ("PutItem", {"Item": item("c30", resource_type=WORD)}),
    ("Query", COUNTED | given(type=WORD, since={"N": "9"})),
    ("Query", COUNTED | given(type=WORD, since={"N": "10"})),
    ("Query", COUNTED | given(type=OPEN, since={"N": "9"})),
    ("BatchGetItem", batch("o10", "absent", "o20") | {"ConsistentRead": True}),
    ("BatchGetItem", batch("o10", "o10")),
    ("BatchGetItem", batch(*map(str, range(101)))),
]


def moto_answer(operation: str, parameters: dict[str, Any] | None = None, **more: Any) -> tuple[int, Any]:
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20300101/us-east-1/dynamodb/aws4_request",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }
    url = "https://dynamodb.us-east-1.amazonaws.com/"
    request = Request.from_primitives("POST", url, headers, json.dumps({**(parameters or {}), **more}).encode())
    service = service_of(request.headers)
    assert service is not None
    status, _, body = answer(service, request)
    return status, json.loads(body)


def comparable(value: Any) -> Any:
    """Remove what the provider does not read, the order of sets, and the trailing zeros that only moto returns."""
    if isinstance(value, dict):
        ignored = {"message", "Message", "ConsumedCapacity", "ItemCollectionMetrics"}
        kept = {name: member for name, member in value.items() if name not in ignored}
        kept |= {"__type": kept["__type"].rpartition("#")[2]} if "__type" in kept else {}
        if "N" in kept:
            return float(kept["N"])
        return {name: sorted(member) if name == "NS" else comparable(member) for name, member in kept.items()}
    return [comparable(member) for member in value] if isinstance(value, list) else value


def test_table_of_the_simulation_answers_like_moto() -> None:
    table, refused = StateTable(), 0
    with entered(World()):
        create_state_table(SimpleNamespace(create_table=partial(moto_answer, "CreateTable")), "state")
        for operation, parameters in TABLE_CALLS:
            sent = {"TableName": "state", **parameters}
            if operation == "TransactWriteItems":
                writes = parameters["TransactItems"]
                sent = {
                    "TransactItems": [{kind: {"TableName": "state", **one[kind]} for kind in one} for one in writes]
                }
            if operation == "BatchGetItem":
                sent = {"RequestItems": {"state": parameters}}
            status, body = table.call(operation, json.dumps(sent).encode())
            assert comparable([status, json.loads(body)]) == comparable(list(moto_answer(operation, sent))), sent
            refused += status == 400
    assert refused == 10


def test_table_of_the_simulation_refuses_what_it_does_not_support() -> None:
    for operation, parameters in (
        ("Scan", {}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"Item": item("1")}}, {"Delete": {"Key": item("1")}}]}),
        ("UpdateItem", update("1", "SET n = list_append(n, :n)", n=N)),
        ("UpdateItem", update("1", "SET n = :n", "size(n) > :n", n=N)),
        ("Query", OVERDUE | given(open=OPEN, now=N) | {"Limit": 1}),
        ("BatchGetItem", {"RequestItems": {"state": batch("1") | {"ProjectionExpression": "pk"}}}),
    ):
        with pytest.raises(UnsupportedError):
            StateTable().call(operation, json.dumps(parameters).encode())


def simulated(*arguments: str) -> Any:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "functions", ROOT)))}
    command = [sys.executable, "-m", "benchmarks.bulk", *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout)  # noqa: S603


def test_every_simulation_is_measured_with_its_goal() -> None:
    counts = dict.fromkeys(SIMULATIONS, 4) | {"sweep_10000": 1000}
    results = simulated(*(f"{name}={count}" for name, count in counts.items()))
    assert set(results) == set(SIMULATIONS)
    for name, runs in results.items():
        assert len(runs) == SIMULATIONS[name].seeds
    found = figures.of_bulk(results)
    # Four Deletes fit, so that none is refused.
    assert {name for name, figure in found.items() if not figure.met} == {"delete_200_slow"}
    creates = found["bulk_400_concurrency_10"].value
    assert (creates["created"], creates["failed"], creates["held"]) == (4, 0, 4)
    assert creates["calls"]["pinpoint-sms-voice-v2.RequestPhoneNumber"] == 1
    for other in creates["others"].values():
        assert other["created"] + other["failed"] == 4
    assert found["delete_100_slow"].value["deleted"] == 4
    swept = found["sweep_10000"].value
    assert (swept["count"], swept["stacks"], swept["runs"], swept["with_leaks"]["found"]) == (1000, 200, 1, 10)


def run(**changes: Any) -> dict[str, Any]:
    """One run of a simulation that meets its goal."""
    measured = {
        "count": 400,
        "created": 400,
        "failed": 0,
        "held": 400,
        "alarms": 0,
        "lambda_retries": 0,
        "dead_letters": 0,
        "last_answer_seconds": 417.0,
        "within": True,
        "calls_per_number": 1.0,
        "billed_seconds_per_number": 3.0,
    }
    return measured | changes


def bulk(**changes: Any) -> dict[str, list[dict[str, Any]]]:
    creates, deletes = run(**changes), run(held=0)
    again = run(held=0)
    swept: dict[str, Any] = {"count": 10_000, "stacks": 2_000, "runs": 1, "found": 0}
    swept |= {"calls_per_100_numbers": 1.8, "cloudformation_calls_per_stack": 1.0, "seconds": 500.0}
    swept["with_leaks"] = swept | {"found": 100, "all_found": True}
    slow = run(held=30, failed=30, explained=True, last_refused_seconds=20.0, failed_later=1, again=again)
    return {
        "bulk_400_concurrency_10": [run(others={"full jitter": run()}), creates | {"others": {}}],
        "bulk_100_configured": [run(sms=run(calls_per_number=7.0), connect=run(calls_per_number=4.0))],
        "bulk_2000": [run()],
        "delete_100_slow": [deletes],
        "delete_200_slow": [slow],
        "sweep_10000": [swept | {"without_tagging_service": swept}],
    }


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"billed_seconds_per_number": 5.1}, False),
        ({"failed": 1}, False),
        ({"held": 401}, False),
        ({"within": False}, False),
        ({"alarms": 1}, False),
    ],
)
def test_bulk_goal_holds_for_every_seed(changes: dict[str, Any], met: bool) -> None:
    assert figures.of_bulk(bulk(**changes))["bulk_400_concurrency_10"].met is met


def test_value_of_a_bulk_figure_is_its_slowest_run() -> None:
    figure = figures.of_bulk(bulk(last_answer_seconds=425.0))["bulk_400_concurrency_10"]
    assert figure.value["last_answer_seconds"] == 425.0
    assert figure.spread == [417.0, 425.0]


@pytest.mark.parametrize(
    ("part", "missed"),
    [
        (None, {}),
        (None, {"calls_per_100_numbers": 3.1}),
        (None, {"cloudformation_calls_per_stack": 1.01}),
        (None, {"seconds": 901.0}),
        (None, {"found": 1}),
        ("with_leaks", {"all_found": False}),
        ("without_tagging_service", {"calls_per_100_numbers": 3.1}),
    ],
)
def test_sweep_goal_holds_with_and_without_the_tagging_service(part: str | None, missed: dict[str, Any]) -> None:
    results = bulk()
    [measured] = results["sweep_10000"]
    results["sweep_10000"] = [measured | (missed if part is None else {part: measured[part] | missed})]
    figure = figures.of_bulk(results)["sweep_10000"]
    assert figure.met is not bool(missed)
    assert figure.note == "spread: of the longest run, in seconds"


def costs(cold: float, warm: float = 1.0, delete: float = 0.1) -> dict[str, Cost]:
    peers = dict.fromkeys(report.LABELS, Cost([100.0], [100.0], [1.0], [100.0], [0.0]))
    provider = Cost([cold], [warm], [1.0], [50.0], [delete])
    return {**peers, "provider": provider, "provider_with_bundle": provider}


@pytest.mark.parametrize(
    ("measured", "mib", "bytecode", "missed"),
    [
        (costs(40.0), 1.0, 0.5, set()),
        (costs(50.0), 1.0, 0.5, {"cold_vs_naive", "cold_vs_naive_with_bundle"}),
        (costs(40.0, delete=0.11), 1.0, 0.5, {"delete_added_seconds"}),
        (costs(40.0, warm=-5.0), 1.0, 0.5, {"warm_vs_crhelper"}),
        (costs(40.0), 21.0, 0.8, {"artifact_mib", "bytecode_ratio"}),
    ],
)
def test_cost_goals(measured: dict[str, Cost], mib: float, bytecode: float, missed: set[str]) -> None:
    found = figures.of_costs(measured, mib, [bytecode], "Minstr")
    assert {name for name, figure in found.items() if not figure.met} == missed


def test_chart_draws_bars_to_scale() -> None:
    panels = [
        chart.of_ratios("cost & more", {"a": 0.5, "b": 1.0}),
        chart.of_results("many", {"a": (4, 0), "b": (1, 3)}),
    ]
    drawn = ET.fromstring(chart.svg(panels, "a < b", "a"))  # noqa: S314 - our own
    bars = {
        kind: [float(rect.attrib["width"]) for rect in drawn.findall(".//{*}rect") if rect.attrib["class"] == kind]
        for kind in ("provider", "other", "failed")
    }
    assert bars["provider"][0] * 2 == bars["other"][0]
    assert bars["failed"] == [bars["other"][1] * 3]


def test_readme_block_has_every_handler_and_replaces_the_previous_block(tmp_path: Path) -> None:
    artifacts = dict.fromkeys(report.LABELS, Artifact("", "", (), 1.0))
    table = report.of_costs(artifacts, costs(50.0), dict.fromkeys(report.LABELS, 2), "Minstr")
    found = figures.of_bulk(bulk())
    block = report.readme_block([table, report.of_bulk(found), report.of_sweep(found["sweep_10000"].value)], SMALL)
    assert all(label in block for label in report.LABELS.values())
    page = tmp_path / "README.md"
    page.write_text("before\n\n<!-- benchmark -->\nold\n<!-- /benchmark -->\n\nafter\n")
    for _ in range(2):
        report.update_readme(page, block)
        assert page.read_text() == f"before\n\n{block}\nafter\n"


def test_goal_table_marks_missed_goals() -> None:
    found = figures.of_costs(costs(50.0), 1.0, [0.5], "Minstr") | figures.of_bulk(bulk())
    lines = report.of_figures(found).splitlines()
    assert "| cold_vs_naive | 0.500 | 0.500 to 0.500 | <= 0.42 | NO |" in lines
    assert "| bulk_2000 | see above |  |  | yes |" in lines
