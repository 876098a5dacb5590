"""AWS End User Messaging SMS (`pinpoint-sms-voice-v2`) as a moto service."""

from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends as pinpointsmsvoicev2_backends
