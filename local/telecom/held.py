"""The resources that the current world holds, in the form of the status page."""

from typing import Any

from local.telecom import world
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends

type Rows = list[dict[str, Any]]


def held() -> dict[str, Rows]:
    """Return all purchased resources and pools that are not released, of all accounts and Regions."""
    found: dict[str, Rows] = {"phone_numbers": [], "sender_ids": [], "connect_numbers": [], "pools": []}
    now = world.current().clock.now()
    for _, region, sms in world.current().store(pinpointsmsvoicev2_backends).iter_backends():
        found["phone_numbers"] += [
            _row(
                number,
                region,
                phone_number=number.number,
                status=number.status(now),
                country=number.country,
                type=number.number_type,
                monthly_price=number.price,
                pool=number.pool_id,
                protected=number.protected,
            )
            for number in sms.held_numbers()
        ]
        found["sender_ids"] += [
            _row(sender, region, country=sender.country, message_types=sender.message_types, protected=sender.protected)
            for sender in sms.sender_ids.values()
        ]
        found["pools"] += [
            _row(pool, region, members=list(pool.members), protected=pool.protected) for pool in sms.pools.values()
        ]
    for _, region, connect in world.current().store(telecomconnect_backends).iter_backends():
        found["connect_numbers"] += [
            _row(
                number,
                region,
                phone_number=number.number,
                status=number.status(now),
                country=number.country,
                type=number.type,
                target=number.target_arn,
                source=number.source_arn,
            )
            for number in connect.held_numbers()
        ]
    return found


def _row(record: Any, region: str, **members: Any) -> dict[str, Any]:
    return {"id": record.id, "arn": record.arn, **members, "tags": record.tags.written, "region": region}
