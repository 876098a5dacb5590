"""Loads telephony_lint from this checkout, for `--append-rules lint` and `append_rules: [path/to/checkout/lint]`."""

import sys
from pathlib import Path

_CHECKOUT = str(Path(__file__).resolve().parent.parent)

sys.path.insert(0, _CHECKOUT)
try:
    from telephony_lint import *  # noqa: F403
finally:
    sys.path.remove(_CHECKOUT)
