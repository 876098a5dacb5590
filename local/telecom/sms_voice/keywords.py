"""Keywords of a phone number or a pool."""

from local.telecom.rules import Json
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, ResourceNotFound
from local.telecom.sms_voice.records import Keyword, PhoneNumber, Pool
from local.telecom.sms_voice.state import State

_MANDATORY = {"HELP": "AUTOMATIC_RESPONSE", "STOP": "OPT_OUT"}


class Keywords(State):
    """Keyword operations. Keywords are not case-sensitive."""

    def put_keyword(self, parameters: Json) -> Json:
        """Create or change a keyword. Of a mandatory keyword, only the message can be sent."""
        owner, name = self._owner(parameters["OriginationIdentity"]), parameters["Keyword"].upper()
        managed = name in _MANDATORY and "KeywordAction" in parameters
        self.invalid_if(managed, "sms.keyword.action", "INVALID_PARAMETER", "KeywordAction", f"is managed for {name}")
        action = parameters.get("KeywordAction", _MANDATORY.get(name, "AUTOMATIC_RESPONSE"))
        spaces, rule = parameters["Keyword"].strip(" ") != parameters["Keyword"], "must not start or end with a space"
        self.invalid_if(spaces, "sms.keyword.spaces", "INVALID_PARAMETER", "Keyword", rule)
        held = owner.keywords.get(name)
        if held is None:
            quota = "KEYWORDS_PER_POOL" if isinstance(owner, Pool) else "KEYWORDS_PER_PHONE_NUMBER"
            exhausted = len(owner.keywords) >= self.options.keywords_per_number
            self.reject_if(exhausted, QuotaExceeded("sms.keyword.quota", quota))
        serial = held.serial if held else self.next_serial()
        owner.keywords[name] = Keyword(serial, parameters["Keyword"], parameters["KeywordMessage"], action)
        return _identity(owner) | owner.keywords[name].response()

    def delete_keyword(self, parameters: Json) -> Json:
        """Delete a keyword."""
        owner, name = self._owner(parameters["OriginationIdentity"]), parameters["Keyword"].upper()
        keyword = self._keyword(owner, name)
        conflict = Conflict("sms.keyword.mandatory", "RESOURCE_DELETION_NOT_ALLOWED", keyword)
        self.reject_if(name in _MANDATORY, conflict)
        del owner.keywords[name]
        return _identity(owner) | keyword.response()

    def describe_keywords(self, parameters: Json) -> Json:
        """Return keywords by name, or all that match the filters."""
        owner = self._owner(parameters["OriginationIdentity"])
        named = [self._keyword(owner, name.upper()) for name in parameters.get("Keywords", [])]
        held = named or owner.keywords.values()
        return _identity(owner) | self.describe("Keywords", held, Keyword.response, parameters)

    def _owner(self, name: str) -> PhoneNumber | Pool:
        return self.pool_of(name) if name.startswith("pool-") or ":pool/" in name else self.number_of(name)

    def _keyword(self, owner: PhoneNumber | Pool, name: str) -> Keyword:
        if name not in owner.keywords:
            raise ResourceNotFound("sms.keyword.unknown", "keyword", name)
        return owner.keywords[name]


def _identity(owner: PhoneNumber | Pool) -> Json:
    return {"OriginationIdentityArn": owner.arn, "OriginationIdentity": owner.id}
