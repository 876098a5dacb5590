"""Where each behaviour of the local services comes from, and whether it is on.

Standing: `modelled` is in botocore's model or its text; `documented` is in AWS's documentation; `observed` was seen by
people who call the service; `inferred` follows from a name or a neighbouring text, and nobody reported seeing it. An
inferred behaviour is off by default where having it would make a caller's test pass more easily than AWS would.
`Options.on` and `Options.off` switch any of them by id.

Sources: [API] is the API Reference, whose text is botocore's model; [UG] the AWS End User Messaging SMS User Guide;
[AG] the Amazon Connect Administrator Guide; [TF] hashicorp/terraform-provider-aws, with the file or issue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Standing = Literal["modelled", "documented", "observed", "inferred"]


@dataclass(frozen=True)
class Behaviour:
    """A rule of the services, by the id under which errors and state rules name it."""

    id: str
    standing: Standing
    source: str
    default: bool = True


_TABLE = (
    # Every call
    Behaviour("any.input", "modelled", "[API] constraints of each operation's input shape"),
    Behaviour(
        "any.next_token", "modelled", "[API] ValidationException Reason INVALID_NEXT_TOKEN; Connect InvalidParameter"
    ),
    Behaviour("any.not_built", "inferred", "an operation that this service does not offer answers an error it models"),
    Behaviour("any.fault", "documented", "an error that somebody asked for on the fault page, in AWS's wire format"),
    Behaviour("any.malformed", "documented", "awsJson1_0 and restJson1 protocols: SerializationException"),
    Behaviour(
        "any.rate", "documented", "[UG] quotas: 1 request per second for most operations; [AG] 2 per second, burst 5"
    ),
    Behaviour("any.token", "modelled", "[API] ClientToken: 'to ensure the idempotency of the request'"),
    Behaviour(
        "any.tags_lag",
        "inferred",
        "tags are read from another store than they are written to; Options.tags_lag_seconds",
    ),
    Behaviour("any.region", "documented", "AWS General Reference, endpoints, as botocore's endpoints.json has them"),
    Behaviour("dynamodb.token", "modelled", "[API] TransactWriteItems, ClientRequestToken: it is valid for 10 minutes"),
    # ClientTokens of the SMS service
    Behaviour("sms.token.mismatch", "inferred", "[API] ClientToken; no error for other parameters is modelled by name"),
    Behaviour("sms.token.failure", "observed", "[TF] pinpointsmsvoicev2/sender_id.go: a token replays its failure"),
    # Phone numbers of the SMS service
    Behaviour(
        "sms.number.synchronous", "modelled", "[API] RequestPhoneNumber answers PhoneNumber and MonthlyLeasingPrice"
    ),
    Behaviour("sms.number.activation", "observed", "[TF] pinpointsmsvoicev2/phone_number.go waits PENDING -> ACTIVE"),
    Behaviour(
        "sms.number.registration", "observed", "[TF] #43295: numbers that need a registration stay PENDING for days"
    ),
    Behaviour("sms.number.quota", "documented", "[UG] quotas: 25 phone numbers; Reason PHONE_NUMBERS_PER_ACCOUNT"),
    Behaviour("sms.number.unknown", "observed", "[TF] an unknown id is ResourceNotFoundException for the whole call"),
    Behaviour(
        "sms.number.simulator_type", "modelled", "[API] RequestPhoneNumber NumberType: SIMULATOR is TRANSACTIONAL"
    ),
    Behaviour("sms.number.simulator_country", "documented", "[UG] test-phone-numbers: simulators in the United States"),
    Behaviour("sms.number.ten_dlc_country", "documented", "[UG] phone-numbers-request: 10DLC is for the United States"),
    Behaviour(
        "sms.number.ten_dlc_registration", "documented", "[UG] phone-numbers-request-10dlc: a campaign comes first"
    ),
    Behaviour(
        "sms.number.us_long_code", "documented", "[UG] phone-numbers-request-long-code: US requests are rejected"
    ),
    Behaviour("sms.number.mms_country", "documented", "[UG] phone-numbers-mms-by-country: MMS in US and CA only"),
    Behaviour("sms.number.preference", "modelled", "[API] NumberPreference: 'only to TEN_DLC requests in the US'"),
    Behaviour("sms.number.preference_unmet", "inferred", "no number fits the preference; no error is modelled by name"),
    Behaviour(
        "sms.number.international", "inferred", "[API] Reason INTERNATIONAL_SENDING_NOT_SUPPORTED; US toll-free only"
    ),
    Behaviour(
        "sms.number.price", "modelled", "[API] MonthlyLeasingPrice: a string in US dollars; the amounts are samples"
    ),
    Behaviour("sms.update.pool", "modelled", "[API] UpdatePhoneNumber: 'associated with a pool, an error is returned'"),
    # On, though nobody saw it: it makes a caller's life harder, not easier, and Terraform waits for ACTIVE first.
    Behaviour(
        "sms.update.pending",
        "inferred",
        "[API] Reason RESOURCE_NOT_ACTIVE; [TF] phone_number.go waits for ACTIVE first",
    ),
    Behaviour(
        "sms.update.two_way_channel", "inferred", "[API] Reason TWO_WAY_CHANNEL_NOT_PRESENT: on without a channel"
    ),
    Behaviour("sms.update.role", "observed", "[TF] phone_number.go: RESOURCE_NOT_ACCESSIBLE while a role propagates"),
    Behaviour(
        "sms.release.protected", "modelled", "[API] ReleasePhoneNumber: 'deletion protection enabled ... an error'"
    ),
    Behaviour("sms.release.pool", "observed", "[TF] phone_number.go: PHONE_NUMBER_ASSOCIATED_TO_POOL on release"),
    Behaviour(
        "sms.release.pool_lag", "observed", "[TF] phone_number.go: release retried for 2 min after leaving a pool"
    ),
    Behaviour("sms.release.gradual", "observed", "[TF] phone_number.go waits DISASSOCIATING -> DELETED or not found"),
    Behaviour(
        "sms.describe.owner",
        "modelled",
        "[API] 'The Owner and PhoneNumberIds parameters can't be used at the same time'",
    ),
    # Sender IDs
    Behaviour("sms.sender_id.upper_case", "observed", "[TF] sender_id documentation: stored in upper case"),
    Behaviour("sms.sender_id.mixed_case", "observed", "[TF] sender_id.go: DescribeSenderIds answers 'Transactional'"),
    Behaviour("sms.sender_id.default_type", "observed", "[TF] sender_id documentation: default is TRANSACTIONAL"),
    Behaviour("sms.sender_id.letters", "modelled", "[API] RequestSenderId SenderId: a letter; no hyphen first or last"),
    Behaviour(
        "sms.sender_id.country", "documented", "[UG] sender-id: not in US, CA, CN; Reason SENDER_ID_NOT_SUPPORTED"
    ),
    Behaviour("sms.sender_id.quota", "documented", "[UG] quotas: 200 sender IDs; Reason SENDER_IDS_PER_ACCOUNT"),
    Behaviour("sms.sender_id.unknown", "observed", "[TF] sender_id.go: ResourceNotFoundException"),
    Behaviour(
        "sms.sender_id.propagation", "observed", "[TF] sender_id.go: SENDER_ID_REQUIRES_REGISTRATION after release"
    ),
    # Off: an error here would tell the caller that the sender ID is not its own. Without it the request just succeeds.
    Behaviour("sms.sender_id.exists", "inferred", "[API] Reason RESOURCE_ALREADY_EXISTS", default=False),
    Behaviour(
        "sms.sender_id.protected", "inferred", "[API] DeletionProtectionEnabled: 'the sender ID can't be deleted'"
    ),
    Behaviour("sms.sender_id.pool", "inferred", "[API] ConflictException Reason SENDER_ID_ASSOCIATED_TO_POOL"),
    # Pools
    Behaviour("sms.pool.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType pool"),
    Behaviour("sms.pool.quota", "documented", "[UG] quotas: 25 pools; Reason POOLS_PER_ACCOUNT"),
    Behaviour(
        "sms.pool.identity", "modelled", "[API] OriginationIdentity: an unknown one is ResourceNotFoundException"
    ),
    Behaviour(
        "sms.pool.identity_country", "observed", "[TF] #50038: a sender ID without IsoCountryCode is INVALID_ARN"
    ),
    Behaviour("sms.pool.country", "inferred", "[API] ValidationException Reason COUNTRY_CODE_MISMATCH"),
    Behaviour(
        "sms.pool.mismatch", "modelled", "[API] AssociateOriginationIdentity: 'doesn't match the pool's configuration'"
    ),
    Behaviour(
        "sms.pool.other_pool", "modelled", "[API] AssociateOriginationIdentity: 'already associated with another pool'"
    ),
    Behaviour(
        "sms.pool.inactive", "inferred", "[API] Reason RESOURCE_NOT_ACTIVE; [TF] pool.go checks for ACTIVE first"
    ),
    Behaviour("sms.pool.identity_quota", "documented", "[UG] quotas: 100 identities; ORIGINATION_IDENTITIES_PER_POOL"),
    Behaviour("sms.pool.not_member", "observed", "[TF] pool.go: PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"),
    Behaviour("sms.pool.last", "observed", "[TF] pool.go: LAST_PHONE_NUMBER, a pool keeps at least one number"),
    Behaviour("sms.pool.protected", "modelled", "[API] DeletePool: 'if deletion protection is enabled, an error'"),
    Behaviour(
        "sms.pool.delete", "modelled", "[API] DeletePool 'disassociates all origination identities from that pool'"
    ),
    Behaviour("sms.pool.inherits", "modelled", "[API] CreatePool 'inherits its configuration from the ... identity'"),
    # Keywords, opt-out lists, registrations and tags of the SMS service
    Behaviour("sms.keyword.mandatory", "modelled", "[API] DeleteKeyword: HELP and STOP 'can't be deleted or modified'"),
    Behaviour("sms.keyword.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType keyword"),
    Behaviour("sms.keyword.quota", "documented", "[UG] quotas: 30 keywords; Reason KEYWORDS_PER_PHONE_NUMBER"),
    Behaviour("sms.opt_out_list.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType opt-out-list"),
    Behaviour(
        "sms.opt_out_list.exists", "inferred", "[API] CreateOptOutList lists ConflictException: the name is the key"
    ),
    Behaviour("sms.opt_out_list.in_use", "modelled", "[API] DeleteOptOutList: 'in-use ... an error is returned'"),
    Behaviour(
        "sms.opt_out_list.quota", "documented", "[UG] quotas: 25 lists, Default included; OPT_OUT_LISTS_PER_ACCOUNT"
    ),
    Behaviour("sms.registration.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType registration"),
    Behaviour("sms.registration.incomplete", "inferred", "[API] Reason REGISTRATION_NOT_COMPLETE"),
    Behaviour("sms.registration.quota", "documented", "[UG] quotas: 25 registrations; REGISTRATIONS_PER_ACCOUNT"),
    Behaviour("sms.tags.unknown", "modelled", "[API] TagResource lists ResourceNotFoundException"),
    Behaviour("sms.tags.quota", "modelled", "[API] TagList: 200 at most; Reason TAGS_PER_RESOURCE"),
    Behaviour("sms.available.country", "modelled", "[API] ListAvailablePhoneNumbers 'currently supports only US'"),
    Behaviour("sms.available.registration", "modelled", "[API] RegistrationId 'required for regulated number types'"),
    # Connect
    Behaviour(
        "connect.token.mismatch",
        "modelled",
        "[API] IdempotencyException: 'An entity with the same name already exists'",
    ),
    Behaviour(
        "connect.token.uuid",
        "modelled",
        "[API] ClaimPhoneNumber ClientToken Pattern; [TF] phone_number.go: must be a UUID",
    ),
    Behaviour("connect.token.failure", "inferred", "as the SMS service does; makes callers use a token per attempt"),
    Behaviour("connect.target.missing", "modelled", "[API] 'You must enter InstanceId or TargetArn'"),
    Behaviour("connect.target.unknown", "modelled", "[API] ClaimPhoneNumber lists ResourceNotFoundException"),
    Behaviour(
        "connect.target.search", "modelled", "[API] SearchAvailablePhoneNumbers lists no ResourceNotFoundException"
    ),
    Behaviour(
        "connect.search.prefix", "modelled", "[API] PhoneNumberPrefix: 'must contain + as part of the country code'"
    ),
    Behaviour("connect.claim.asynchronous", "modelled", "[API] DescribePhoneNumber 'to verify the status of' a claim"),
    Behaviour("connect.claim.quota", "modelled", "[API] PhoneNumberStatus FAILED: the target 'has reached its limit'"),
    Behaviour(
        "connect.claim.lapse",
        "modelled",
        "[API] PhoneNumberStatus: 'one day to retry claiming ... before ... inventory'",
    ),
    Behaviour(
        "connect.claim.taken", "observed", "[TF] #45572: InvalidParameterException 'Phone number not available: +...'"
    ),
    Behaviour("connect.claim.limit", "modelled", "[API] ClaimPhoneNumber: blocked above 200% of the quota in 180 days"),
    Behaviour("connect.claim.cooldown", "modelled", "[API] ReleasePhoneNumber: 'cooldown period for up to 180 days'"),
    Behaviour("connect.import.source", "modelled", "[API] ImportPhoneNumber lists ResourceNotFoundException"),
    Behaviour("connect.import.taken", "inferred", "a source number backs one Connect number only"),
    Behaviour("connect.number.unknown", "modelled", "[API] DescribePhoneNumber lists ResourceNotFoundException"),
    Behaviour("connect.number.busy", "modelled", "[API] ResourceInUseException: 'That resource is already in use'"),
    Behaviour(
        "connect.update.asynchronous", "modelled", "[API] PhoneNumberStatus IN_PROGRESS: update ... still in progress"
    ),
    Behaviour("connect.update.flow", "modelled", "[API] UpdatePhoneNumber 'doesn't migrate the flow configuration'"),
    Behaviour(
        "connect.flow.instance", "modelled", "[API] AssociatePhoneNumberContactFlow: 'claimed to your ... instance'"
    ),
    Behaviour("connect.flow.type", "inferred", "only VOICE_PHONE_NUMBER associations exist in this service"),
    Behaviour("connect.tags.quota", "modelled", "[API] TagMap: 50 at most"),
    Behaviour(
        "connect.group.unknown", "modelled", "[API] DescribeTrafficDistributionGroup lists ResourceNotFoundException"
    ),
)

BEHAVIOURS: dict[str, Behaviour] = {behaviour.id: behaviour for behaviour in _TABLE}


def behaves[Function: Callable[..., object]](*ids: str) -> Callable[[Function], Function]:
    """Say which behaviours a state rule follows; an id that is not in the table is an error at import."""
    for name in ids:
        BEHAVIOURS[name]
    return lambda function: function
