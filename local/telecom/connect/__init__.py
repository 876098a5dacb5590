"""Amazon Connect: moto's service with phone numbers."""

from local.telecom.connect.models import telecomconnect_backends as telecomconnect_backends
