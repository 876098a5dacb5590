"""Where moto finds the service: in front of moto's own, whose operations it passes on."""

from local.telecom.connect.responses import TelecomConnectResponse

url_bases = [r"https?://connect\.(.+)\.amazonaws\.com"]
url_paths = {"{0}/.*$": TelecomConnectResponse.dispatch}
