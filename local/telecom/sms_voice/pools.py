"""Pools and their origination identities."""

from local.telecom.behaviours import behaves
from local.telecom.rules import Json, idempotent, present
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, ResourceNotFound
from local.telecom.sms_voice.phone_numbers import PhoneNumbers
from local.telecom.sms_voice.records import PhoneNumber, Pool, SenderId
from local.telecom.sms_voice.sender_ids import SenderIds
from local.telecom.sms_voice.state import matching

type Identity = PhoneNumber | SenderId

_TWO_WAY = ("two_way_enabled", "two_way_channel_arn", "two_way_channel_role")
_INHERITED = (*_TWO_WAY, "self_managed_opt_outs", "opt_out_list")


class Pools(PhoneNumbers, SenderIds):
    """The pools of one account in one Region."""

    @idempotent
    @behaves("sms.pool.inherits")
    def create_pool(self, parameters: Json) -> Json:
        """Create a pool with its first identity."""
        first = self._identity(parameters)
        exhausted = len(self.pools) >= self.options.pools
        self.reject_if(exhausted, QuotaExceeded("sms.pool.quota", "POOLS_PER_ACCOUNT"))
        pool = self.new(Pool, self.new_id("pool"), parameters, message_type=parameters["MessageType"])
        pool.protected = parameters.get("DeletionProtectionEnabled", False)
        if isinstance(first, PhoneNumber):
            for name in _INHERITED:
                setattr(pool, name, getattr(first, name))
            pool.keywords = dict(first.keywords)
        self._check_joins(first, pool)
        self.pools[pool.id] = pool
        self.join(first, pool)
        return pool.described("CREATING") | pool.tags_response()

    @behaves("sms.pool.update")
    def update_pool(self, parameters: Json) -> Json:
        """Change settings; a member that is absent from the request does not change."""
        pool = self.pool_of(parameters["PoolId"])
        self.change_settings(pool, parameters)
        pool.shared_routes = parameters.get("SharedRoutesEnabled", pool.shared_routes)
        return pool.described()

    @behaves("sms.pool.delete")
    def delete_pool(self, parameters: Json) -> Json:
        """Delete a pool. Its members continue to exist."""
        pool = self.pool_of(parameters["PoolId"])
        self.reject_if(pool.protected, Conflict("sms.pool.protected", "DELETION_PROTECTION_ENABLED", pool))
        for identity in self._members(pool):
            self._leave(identity, pool)
        del self.pools[pool.id]
        return pool.response("DELETING")

    def describe_pools(self, parameters: Json) -> Json:
        """Return pools by ID, or all that match the filters."""
        self.check_owner(parameters, "PoolIds")
        named = [self.pool_of(name) for name in parameters.get("PoolIds", [])]
        held = named or self.owned(Pool, self.pools.values(), parameters)
        return self.describe("Pools", held, Pool.described, parameters)

    @idempotent
    def associate_origination_identity(self, parameters: Json) -> Json:
        """Add a number or sender ID to a pool."""
        pool, identity = self.pool_of(parameters["PoolId"]), self._identity(parameters)
        self._check_joins(identity, pool)
        self.join(identity, pool)
        return self._membership(pool, identity)

    @idempotent
    def disassociate_origination_identity(self, parameters: Json) -> Json:
        """Remove a number or sender ID from a pool."""
        pool, identity = self.pool_of(parameters["PoolId"]), self._identity(parameters)
        self.reject_if(
            identity.arn not in pool.members,
            Conflict("sms.pool.not_member", "PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL", identity),
        )
        numbers = [one for one in self._members(pool) if isinstance(one, PhoneNumber)]
        self.reject_if(numbers == [identity], Conflict("sms.pool.last", "LAST_PHONE_NUMBER", identity))
        self._leave(identity, pool)
        return self._membership(pool, identity)

    def list_pool_origination_identities(self, parameters: Json) -> Json:
        """Return the members of a pool in the order of joining."""
        pool = self.pool_of(parameters["PoolId"])
        found = matching(self._members(pool), _listed, parameters)
        page, more = self.page([(pool.members[identity.arn], identity) for identity in found], parameters)
        return {"PoolArn": pool.arn, "PoolId": pool.id, "OriginationIdentities": list(map(_listed, page))} | more

    def _check_joins(self, identity: Identity, pool: Pool) -> None:
        """Raise if the identity can't join the pool. A number that is requested with a PoolId joins before ACTIVE."""
        if isinstance(identity, PhoneNumber):
            same = identity.pool_id == pool.id
            reason = "RESOURCE_ALREADY_ASSOCIATED" if same else "PHONE_NUMBER_ASSOCIATED_TO_POOL"
            self.reject_if(identity.pool_id, Conflict("sms.pool.other_pool", reason, identity))
            inactive = identity.status(self.clock.now()) != "ACTIVE"
            self.reject_if(inactive, Conflict("sms.pool.inactive", "RESOURCE_NOT_ACTIVE", identity))
        self.check_match(identity, pool)

    def check_match(self, identity: Identity, pool: Pool) -> None:
        """Raise if the settings of the identity and the pool differ, or the pool is full."""
        for reason, matches in _comparisons(identity, pool):
            self.reject_if(not matches, Conflict("sms.pool.mismatch", reason, identity))
        full = len(pool.members) >= self.options.identities_per_pool
        self.reject_if(full, QuotaExceeded("sms.pool.identity_quota", "ORIGINATION_IDENTITIES_PER_POOL"))

    def join(self, identity: Identity, pool: Pool) -> None:
        """Add the identity to the pool."""
        pool.members.setdefault(identity.arn, self.next_serial())
        if isinstance(identity, PhoneNumber):
            identity.pool_id = pool.id

    def _leave(self, identity: Identity, pool: Pool) -> None:
        pool.members.pop(identity.arn, None)
        if isinstance(identity, PhoneNumber):
            identity.pool_id = None
            identity.pool_until = self.clock.now() + self.options.pool_release_seconds

    def _members(self, pool: Pool) -> list[Identity]:
        known: dict[str, Identity] = {number.arn: number for number in self.phone_numbers.values()}
        known |= {sender.arn: sender for sender in self.sender_ids.values()}
        return [known[arn] for arn in pool.members if arn in known]

    def _identity(self, parameters: Json) -> Identity:
        """Return the identity that the request names. The key of a sender ID includes its country."""
        name, country = parameters["OriginationIdentity"], parameters.get("IsoCountryCode")
        if name.startswith("phone-") or ":phone-number/" in name:
            number = self.number_of(name)
            other, rule = country not in (number.country, None), f"must be {number.country}"
            self.invalid_if(other, "sms.pool.country", "COUNTRY_CODE_MISMATCH", "IsoCountryCode", rule)
            return number
        missing, rule = country is None, "is not a valid ARN"
        self.invalid_if(missing, "sms.pool.identity_country", "INVALID_ARN", "OriginationIdentity", rule)
        for sender in self.sender_ids.values():
            if (name == sender.arn or name.upper() == sender.id) and country in (sender.country, None):
                return sender
        raise ResourceNotFound("sms.pool.identity", "sender-id", name)

    def _membership(self, pool: Pool, identity: Identity) -> Json:
        return {"PoolArn": pool.arn, "PoolId": pool.id} | _identity_members(identity)


