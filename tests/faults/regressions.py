"""Histories that once broke a promise of the provider. Run one: `python -m tests.faults --repro 'TEXT'`."""

from collections.abc import Mapping

REGRESSIONS: Mapping[str, tuple[str, ...]] = {
    "sender ID of another stack is not changed or released": (
        "sms-sender-id: create taken-by-stack protect",
        "sms-sender-id: create taken-by-stack delete",
        "sms-sender-id: create taken-by-hand protect",
        "sms-sender-id: create taken-by-hand delete",
        "sms-sender-id: create delete/kill+release/name-taken",
        "sms-sender-id: create delete/kill-0/timed-out create redeliver^2",
    ),
    "retained replacement is not released by the sweep": (
        "sms-phone-number: create replace/kill+response/timed-out retain-stack sweep",
        "sms-phone-number: create replace-retain/kill+response/timed-out retain-stack sweep",
    ),
    "Connect number is released after a failed update": (
        "connect-phone-number: create update~quota replace/none/rolled-back delete",
        "connect-phone-number: create update~quota delete",
    ),
    "slow purchase is not repeated": (
        "sms-phone-number: create~slow",
        "connect-phone-number: create~slow",
        "sms-phone-number: create~slow/none/canceled sweep",
    ),
    "retained number is not released by the Delete of a later Create": (
        "sms-phone-number: create retain create/kill-0/canceled",
        "sms-phone-number: create/kill+response/timed-out retain create/kill-0/canceled",
    ),
    "unreported number is released with its stack": (
        "sms-phone-number: create/none/deleted-later",
        "sms-phone-number: create replace/none/deleted-later",
        "sms-phone-number: create/kill-0/retained-by-rollback",
    ),
    "protection set by hand prevents the Delete": ("sms-phone-number: create protect update protect-by-hand delete",),
    "operation is retried with the same RequestId": (
        "sms-phone-number: create~quota/none/retried-after-failure",
        "connect-phone-number: create~quota/none/retried-after-failure",
        "sms-phone-number: create/none/retried-after-rollback",
        "sms-phone-number: create/kill+purchase/resent",
    ),
}
"""Texts of histories by what they verify."""
