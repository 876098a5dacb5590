"""What the current world holds, as the page shows it."""

from typing import Any

from local.telecom import world
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends

type Listed = list[dict[str, Any]]


def held() -> dict[str, Listed]:
    """Return what is bought and not released, over all accounts and Regions."""
    found: dict[str, Listed] = {"phone_numbers": [], "sender_ids": [], "connect_numbers": [], "pools": []}
    now = world.current().clock.now()
    for _, region, sms in world.current().store(pinpointsmsvoicev2_backends).iter_backends():
        found["phone_numbers"] += [
            {
                "id": number.id,
                "arn": number.arn,
                "phone_number": number.number,
                "status": number.status(now),
                "country": number.country,
                "type": number.number_type,
                "monthly_price": number.price,
                "pool": number.pool_id,
                "protected": number.protected,
                "tags": number.tags.written,
                "region": region,
            }
            for number in sms.held_numbers()
        ]
        found["sender_ids"] += [
            {
                "id": sender.id,
                "arn": sender.arn,
                "country": sender.country,
                "message_types": sender.message_types,
                "protected": sender.protected,
                "tags": sender.tags.written,
                "region": region,
            }
            for sender in sms.sender_ids.values()
        ]
        found["pools"] += [
            {"id": pool.id, "arn": pool.arn, "members": list(pool.members), "tags": pool.tags.written, "region": region}
            for pool in sms.pools.values()
        ]
    for _, region, connect in world.current().store(telecomconnect_backends).iter_backends():
        found["connect_numbers"] += [
            {
                "id": number.id,
                "arn": number.arn,
                "phone_number": number.number,
                "status": number.status(now),
                "country": number.country,
                "type": number.type,
                "target": number.target_arn,
                "source": number.source_arn,
                "tags": number.tags.written,
                "region": region,
            }
            for number in connect.held_numbers()
        ]
    return found
