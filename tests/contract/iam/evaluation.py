"""Evaluates policy statements.

Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators", "Set operators for
multivalued context keys" and "IAM JSON policy elements: Resource". What the template does not use raises
NotImplementedError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


@attrs.frozen
class Request:
    """What one authorization decides: an action on a resource. The keys of the context are in lower case."""

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]]


@attrs.frozen
class Statement:
    """A statement. `policy`: the logical ID of the role or policy that contains it."""

    policy: str
    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Operator, key and values. All must hold."""

    @classmethod
    def parse(cls, policy: str, statement: Mapping[str, Any]) -> Statement:
        if not statement.keys() <= ELEMENTS or statement.get("Principal", "*") != "*" or "${" in str(statement):
            raise NotImplementedError(statement)
        conditions = statement.get("Condition", {}).items()
        return cls(
            policy,
            statement["Sid"],
            statement["Effect"],
            listed(statement["Action"]),
            listed(statement["Resource"]),
            tuple((operator, key, listed(one)) for operator, keys in conditions for key, one in keys.items()),
        )

    def matches(self, request: Request) -> Iterator[str]:
        """Yield the patterns of resources by which the statement applies to the request."""
        if any(_glob(request.action.lower(), action.lower()) for action in self.actions):
            patterns = [one for one in self.resources if _arn_like(request.resource, one)]
            if patterns and all(holds(*condition, request.context) for condition in self.conditions):
                yield from patterns


@attrs.frozen
class Decision:
    """`by`: the statements that decided it, each with the resource pattern that matched. Empty if denied by default."""

    allowed: bool
    by: tuple[tuple[Statement, str], ...]


def decide(request: Request, statements: tuple[Statement, ...]) -> Decision:
    """Evaluate all statements that apply to the principal and the resource, which are in the same account."""
    by = [(statement, pattern) for statement in statements for pattern in statement.matches(request)]
    denies = tuple(one for one in by if one[0].effect == "Deny")
    return Decision(bool(by) and not denies, denies or tuple(by))


def listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def holds(operator: str, key: str, values: tuple[str, ...], context: Mapping[str, tuple[str, ...]]) -> bool:
    """Evaluate one condition."""
    quantifier, _, name = operator.rpartition(":")
    present = context.get(key.lower())
    if name == "Null":
        return (present is None) == (values == ("true",))
    if name.endswith("IfExists") and present is None:
        return True
    name = name.removesuffix("IfExists")
    negated = "Not" in name
    test = _OPERATORS.get(name.replace("Not", ""))
    if test is None or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise NotImplementedError(operator)
    if present is None:
        return quantifier == "ForAllValues" or (negated and quantifier == "")
    results = [any(test(one, value) for value in values) != negated for one in present]
    if quantifier:
        return all(results) if quantifier == "ForAllValues" else any(results)
    (result,) = results
    return result


def _glob(text: str, pattern: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL))


def _arn_like(arn: str, pattern: str) -> bool:
    """Compare the six parts of an ARN one by one. A wildcard does not extend to the next part."""
    parts, patterns = arn.split(":", 5), pattern.split(":", 5)
    return pattern == "*" or (len(parts) == len(patterns) and all(map(_glob, parts, patterns)))


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringLike": _glob,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda text, value: text.lower() == value.lower(),
}
