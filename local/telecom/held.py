"""The resources that the current world holds, in the form of the status page."""

from typing import Any

from local.telecom import world
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends

type Rows = list[dict[str, Any]]

# Attributes of each record by the name on the status page.
_NUMBER = {"phone_number": "number", "country": "country"}
_SMS_NUMBER = _NUMBER | {"type": "number_type", "monthly_price": "price", "pool": "pool_id", "protected": "protected"}
_CONNECT_NUMBER = _NUMBER | {"type": "type", "target": "target_arn", "source": "source_arn"}
_SENDER_ID = {name: name for name in ("country", "message_types", "protected")}


def held() -> dict[str, Rows]:
    """Return all purchased resources and pools that are not released, of all accounts and Regions."""
    found: dict[str, Rows] = {"phone_numbers": [], "sender_ids": [], "connect_numbers": [], "pools": []}
    now = world.current().clock.now()
    for _, region, sms in world.current().store(pinpointsmsvoicev2_backends).iter_backends():
        numbers, senders, pools = sms.held_numbers(), sms.sender_ids.values(), sms.pools.values()
        found["phone_numbers"] += [_row(one, region, _SMS_NUMBER, status=one.status(now)) for one in numbers]
        found["sender_ids"] += [_row(one, region, _SENDER_ID) for one in senders]
        found["pools"] += [_row(one, region, {"protected": "protected"}, members=list(one.members)) for one in pools]
    for _, region, connect in world.current().store(telecomconnect_backends).iter_backends():
        numbers = connect.held_numbers()
        found["connect_numbers"] += [_row(one, region, _CONNECT_NUMBER, status=one.status(now)) for one in numbers]
    return found


def _row(record: Any, region: str, attributes: dict[str, str], **members: Any) -> dict[str, Any]:
    members |= {name: getattr(record, attribute) for name, attribute in attributes.items()}
    return {"id": record.id, "arn": record.arn, **members, "tags": record.tags.written, "region": region}
