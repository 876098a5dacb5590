"""The Lambda handlers, and how one event gets exactly one outcome: request flow, crhelper router, outcome cache.

It does not know resource types or AWS APIs.
"""
