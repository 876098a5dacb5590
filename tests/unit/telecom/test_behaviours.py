import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from moto.core.responses import get_service_model

import local.telecom
from local.telecom import TelecomServer
from local.telecom.behaviours import BEHAVIOURS, behaves
from local.telecom.errors import ModelledError
from local.telecom.sms_voice.exceptions import Conflict
from local.telecom.validation import CORRECTIONS

SOURCES = ("[API]", "[UG]", "[AG]", "[TF]")
QUOTE = re.compile(r"'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")


def modules() -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(local.telecom.__path__, "local.telecom."):
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def error_classes() -> set[str]:
    known, waiting = {ModelledError}, [ModelledError]
    while waiting:
        for child in waiting.pop().__subclasses__():
            known.add(child)
            waiting.append(child)
    return {error.__name__ for error in known} | {"SourceNotFound"}


def calls_in(module: ModuleType) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node


def literal(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant), f"line {node.lineno}: the id of a behaviour is written out"
    return str(node.value)


def test_every_behaviour_has_a_source() -> None:
    for behaviour in BEHAVIOURS.values():
        assert behaviour.source.strip(), behaviour.id
        if behaviour.standing != "inferred" and not behaviour.id.startswith("any."):
            assert behaviour.source.startswith(SOURCES), behaviour.id
        assert behaviour.default or behaviour.standing == "inferred", behaviour.id


def test_what_is_quoted_from_the_api_stands_in_botocores_model() -> None:
    models = [get_service_model(name) for name in ("pinpoint-sms-voice-v2", "connect")]
    text = readable(json.dumps([model._service_description for model in models], ensure_ascii=False))
    sources = [behaviour.source for behaviour in BEHAVIOURS.values()]
    sources += [correction.source for correction in CORRECTIONS.values()]
    quotes = [quote for source in sources if source.startswith("[API]") for quote in QUOTE.findall(source)]
    assert len(quotes) > 20
    for quote in quotes:
        for part in quote.split("..."):
            assert readable(part).strip() in text, quote


def readable(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^<>]+>", "", text)).replace("\u2019", "'").lower()


def test_every_error_and_every_rule_names_a_behaviour_and_every_behaviour_is_somewhere() -> None:
    named: set[str] = set()
    for module in modules():
        for call in calls_in(module):
            assert isinstance(call.func, ast.Name)
            if call.func.id in error_classes():
                named.add(literal(call.args[0]))
            elif call.func.id == "behaves":
                named.update(literal(argument) for argument in call.args)
    assert named == set(BEHAVIOURS)


def test_an_unregistered_behaviour_cannot_be_raised_or_followed() -> None:
    with pytest.raises(KeyError):
        Conflict("sms.of.my.own", "No.")
    with pytest.raises(KeyError):
        behaves("sms.of.my.own")


def test_what_is_off_by_default_would_make_a_callers_life_easier() -> None:
    assert {behaviour.id for behaviour in BEHAVIOURS.values() if not behaviour.default} == {"sms.sender_id.exists"}


def test_an_unknown_behaviour_or_option_is_refused(server: TelecomServer) -> None:
    with pytest.raises(ValueError, match="unknown option"):
        server.configure(colour="red")
    with pytest.raises(ValueError, match=r"unknown behaviour.*no\.such"):
        server.configure(on=["no.such"])