def _identity_members(identity: Identity) -> Json:
    country = identity.country
    return {"OriginationIdentityArn": identity.arn, "OriginationIdentity": identity.id, "IsoCountryCode": country}


def _listed(identity: Identity) -> Json:
    number = getattr(identity, "number", None)
    return _identity_members(identity) | present(NumberCapabilities=identity.capabilities, PhoneNumber=number)


def _comparisons(identity: Identity, pool: Pool) -> list[tuple[str, bool]]:
    """Return which settings are equal, by the reason of the error if they are not."""
    if isinstance(identity, SenderId):
        return [("MESSAGE_TYPE_MISMATCH", pool.message_type in identity.message_types)]
    own, pools = (
        {word: (keyword.message, keyword.action) for word, keyword in owner.keywords.items()}
        for owner in (identity, pool)
    )
    return [
        ("MESSAGE_TYPE_MISMATCH", identity.message_type == pool.message_type),
        ("TWO_WAY_CONFIG_MISMATCH", all(getattr(identity, name) == getattr(pool, name) for name in _TWO_WAY)),
        ("OPT_OUT_LIST_MISMATCH", identity.opt_out_list == pool.opt_out_list),
        ("SELF_MANAGED_OPT_OUTS_MISMATCH", identity.self_managed_opt_outs == pool.self_managed_opt_outs),
        ("KEYWORD_MISMATCH", own == pools),
    ]
