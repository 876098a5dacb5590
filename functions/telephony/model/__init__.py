"""What a resource type is: its verbs, its property declarations and their validation, and what SMS types share.

It does not know requests, purchase records, retries or any one type.
"""
