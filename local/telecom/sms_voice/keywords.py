"""Keywords of a number or a pool."""

from local.telecom.rules import Answer
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, ResourceNotFound
from local.telecom.sms_voice.records import Keyword, PhoneNumber, Pool, present
from local.telecom.sms_voice.state import Readers, State, passes

_FILTERS: Readers[Keyword] = {"keyword-action": lambda keyword: keyword.action}
_MANDATORY = {"HELP": "AUTOMATIC_RESPONSE", "STOP": "OPT_OUT"}


class Keywords(State):
    """Keywords are told apart without regard to case."""

    def put_keyword(self, parameters: Answer) -> Answer:
        """Make a keyword, or change it."""
        owner, name = self._owner(parameters["OriginationIdentity"]), parameters["Keyword"].upper()
        action = parameters.get("KeywordAction", "AUTOMATIC_RESPONSE")
        if name in _MANDATORY:  # their message is the owner's to word, what they do is not
            action = parameters.get("KeywordAction", _MANDATORY[name])
            self.refuse(action != _MANDATORY[name], _mandatory(name, "RESOURCE_MODIFICATION_NOT_ALLOWED"))
        held = owner.keywords.get(name)
        self.refuse(
            held is None and len(owner.keywords) >= self.options.keywords_per_number,
            QuotaExceeded(
                "sms.keyword.quota",
                "You have reached the quota of keywords.",
                reason="KEYWORDS_PER_POOL" if isinstance(owner, Pool) else "KEYWORDS_PER_PHONE_NUMBER",
            ),
        )
        serial = held.serial if held else self.serial()
        owner.keywords[name] = Keyword(serial, parameters["Keyword"], parameters["KeywordMessage"], action)
        return _identity(owner) | owner.keywords[name].as_answer()

    def delete_keyword(self, parameters: Answer) -> Answer:
        """Remove a keyword."""
        owner, name = self._owner(parameters["OriginationIdentity"]), parameters["Keyword"].upper()
        self.refuse(name in _MANDATORY, _mandatory(name, "RESOURCE_DELETION_NOT_ALLOWED"))
        keyword = self._keyword(owner, name)
        del owner.keywords[name]
        return _identity(owner) | keyword.as_answer()

    def describe_keywords(self, parameters: Answer) -> Answer:
        """Return keywords by name, or all that pass the filters."""
        owner = self._owner(parameters["OriginationIdentity"])
        named = [self._keyword(owner, name.upper()) for name in parameters.get("Keywords", [])]
        chosen = [
            (keyword.serial, keyword)
            for keyword in named or owner.keywords.values()
            if passes(keyword, parameters.get("Filters", []), _FILTERS)
        ]
        page, token = self.page(sorted(chosen, key=lambda pair: pair[0]), parameters, default=100)
        return _identity(owner) | {"Keywords": [keyword.as_answer() for keyword in page]} | present(NextToken=token)

    def _owner(self, name: str) -> PhoneNumber | Pool:
        return self.pool_of(name) if name.startswith("pool-") or ":pool/" in name else self.number_of(name)

    def _keyword(self, owner: PhoneNumber | Pool, name: str) -> Keyword:
        if name not in owner.keywords:
            raise ResourceNotFound("sms.keyword.unknown", "keyword", name)
        return owner.keywords[name]


def _identity(owner: PhoneNumber | Pool) -> Answer:
    return {"OriginationIdentityArn": owner.arn, "OriginationIdentity": owner.id}


def _mandatory(name: str, reason: str) -> Conflict:
    return Conflict(
        "sms.keyword.mandatory",
        f"The keyword {name} can't be deleted or modified.",
        reason=reason,
        resource_type="keyword",
        resource_id=name,
    )
