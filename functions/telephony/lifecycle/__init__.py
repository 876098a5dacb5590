"""What a request does, for any resource type: create, update, delete, the purchase, the ledger, deadlines and retries.

It does not know Lambda, crhelper or the delivery of responses.
"""
