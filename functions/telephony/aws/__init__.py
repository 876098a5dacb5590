"""AWS calls: clients, rate limits, the meaning of AWS errors, and conditional writes to the state table.

Only this package imports the SDK. It does not know requests, resources or purchases.
"""
