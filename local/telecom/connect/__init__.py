"""Amazon Connect: moto's service, and phone numbers beside it."""

from local.telecom.connect.models import telecomconnect_backends as telecomconnect_backends
