"""The declaration: shared field types, what a change of each needs, and all violations at once.

A properties class is an attrs class; each field is made by `prop`, whose metadata says everything there is to know
about the property: from it come the checks here, the schema, the docs and the lint rules. CloudFormation sends every
scalar as a string, so this module turns "true" and "5" into what they mean, and nothing else.
"""

import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

import attrs

from telephony import reasons

ALWAYS_KNOWN = frozenset({"ServiceToken", "ServiceTimeout"})
"""CloudFormation leaves them among the ResourceProperties."""

_SHOWN = 60
"""Characters of a refused value that a message shows."""


@attrs.frozen(repr=False, eq=False)
class Field:
    """What is known of one property besides its name and its type."""

    description: str
    required: bool = False
    create_only: bool = False
    """A change needs a new number."""
    create_only_not_readable: bool = False
    """Counts when the number is bought; it cannot be read back, so that a later change does nothing."""
    pattern: str | None = None
    """Matched over the whole string, as in JSON schema with both anchors."""
    minimum: int | None = None
    maximum: int | None = None
    """Of an Integer's value, a String's length, or a List's items."""
    hints: Mapping[str, str] = attrs.field(factory=dict)
    """What to say when exactly this value arrives."""
    disabled_when_removed: bool = False
    """A switch that is off again once its declaration is taken away; others stay as they are."""
    free_text: bool = False
    """May hold anything, a NoEcho value too: never shown."""
    normalize: Callable[[Any], Any] | None = None
    """Brings two values of one meaning to one form, before they are compared."""


@attrs.frozen(repr=False, eq=False)
class Violation:
    """One thing wrong with a declaration."""

    path: str
    value: str
    rule: str

    def __str__(self) -> str:
        """One line of a Reason."""
        return f"{self.path}: {self.value} {self.rule}".replace("  ", " ")


@attrs.frozen(repr=False, eq=False)
class Rule:
    """A combination of properties that is never accepted."""

    path: str
    text: str
    violated: Callable[[Mapping[str, Any]], bool]
    """Gets the valid properties by field name, with their defaults; a refused one is missing."""


def prop(description: str, *, default: Any = None, **known: Any) -> Any:
    """Declare a property. Absent, and not required, it is `default`."""
    field = Field(description=description, **known)
    return attrs.field(default=attrs.NOTHING if field.required else default, metadata={"property": field}, kw_only=True)


def property_name(field_name: str) -> str:
    """The property's name in a template: iso_country_code is IsoCountryCode; HELP stays."""
    return "".join(part if part.isupper() else part.capitalize() for part in field_name.split("_"))


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Nested:
    """A property that holds properties."""

    rules: ClassVar[tuple[Rule, ...]] = ()


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Tag(Nested):
    """A key and a value, as everywhere in CloudFormation."""

    key: str = prop(
        "The key. Keys that begin with `aws:` or `cfn-telephony:` are reserved.",
        required=True,
        pattern=r"(?!aws:|cfn-telephony:)[^\x00-\x1f]+",
        minimum=1,
        maximum=128,
    )
    value: str = prop("The value.", required=True, maximum=256, free_text=True)


