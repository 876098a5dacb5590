"""URL patterns for moto. They precede those of moto's own Connect, whose operations are passed on to it."""

from local.telecom.connect.responses import TelecomConnectResponse

url_bases = [r"https?://connect\.(.+)\.amazonaws\.com"]
url_paths = {"{0}/.*$": TelecomConnectResponse.dispatch}
