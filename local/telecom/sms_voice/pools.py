"""Pools, and who is in them."""

from local.telecom.behaviours import behaves
from local.telecom.errors import ModelledError
from local.telecom.rules import Answer
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, ResourceNotFound, Validation
from local.telecom.sms_voice.phone_numbers import PhoneNumbers
from local.telecom.sms_voice.records import PhoneNumber, Pool, SenderId, present, tag_list
from local.telecom.sms_voice.sender_ids import SenderIds
from local.telecom.sms_voice.state import Readers, flag, passes, tags_in

type Identity = PhoneNumber | SenderId

_POOL_FILTERS: Readers[tuple[Pool, str]] = {
    "status": lambda it: it[1],
    "message-type": lambda it: it[0].message_type,
    "two-way-enabled": lambda it: flag(it[0].two_way_enabled),
    "self-managed-opt-outs-enabled": lambda it: flag(it[0].self_managed_opt_outs),
    "opt-out-list-name": lambda it: it[0].opt_out_list,
    "shared-routes-enabled": lambda _: "false",
    "deletion-protection-enabled": lambda it: flag(it[0].protected),
    "two-way-channel-arn": lambda it: it[0].two_way_channel_arn or "",
}
_MEMBER_FILTERS: Readers[Identity] = {
    "iso-country-code": lambda identity: identity.country,
    "number-capability": lambda identity: identity.capabilities if isinstance(identity, PhoneNumber) else ["SMS"],
}