Anything = typing.NewType("Anything", object)
type ReplacementPermission = bool | str
"""true, false, or the id of the one number that it is meant for."""


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Properties:
    """What every type of this provider accepts besides its own properties."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    tags: tuple[Tag, ...] | None = prop(
        "Tags. What is not declared here is removed, but for the provider's own tags. Without this property no tag is "
        "touched.",
        maximum=45,
    )
    allow_replacement: ReplacementPermission = prop(
        "Whether a replacement may release the present one for good: `true`, or the id of the one that may go, which "
        "refuses again once that one is gone.",
        pattern=r"phone-[0-9a-f]{32}|[A-Z]{2}\|[A-Z0-9_-]{1,11}|arn:\S+:phone-number/\S+",
        default=False,
    )
    wait_for_active: bool = prop(
        "Whether to answer only when a phone number of AWS End User Messaging SMS is ACTIVE. Without it the number is "
        "answered as soon as it is bought, with its Status. A sender ID is there at once; a claim of Amazon Connect "
        "is always waited for.",
        default=False,
    )
    wait_timeout_seconds: int | None = prop(
        "How long to wait at most, from the request on. Without it, as long as ServiceTimeout allows.",
        minimum=1,
        maximum=3600,
    )
    trigger: Anything | None = prop(
        "Any value. A change of it forces an update, which brings what exists back to what is declared."
    )

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """Read a declaration; raise HandlerError(InvalidRequest) that names every violation, one a line."""
        violations: list[Violation] = []
        known = {name: value for name, value in raw.items() if name not in ALWAYS_KNOWN}
        parsed = _structure(cls, known, "", violations)
        if violations:
            count = f"{len(violations)} properties are" if len(violations) > 1 else "1 property is"
            lines = "\n".join(f"- {violation}" for violation in violations)
            raise reasons.NOT_VALID.failure(count=count, violations=lines)
        return typing.cast("Self", parsed)


def ended[P: Properties](desired: P, before: Mapping[str, Any]) -> P:
    """The declaration, with the switches off that were declared on before (OldResourceProperties) and now are not."""
    off: dict[str, Any] = {
        field.name: False
        for name, (field, known) in fields(type(desired)).items()
        if known.disabled_when_removed and getattr(desired, field.name) is None and _boolean(before.get(name))
    }
    return attrs.evolve(desired, **off)


def fields(cls: type[Any]) -> Mapping[str, tuple["attrs.Attribute[Any]", Field]]:
    """The properties of a class by their names in a template: its own first, then those of every type."""
    ordered = sorted(attrs.fields(cls), key=lambda field: field.inherited)
    return {property_name(field.name): (field, field.metadata["property"]) for field in ordered}


def parse_lenient(cls: type[Any], raw: object) -> Any:
    """Read what can be read of a nested property; a Delete never fails for its properties."""
    values = {}
    if isinstance(raw, Mapping):
        for name, (field, known) in fields(cls).items():
            found: list[Violation] = []
            value = _value(field.type, raw[name], name, known, found) if name in raw else None
            if name in raw and not found:
                values[field.name] = value
    return cls(**values)


def free_text_values(cls: type[Any], raw: Mapping[str, Any]) -> Iterator[str]:
    """Every string in a declaration that may be a secret: of free text, and of what is not known here."""
    known_fields = fields(cls)
    for name, value in raw.items():
        if name in ALWAYS_KNOWN:
            continue
        field, known = known_fields.get(name, (None, None))
        kind = _without_none(field.type) if field is not None else Anything
        if (known is not None and known.free_text) or kind is Anything:
            yield from _strings(value)
            continue
        member = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
        for item in value if isinstance(value, list) else [value]:
            if attrs.has(member) and isinstance(item, Mapping):
                yield from free_text_values(member, item)
            elif attrs.has(member) or not isinstance(item, str):
                yield from _strings(item)  # Not of the right shape: anything.


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _structure(cls: type[Any], raw: Mapping[str, Any], path: str, violations: list[Violation]) -> Any:
    """An instance, or None where something was wrong with it; what was wrong is added to violations."""
    values: dict[str, Any] = {}
    before = len(violations)
    known_fields = fields(cls)
    for name, (field, known) in known_fields.items():
        if raw.get(name) is None:
            if known.required:
                violations.append(Violation(path + name, "", "is required."))
            continue
        found: list[Violation] = []
        value = _value(field.type, raw[name], path + name, known, found)
        if found:
            violations.extend(found)
        else:
            values[field.name] = value
    violations.extend(
        Violation(path + name, f"({_kind(raw[name])})", f"is not a property here.{_near(name, known_fields)}")
        for name in raw
        if name not in known_fields
    )
    absent = [(field, known) for name, (field, known) in known_fields.items() if name not in raw]
    with_defaults = {field.name: field.default for field, known in absent if not known.required} | values
    violations.extend(
        Violation(path + rule.path, _show(raw.get(rule.path)), rule.text)
        for rule in cls.rules
        if rule.violated(with_defaults)
    )
    return cls(**values) if len(violations) == before else None


def _value(kind: Any, value: Any, path: str, known: Field, violations: list[Violation]) -> Any:  # noqa: PLR0911 - one line a type
    """Turn what CloudFormation sent into what the property's type says, or add what is wrong with it."""
    kind = _without_none(kind)
    refuse = _Refusal(path, value, known, violations)
    if kind is Anything:
        return value
    if kind is ReplacementPermission:
        id_like = isinstance(value, str) and re.fullmatch(known.pattern or "", value)
        meant = value if id_like else _boolean(value)
        return refuse("must be true, false, or the id of the one that may go.") if meant is None else meant
    if kind is bool:
        meant = _boolean(value)
        return refuse("must be true or false.") if meant is None else meant
    if kind is int:
        return _integer(value, known, refuse)
    if kind is str:
        return _string(value, known, refuse)
    origin = typing.get_origin(kind)
    if origin is Literal:
        allowed = typing.get_args(kind)
        return value if value in allowed else refuse(f"must be one of {' | '.join(allowed)}.")
    if origin is tuple:
        return _list(kind, value, path, known, violations)
    if not isinstance(value, Mapping):
        return refuse("must be a map of properties.", shape=True)
    return _structure(kind, value, f"{path}.", violations)


