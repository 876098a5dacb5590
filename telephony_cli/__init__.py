"""The command line `telephony`: shows what a change set does to numbers, and the numbers of an account.

It uses the provider's modules as they are. Nothing in the provider imports this package, and the Lambda functions do
not contain it.
"""

import os

# Set before the provider is imported: its log lines are for Lambda.
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