class Pools(PhoneNumbers, SenderIds):
    """The pools of one account in one Region."""

    def create_pool(self, parameters: Answer) -> Answer:
        """Make a pool around its first identity."""
        return self.once("CreatePool", parameters, lambda: self._create(parameters))

    @behaves("sms.pool.inherits")
    def _create(self, parameters: Answer) -> Answer:
        first, now, pool_id = self._identity(parameters), self.clock.now(), self.new_id("pool")
        self.refuse(
            len(self.pools) >= self.options.pools,
            QuotaExceeded("sms.pool.quota", "You have reached the quota of pools.", reason="POOLS_PER_ACCOUNT"),
        )
        pool = Pool(
            serial=self.serial(),
            id=pool_id,
            arn=self.arn_of(f"pool/{pool_id}"),
            message_type=parameters["MessageType"],
            created=now,
            protected=parameters.get("DeletionProtectionEnabled", False),
        )
        if isinstance(first, PhoneNumber):
            pool.two_way_enabled, pool.two_way_channel_arn = first.two_way_enabled, first.two_way_channel_arn
            pool.two_way_channel_role = first.two_way_channel_role
            pool.self_managed_opt_outs, pool.opt_out_list = first.self_managed_opt_outs, first.opt_out_list
            pool.keywords = dict(first.keywords)
        self._check(first, pool)
        self.pools[pool.id] = pool
        tags = tags_in(parameters)
        self.write_tags(pool.tags, tags)
        self._join(first, pool)
        return pool.as_answer("CREATING") | {"DeletionProtectionEnabled": pool.protected, "Tags": tag_list(tags)}

    @behaves("sms.pool.delete")
    def delete_pool(self, parameters: Answer) -> Answer:
        """Delete the pool; its members stay, without it."""
        pool = self.pool_of(parameters["PoolId"])
        self.refuse(
            pool.protected,
            Conflict(
                "sms.pool.protected",
                f"Deletion protection is enabled for the pool {pool.id}.",
                reason="DELETION_PROTECTION_ENABLED",
                resource_type="pool",
                resource_id=pool.id,
            ),
        )
        for identity in self._members(pool):
            self._leave(identity, pool)
        del self.pools[pool.id]
        return pool.as_answer("DELETING")

    def describe_pools(self, parameters: Answer) -> Answer:
        """Return pools by id, or all that pass the filters."""
        self.refuse(
            parameters.get("PoolIds") and "Owner" in parameters,
            Validation(
                "sms.describe.owner",
                "Owner and PoolIds can't be used at the same time.",
                "PARAMETERS_CANNOT_BE_USED_TOGETHER",
            ),
        )
        named = [self.pool_of(name) for name in parameters.get("PoolIds", [])]
        chosen = [
            (pool.serial, pool)
            for pool in named or self.pools.values()
            if passes((pool, "ACTIVE"), parameters.get("Filters", []), _POOL_FILTERS)
            and parameters.get("Owner") != "SHARED"
        ]
        page, token = self.page(sorted(chosen, key=lambda pair: pair[0]), parameters, default=100)
        pools = [pool.as_answer("ACTIVE") | {"DeletionProtectionEnabled": pool.protected} for pool in page]
        return {"Pools": pools} | present(NextToken=token)

    def associate_origination_identity(self, parameters: Answer) -> Answer:
        """Put a number or sender ID into a pool."""
        return self.once("AssociateOriginationIdentity", parameters, lambda: self._associate(parameters))

    def _associate(self, parameters: Answer) -> Answer:
        pool, identity = self.pool_of(parameters["PoolId"]), self._identity(parameters)
        self._check(identity, pool)
        self._join(identity, pool)
        return self._membership(pool, identity)

    def disassociate_origination_identity(self, parameters: Answer) -> Answer:
        """Take a number or sender ID out of a pool."""
        return self.once("DisassociateOriginationIdentity", parameters, lambda: self._disassociate(parameters))

    def _disassociate(self, parameters: Answer) -> Answer:
        pool, identity = self.pool_of(parameters["PoolId"]), self._identity(parameters)
        self.refuse(
            identity.arn not in pool.members,
            Conflict(
                "sms.pool.not_member",
                f"{identity.id} is not associated with the pool {pool.id}.",
                reason="PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL",
                resource_type=_kind(identity),
                resource_id=identity.id,
            ),
        )
        numbers = [one for one in self._members(pool) if isinstance(one, PhoneNumber)]
        self.refuse(
            numbers == [identity],
            Conflict(
                "sms.pool.last",
                f"{identity.id} is the last phone number of the pool {pool.id}.",
                reason="LAST_PHONE_NUMBER",
                resource_type="phone-number",
                resource_id=identity.id,
            ),
        )
        self._leave(identity, pool)
        return self._membership(pool, identity)

    def list_pool_origination_identities(self, parameters: Answer) -> Answer:
        """Return the members of a pool."""
        pool = self.pool_of(parameters["PoolId"])
        chosen = [
            (pool.members[identity.arn], identity)
            for identity in self._members(pool)
            if passes(identity, parameters.get("Filters", []), _MEMBER_FILTERS)
        ]
        page, token = self.page(chosen, parameters, default=100)
        listed = [
            {
                "OriginationIdentityArn": identity.arn,
                "OriginationIdentity": identity.id,
                "IsoCountryCode": identity.country,
                "NumberCapabilities": identity.capabilities if isinstance(identity, PhoneNumber) else ["SMS"],
            }
            | present(PhoneNumber=identity.number if isinstance(identity, PhoneNumber) else None)
            for identity in page
        ]
        return {"PoolArn": pool.arn, "PoolId": pool.id, "OriginationIdentities": listed} | present(NextToken=token)

    def check_fits(self, number: PhoneNumber, pool: Pool) -> None:
        """Raise if a number that is being requested cannot be in the pool: it joins before it is ACTIVE."""
        self._check_match(number, pool)

    def join(self, number: PhoneNumber, pool: Pool) -> None:
        """Make the number a member of the pool."""
        self._join(number, pool)

    def _check(self, identity: Identity, pool: Pool) -> None:
        """Raise if the identity cannot join the pool."""
        if isinstance(identity, PhoneNumber):
            status = identity.status(self.clock.now())
            self.refuse(
                identity.pool_id,
                Conflict(
                    "sms.pool.other_pool",
                    f"The phone number {identity.id} is already associated with the pool {identity.pool_id}.",
                    reason="RESOURCE_ALREADY_ASSOCIATED"
                    if identity.pool_id == pool.id
                    else "PHONE_NUMBER_ASSOCIATED_TO_POOL",
                    resource_type="phone-number",
                    resource_id=identity.id,
                ),
            )
            self.refuse(
                status != "ACTIVE",
                Conflict(
                    "sms.pool.inactive",
                    f"The phone number {identity.id} is {status}, not ACTIVE.",
                    reason="RESOURCE_NOT_ACTIVE",
                    resource_type="phone-number",
                    resource_id=identity.id,
                ),
            )
        self._check_match(identity, pool)

    def _check_match(self, identity: Identity, pool: Pool) -> None:
        for reason, matches in _comparisons(identity, pool):
            self.refuse(not matches, _mismatch(identity, pool, reason))
        self.refuse(
            len(pool.members) >= self.options.identities_per_pool,
            QuotaExceeded(
                "sms.pool.identity_quota",
                "You have reached the quota of origination identities in a pool.",
                reason="ORIGINATION_IDENTITIES_PER_POOL",
            ),
        )

    def _join(self, identity: Identity, pool: Pool) -> None:
        pool.members.setdefault(identity.arn, self.serial())
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

    def _identity(self, parameters: Answer) -> Identity:
        """Return the identity that the request names; a sender ID is known by its country too."""
        name, country = parameters["OriginationIdentity"], parameters.get("IsoCountryCode")
        if name.startswith("phone-") or ":phone-number/" in name:
            number = self.number_of(name)
            self.refuse(
                country and country != number.country,
                Validation(
                    "sms.pool.country",
                    f"The phone number {number.id} is of {number.country}, not {country}.",
                    "COUNTRY_CODE_MISMATCH",
                    ("IsoCountryCode", f"must be {number.country}"),
                ),
            )
            return number
        self.refuse(
            country is None,
            Validation(
                "sms.pool.identity_country",
                f"The origination identity {name} is not a valid ARN.",
                "INVALID_ARN",
                ("OriginationIdentity", "is not a valid ARN"),
            ),
        )
        for sender in self.sender_ids.values():
            named = name == sender.arn or name.upper() == sender.id
            if named and country in (sender.country, None):
                return sender
        raise ResourceNotFound("sms.pool.identity", "sender-id", name)

    def _membership(self, pool: Pool, identity: Identity) -> Answer:
        return {
            "PoolArn": pool.arn,
            "PoolId": pool.id,
            "OriginationIdentityArn": identity.arn,
            "OriginationIdentity": identity.id,
            "IsoCountryCode": identity.country,
        }


