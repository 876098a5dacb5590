"""Behaviours of the local services: the source of each, and whether it is enabled.

Evidence: `modelled` is in botocore's model or its documentation text; `documented` is in AWS's documentation;
`observed` is reported by users of the service; `inferred` follows from a name or related text and is not reported. An
inferred behaviour is disabled by default if it makes a caller's test pass more easily than AWS would.
`Options.on` and `Options.off` enable and disable any behaviour by ID.

Sources: [API] is the API Reference, whose text is botocore's model; [UG] the AWS End User Messaging SMS User Guide;
[AG] the Amazon Connect Administrator Guide; [SQ] the Service Quotas User Guide; [OG] the AWS Organizations User Guide;
[TF] hashicorp/terraform-provider-aws, with the file or issue; [GH] an issue of another repository on GitHub.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

type Evidence = Literal["modelled", "documented", "observed", "inferred"]


class Behaviour(NamedTuple):
    """A rule of the services. Errors and methods refer to it by ID."""

    id: str
    evidence: Evidence
    source: str
    default: bool = True


_TABLE: tuple[tuple[str, Evidence, str] | tuple[str, Evidence, str, bool], ...] = (
    # Every call
    ("any.input", "modelled", "[API] constraints of each operation's input shape"),
    ("any.next_token", "modelled", "[API] ValidationException Reason INVALID_NEXT_TOKEN; Connect InvalidParameter"),
    ("any.unsupported", "inferred", "an operation that the provider never calls returns an error of its model"),
    ("any.fault", "documented", "an injected error, in AWS's wire format"),
    ("any.malformed", "documented", "awsJson1_0 and restJson1 protocols: SerializationException"),
    ("any.rate", "documented", "[UG] quotas: 1 request per second for most operations; [AG] 2 per second, burst 5"),
    ("any.token", "modelled", "[API] ClientToken: 'to ensure the idempotency of the request'"),
    ("any.tags_lag", "inferred", "tag reads are eventually consistent; Options.tags_lag_seconds"),
    ("any.describe_lag", "inferred", "as tag reads; Options.describe_lag_seconds"),
    ("any.region", "documented", "AWS General Reference, endpoints; botocore's endpoints.json"),
    ("dynamodb.token", "modelled", "[API] TransactWriteItems, ClientRequestToken: it is valid for 10 minutes"),
    # ClientTokens of the SMS service
    ("sms.token.mismatch", "inferred", "[API] ClientToken; no error for other parameters is modelled by name"),
    ("sms.token.failure", "observed", "[TF] pinpointsmsvoicev2/sender_id.go: a token repeats its failure"),
    ("sms.token.in_progress", "inferred", "[API] ConflictException: 'more than one operation ... at the same time'"),
    # Phone numbers of the SMS service
    ("sms.number.synchronous", "modelled", "[API] RequestPhoneNumber returns PhoneNumber and MonthlyLeasingPrice"),
    ("sms.number.activation", "observed", "[TF] pinpointsmsvoicev2/phone_number.go waits PENDING -> ACTIVE"),
    ("sms.number.registration", "observed", "[TF] #43295: regulated numbers stay PENDING for days"),
    ("sms.number.quota", "documented", "[UG] quotas: 25 phone numbers; Reason PHONE_NUMBERS_PER_ACCOUNT"),
    ("sms.number.unknown", "observed", "[TF] an unknown id is ResourceNotFoundException for the whole call"),
    ("sms.number.simulator_type", "modelled", "[API] RequestPhoneNumber NumberType: SIMULATOR is TRANSACTIONAL"),
    ("sms.number.simulator_country", "documented", "[UG] test-phone-numbers: simulators in the United States"),
    ("sms.number.ten_dlc_country", "documented", "[UG] phone-numbers-request: 10DLC is for the United States"),
    ("sms.number.ten_dlc_registration", "documented", "[UG] phone-numbers-request-10dlc: requires a campaign"),
    ("sms.number.us_long_code", "documented", "[UG] phone-numbers-request-long-code: US requests are rejected"),
    ("sms.number.mms_country", "documented", "[UG] phone-numbers-mms-by-country: MMS in US and CA only"),
    ("sms.number.preference", "modelled", "[API] NumberPreference: 'only to TEN_DLC requests in the US'"),
    ("sms.number.preference_unmet", "inferred", "no number matches the preference; no error is modelled by name"),
    ("sms.number.international", "inferred", "[API] Reason INTERNATIONAL_SENDING_NOT_SUPPORTED; US toll-free only"),
    ("sms.number.price", "modelled", "[API] MonthlyLeasingPrice: a string in US dollars; the amounts are samples"),
    ("sms.update.pool", "modelled", "[API] UpdatePhoneNumber: 'associated with a pool, an error is returned'"),
    # Enabled although not observed: it is stricter for callers, and Terraform waits for ACTIVE first.
    ("sms.update.pending", "inferred", "[API] Reason RESOURCE_NOT_ACTIVE; [TF] phone_number.go waits for ACTIVE first"),
    ("sms.update.two_way_channel", "inferred", "[API] Reason TWO_WAY_CHANNEL_NOT_PRESENT: enabled without a channel"),
    ("sms.update.role", "observed", "[TF] phone_number.go: RESOURCE_NOT_ACCESSIBLE while a role propagates"),
    ("sms.release.protected", "modelled", "[API] ReleasePhoneNumber: 'deletion protection enabled ... an error'"),
    ("sms.release.pool", "observed", "[TF] phone_number.go: PHONE_NUMBER_ASSOCIATED_TO_POOL on release"),
    ("sms.release.pool_lag", "observed", "[TF] phone_number.go: release retried for 2 min after leaving a pool"),
    # Enabled although not observed: it is stricter for callers than a success.
    ("sms.release.repeated", "inferred", "[API] Reason RESOURCE_NOT_ACTIVE: the number is already DISASSOCIATING"),
    ("sms.release.gradual", "observed", "[TF] phone_number.go waits DISASSOCIATING -> DELETED or not found"),
    ("sms.describe.owner", "modelled", "[API] 'Owner and PhoneNumberIds parameters can't be used at the same time'"),
    # Not documented. It is stricter for callers than a default of SELF.
    ("sms.describe.shared", "inferred", "[API] Owner 'Use SELF to filter the list'; its default is not documented"),
    ("sms.shared.arn", "modelled", "[API] 'you must use the full Amazon Resource Name(ARN)' of a shared resource"),
    # Sender IDs
    ("sms.sender_id.upper_case", "observed", "[TF] sender_id documentation: stored in upper case"),
    ("sms.sender_id.mixed_case", "observed", "[TF] sender_id.go: DescribeSenderIds returns 'Transactional'"),
    ("sms.sender_id.default_type", "observed", "[TF] sender_id documentation: default is TRANSACTIONAL"),
    ("sms.sender_id.letters", "modelled", "[API] RequestSenderId SenderId: a letter; no hyphen first or last"),
    ("sms.sender_id.country", "documented", "[UG] sender-id: not in US, CA, CN; Reason SENDER_ID_NOT_SUPPORTED"),
    ("sms.sender_id.quota", "documented", "[UG] quotas: 200 sender IDs; Reason SENDER_IDS_PER_ACCOUNT"),
    ("sms.sender_id.unknown", "observed", "[TF] sender_id.go: ResourceNotFoundException"),
    ("sms.sender_id.propagation", "observed", "[TF] sender_id.go: SENDER_ID_REQUIRES_REGISTRATION after release"),
    # Disabled: the error shows the caller that it does not own the sender ID. Without it, the request succeeds.
    ("sms.sender_id.exists", "inferred", "[API] Reason RESOURCE_ALREADY_EXISTS", False),
    ("sms.sender_id.protected", "inferred", "[API] DeletionProtectionEnabled: 'the sender ID can't be deleted'"),
    ("sms.sender_id.pool", "inferred", "[API] ConflictException Reason SENDER_ID_ASSOCIATED_TO_POOL"),
    # Pools
    ("sms.pool.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType pool"),
    ("sms.pool.quota", "documented", "[UG] quotas: 25 pools; Reason POOLS_PER_ACCOUNT"),
    ("sms.pool.identity", "modelled", "[API] OriginationIdentity: an unknown one is ResourceNotFoundException"),
    ("sms.pool.identity_country", "observed", "[TF] #50038: a sender ID without IsoCountryCode is INVALID_ARN"),
    ("sms.pool.country", "inferred", "[API] ValidationException Reason COUNTRY_CODE_MISMATCH"),
    ("sms.pool.mismatch", "modelled", "[API] AssociateOriginationIdentity: 'doesn't match the pool's configuration'"),
    ("sms.pool.other_pool", "modelled", "[API] AssociateOriginationIdentity: 'already associated with another pool'"),
    ("sms.pool.inactive", "inferred", "[API] Reason RESOURCE_NOT_ACTIVE; [TF] pool.go checks for ACTIVE first"),
    ("sms.pool.identity_quota", "documented", "[UG] quotas: 100 identities; ORIGINATION_IDENTITIES_PER_POOL"),
    ("sms.pool.not_member", "observed", "[TF] pool.go: PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"),
    ("sms.pool.last", "observed", "[TF] pool.go: LAST_PHONE_NUMBER, a pool keeps at least one number"),
    ("sms.pool.protected", "modelled", "[API] DeletePool: 'if deletion protection is enabled, an error'"),
    ("sms.pool.update", "modelled", "[API] UpdatePool 'Updates the configuration of an existing pool'"),
    ("sms.pool.delete", "modelled", "[API] DeletePool 'disassociates all origination identities from that pool'"),
    ("sms.pool.inherits", "modelled", "[API] CreatePool 'inherits its configuration from the ... identity'"),
    # Keywords, opt-out lists, registrations and tags of the SMS service
    ("sms.keyword.mandatory", "modelled", "[API] DeleteKeyword: HELP and STOP 'can't be deleted or modified'"),
    # Enabled although not observed: it is stricter for callers than the model, in which the action is optional.
    ("sms.keyword.action", "inferred", "[TF] keyword.go (#48967): the action of HELP and STOP is managed by AWS"),
    ("sms.keyword.spaces", "observed", "[TF] keyword.go (#48967): a keyword cannot start or end with a space"),
    ("sms.keyword.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType keyword"),
    ("sms.keyword.quota", "documented", "[UG] quotas: 30 keywords; Reason KEYWORDS_PER_PHONE_NUMBER"),
    ("sms.opt_out_list.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType opt-out-list"),
    ("sms.opt_out_list.exists", "inferred", "[API] CreateOptOutList lists ConflictException: the name is the key"),
    ("sms.opt_out_list.in_use", "modelled", "[API] DeleteOptOutList: 'in-use ... an error is returned'"),
    ("sms.opt_out_list.quota", "documented", "[UG] quotas: 25 lists, Default included; OPT_OUT_LISTS_PER_ACCOUNT"),
    ("sms.registration.unknown", "modelled", "[API] ResourceNotFoundException, ResourceType registration"),
    ("sms.registration.incomplete", "inferred", "[API] Reason REGISTRATION_NOT_COMPLETE"),
    ("sms.registration.quota", "documented", "[UG] quotas: 25 registrations; REGISTRATIONS_PER_ACCOUNT"),
    ("sms.tags.unknown", "modelled", "[API] TagResource lists ResourceNotFoundException"),
    ("sms.tags.shared", "inferred", "tags of a shared resource are read with the permissions of its owner"),
    ("sms.tags.quota", "modelled", "[API] TagList: 200 at most; Reason TAGS_PER_RESOURCE"),
    ("sms.available.country", "modelled", "[API] ListAvailablePhoneNumbers 'currently supports only US'"),
    ("sms.available.registration", "modelled", "[API] RegistrationId 'required for regulated number types'"),
    # Connect
    ("connect.token.mismatch", "modelled", "[API] IdempotencyException: 'An entity with the same name already exists'"),
    ("connect.token.uuid", "modelled", "[API] ClaimPhoneNumber ClientToken pattern; [TF] phone_number.go: a UUID"),
    ("connect.token.failure", "inferred", "as the SMS service; callers need a token per attempt"),
    ("connect.token.in_progress", "inferred", "as connect.claim.taken: the claim in progress has taken the number"),
    ("connect.target.missing", "modelled", "[API] 'You must enter InstanceId or TargetArn'"),
    ("connect.target.unknown", "modelled", "[API] ClaimPhoneNumber lists ResourceNotFoundException"),
    ("connect.target.search", "modelled", "[API] SearchAvailablePhoneNumbers lists no ResourceNotFoundException"),
    ("connect.search.prefix", "modelled", "[API] PhoneNumberPrefix: 'must contain + as part of the country code'"),
    ("connect.claim.asynchronous", "modelled", "[API] DescribePhoneNumber 'to verify the status of' a claim"),
    ("connect.claim.quota", "modelled", "[API] PhoneNumberStatus FAILED: the target 'has reached its limit'"),
    ("connect.claim.lapse", "modelled", "[API] PhoneNumberStatus: 'one day to retry claiming ... inventory'"),
    ("connect.claim.taken", "observed", "[TF] #45572: InvalidParameterException 'Phone number not available: +...'"),
    ("connect.claim.limit", "modelled", "[API] ClaimPhoneNumber: blocked above 200% of the quota in 180 days"),
    ("connect.claim.cooldown", "modelled", "[API] ReleasePhoneNumber: 'cooldown period for up to 180 days'"),
    ("connect.import.source", "modelled", "[API] ImportPhoneNumber lists ResourceNotFoundException"),
    ("connect.import.taken", "inferred", "a source number backs one Connect number only"),
    ("connect.number.unknown", "modelled", "[API] DescribePhoneNumber lists ResourceNotFoundException"),
    ("connect.number.busy", "modelled", "[API] ResourceInUseException: 'That resource is already in use'"),
    ("connect.update.asynchronous", "modelled", "[API] PhoneNumberStatus IN_PROGRESS: update ... still in progress"),
    ("connect.update.flow", "modelled", "[API] UpdatePhoneNumber 'doesn't migrate the flow configuration'"),
    ("connect.flow.instance", "modelled", "[API] AssociatePhoneNumberContactFlow: 'claimed to your ... instance'"),
    ("connect.flow.type", "inferred", "only VOICE_PHONE_NUMBER associations exist in this service"),
    ("connect.tags.quota", "modelled", "[API] TagMap: 50 at most"),
    ("connect.group.unknown", "modelled", "[API] DescribeTrafficDistributionGroup lists ResourceNotFoundException"),
    # Service Quotas
    ("quotas.code", "documented", "[AG] quotas: Phone numbers per instance is L-8F812903, and 10 by default"),
    ("quotas.unknown", "modelled", "[API] NoSuchResourceException: 'The specified resource does not exist'"),
    (
        "quotas.applied",
        "modelled",
        "[API] GetServiceQuota: 'If the applied quota value is not available ... not retrieved'",
    ),
    ("quotas.context", "observed", "[GH] aws/aws-cli#8584: NoSuchResourceException without a value for the ContextId"),
    # Resource Groups Tagging API
    ("tagging.types", "documented", "[OG] tag policies, supported resources: phone numbers, sender IDs and pools"),
    ("tagging.unknown_type", "observed", "[GH] prometheus-community/yet-another-cloudwatch-exporter#1150"),
    ("tagging.untagged", "modelled", "[API] GetResources TagFilters: 'all resources that ... ever had a tag'"),
    ("tagging.linger", "observed", "[GH] aws/aws-cli#4173: still listed 20 min after deletion; aws/aws-sdk#676"),
    ("tagging.lag", "inferred", "[GH] aws/aws-sdk#302: services report tags to an index; no delay is documented"),
    ("tagging.page", "modelled", "[API] ResourcesPerPage: 'a minimum of 1 and a maximum value of 100'"),
    ("tagging.token", "modelled", "[API] PaginationTokenExpiredException: 'valid for a maximum of 15 minutes'"),
)

BEHAVIOURS: dict[str, Behaviour] = {row[0]: Behaviour(*row) for row in _TABLE}


def behaves[Function: Callable[..., object]](*ids: str) -> Callable[[Function], Function]:
    """Declare the behaviours that a method implements. Raises KeyError at import for an unknown ID."""
    for name in ids:
        BEHAVIOURS[name]
    return lambda function: function
