"""Local versions of two AWS services: `pinpoint-sms-voice-v2`, and the phone numbers of `connect`.

Resources of both appear in GetResources of the Resource Groups Tagging API: that of moto, or of TelecomServer, which
also serves the quota of phone numbers of `connect` (Service Quotas).

In a process: call `register()`, then use moto's `mock_aws()` or moto's server. Over HTTP: use TelecomServer, or run
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

# moto has no extension point for services: it imports moto.<name>, and uses the first URL pattern that matches.
_SERVICES = (
    ("pinpointsmsvoicev2", sms_voice, sms_voice_urls.url_bases),
    ("telecomconnect", connect, connect_urls.url_bases),
)


def register(options: Options | None = None) -> World:
    """Make moto serve both services. Returns the world that they use; its options and clock can be changed."""
    patterns = moto.backend_index.backend_url_patterns
    for name, package, url_bases in _SERVICES:
        sys.modules[f"moto.{name}"] = package
        if name not in [known for known, _ in patterns]:
            patterns[:0] = [(name, re.compile(base)) for base in url_bases]
    if options:
        world.DEFAULT.options = options
    return world.DEFAULT