def _comparisons(identity: Identity, pool: Pool) -> list[tuple[str, bool]]:
    """Return what must be equal, by the reason for refusing it."""
    if isinstance(identity, SenderId):
        return [("MESSAGE_TYPE_MISMATCH", pool.message_type in identity.message_types)]
    two_way = ("two_way_enabled", "two_way_channel_arn", "two_way_channel_role")
    own = {word: (keyword.message, keyword.action) for word, keyword in identity.keywords.items()}
    pools = {word: (keyword.message, keyword.action) for word, keyword in pool.keywords.items()}
    return [
        ("MESSAGE_TYPE_MISMATCH", identity.message_type == pool.message_type),
        ("TWO_WAY_CONFIG_MISMATCH", all(getattr(identity, name) == getattr(pool, name) for name in two_way)),
        ("OPT_OUT_LIST_MISMATCH", identity.opt_out_list == pool.opt_out_list),
        ("SELF_MANAGED_OPT_OUTS_MISMATCH", identity.self_managed_opt_outs == pool.self_managed_opt_outs),
        ("KEYWORD_MISMATCH", own == pools),
    ]


def _mismatch(identity: Identity, pool: Pool, reason: str) -> ModelledError:
    return Conflict(
        "sms.pool.mismatch",
        f"The configuration of {identity.id} doesn't match that of the pool {pool.id}.",
        reason=reason,
        resource_type=_kind(identity),
        resource_id=identity.id,
    )


def _kind(identity: Identity) -> str:
    return "phone-number" if isinstance(identity, PhoneNumber) else "sender-id"
