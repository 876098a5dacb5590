"""Amazon's two telecom services on a laptop: `pinpoint-sms-voice-v2`, and the phone numbers of `connect`.

In a process: `register()`, then moto's `mock_aws()` and moto's server serve them. Over HTTP: TelecomServer, or
`python -m local.telecom`.
"""

import re
import sys

import moto.backend_index

from local.telecom import connect, sms_voice, world
from local.telecom.clock import Clock as Clock
from local.telecom.connect import urls as connect_urls
from local.telecom.options import Options as Options
from local.telecom.server import TelecomServer as TelecomServer
from local.telecom.sms_voice import urls as sms_voice_urls
from local.telecom.world import World

# moto has no way to add a service; it looks for moto.<name>, and takes the first pattern that fits.
_SERVICES = (
    ("pinpointsmsvoicev2", sms_voice, sms_voice_urls.url_bases),
    ("telecomconnect", connect, connect_urls.url_bases),
)


def register(options: Options | None = None) -> World:
    """Make moto serve both services; return the world in which it does, whose options and clock may be changed."""
    patterns = moto.backend_index.backend_url_patterns
    for name, package, url_bases in _SERVICES:
        sys.modules[f"moto.{name}"] = package
        if name not in [known for known, _ in patterns]:
            patterns[:0] = [(name, re.compile(base)) for base in url_bases]
    if options:
        world.DEFAULT.options = options
    return world.DEFAULT
