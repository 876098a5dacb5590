import json
import re
from pathlib import Path

from moto.core.responses import get_service_model

import local.telecom
from local.telecom import behaviours
from local.telecom.behaviours import BEHAVIOURS
from local.telecom.validation import CORRECTIONS

SOURCES = ("[API]", "[UG]", "[AG]", "[OG]", "[SQ]", "[TF]", "[GH]")
QUOTE = re.compile(r"'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")
BEHAVIOUR_ID = re.compile(r'"((?:any|connect|dynamodb|quotas|sms|tagging)\.[a-z_.]+)"')


def test_every_behaviour_has_a_source() -> None:
    for behaviour in BEHAVIOURS.values():
        assert behaviour.source.strip(), behaviour.id
        if behaviour.evidence != "inferred" and not behaviour.id.startswith("any."):
            assert behaviour.source.startswith(SOURCES), behaviour.id
        assert behaviour.default or behaviour.evidence == "inferred", behaviour.id


def test_api_quotations_are_in_botocore_model() -> None:
    names = ("pinpoint-sms-voice-v2", "connect", "resourcegroupstaggingapi", "service-quotas")
    models = [get_service_model(name) for name in names]
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


def test_code_implements_exactly_the_registered_behaviours() -> None:
    modules = set(Path(local.telecom.__path__[0]).rglob("*.py")) - {Path(behaviours.__file__)}
    assert {name for path in modules for name in BEHAVIOUR_ID.findall(path.read_text())} == set(BEHAVIOURS)


def test_only_existing_sender_id_conflict_is_disabled_by_default() -> None:
    assert {behaviour.id for behaviour in BEHAVIOURS.values() if not behaviour.default} == {"sms.sender_id.exists"}
