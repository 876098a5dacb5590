"""CloudFormation custom resources for phone numbers and sender IDs."""

import gc

# A cold start creates 100,000 objects and almost no garbage. The default threshold costs 4 % of its instructions.
gc.set_threshold(100_000, 10, 10)