def _boolean(value: Any) -> bool | None:
    """Exactly these two: "yes", "1" and "TRUE" are how a number gets released that was meant to stay."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


@attrs.frozen(repr=False, eq=False)
class _Refusal:
    path: str
    value: Any
    known: Field
    violations: list[Violation]

    def __call__(self, rule: str, *, shape: bool = False) -> Any:
        hint = self.known.hints.get(self.value, "") if isinstance(self.value, str) else ""
        # What is not even of the right shape may be anything, a secret too.
        shown = f"({_kind(self.value)})" if self.known.free_text or shape else _show(self.value)
        self.violations.append(Violation(self.path, shown, " ".join(filter(None, (rule, hint)))))


def _integer(value: Any, known: Field, refuse: _Refusal) -> Any:
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,9}", str(value)):
        return refuse("must be a whole number.")
    low, high = known.minimum, known.maximum
    if (low is not None and int(value) < low) or (high is not None and int(value) > high):
        return refuse(f"must be from {low} to {high}." if high is not None else f"must be at least {low}.")
    return int(value)


def _string(value: Any, known: Field, refuse: _Refusal) -> Any:
    if not isinstance(value, str):
        return refuse("must be a string.", shape=True)
    if known.minimum is not None and len(value) < known.minimum:
        return refuse(f"must have at least {known.minimum} characters.")
    if known.maximum is not None and len(value) > known.maximum:
        return refuse(f"must have at most {known.maximum} characters.")
    if known.pattern is not None and not re.fullmatch(known.pattern, value):
        return refuse(f"must match {known.pattern}")
    return value


def _list(kind: Any, value: Any, path: str, known: Field, violations: list[Violation]) -> Any:
    refuse = _Refusal(path, value, known, violations)
    if not isinstance(value, (list, tuple)):
        return refuse("must be a list.", shape=True)
    if known.minimum is not None and len(value) < known.minimum:
        return refuse(f"must have at least {known.minimum} items.", shape=True)
    if known.maximum is not None and len(value) > known.maximum:
        return refuse(f"must have at most {known.maximum} items.", shape=True)
    # A pattern on a list is its items' own; the counts above are the list's.
    each = attrs.evolve(known, minimum=None, maximum=None)
    member = typing.get_args(kind)[0]
    return tuple(_value(member, item, f"{path}[{index}]", each, violations) for index, item in enumerate(value))


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return next(member for member in typing.get_args(kind) if member is not type(None))
    return kind


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    return (
        "a map"
        if isinstance(value, Mapping)
        else "a list"
        if isinstance(value, (list, tuple))
        else type(value).__name__
    )


def _show(value: Any) -> str:
    if value is None:
        return ""
    text = f'"{value}"' if isinstance(value, str) else _kind(value) if isinstance(value, Mapping) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _near(name: str, known: Mapping[str, object]) -> str:
    """Say the name that was probably meant; `difflib` is worth its import only for someone who mistyped."""
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def declared(properties: Properties) -> Iterator[tuple[str, Field, Any]]:
    """The properties that are declared: field name, what is known of it, value."""
    for field, known in fields(type(properties)).values():
        value = getattr(properties, field.name)
        if value is not None:
            yield field.name, known, value
