"""URL patterns for moto."""

from local.telecom.sms_voice.responses import SmsVoiceResponse

url_bases = [r"https?://sms-voice\.(.+)\.amazonaws\.com"]
url_paths = {"{0}/$": SmsVoiceResponse.dispatch}
