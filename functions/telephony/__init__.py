"""cfn-telephony: phone numbers and sender IDs as CloudFormation resources."""

import gc

# A start makes 100 000 objects and next to no garbage: the collector would look through them fifty times.
gc.set_threshold(100_000, 10, 10)
