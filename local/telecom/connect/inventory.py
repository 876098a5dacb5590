"""Inventory of numbers that can be claimed: fictional, in a fixed order, a hundred under each prefix."""

from collections.abc import Iterator
from functools import cache

from local.telecom.calling_codes import CALLING_CODES

# Prefixes in North America by country and type. In other countries 20 stands for a city and 800 for toll-free.
_NORTH_AMERICA = {
    ("US", "DID"): ("+1206556", "+1504556", "+1212556"),
    ("US", "TOLL_FREE"): ("+1833556", "+1844556"),
    ("CA", "DID"): ("+1604556",),
    ("CA", "TOLL_FREE"): ("+1855556",),
}
_PER_PREFIX = 100


def numbers(country: str, number_type: str) -> Iterator[str]:
    """Yield all numbers of a country and type. Types other than DID and TOLL_FREE need documents: none are found."""
    for prefix in _prefixes(country, number_type):
        yield from (f"{prefix}{last:04d}" for last in range(_PER_PREFIX))


@cache
def kind_of(number: str) -> tuple[str, str] | None:
    """Return country and type of a number in the inventory, None for other numbers."""
    for country in CALLING_CODES:
        for number_type in ("DID", "TOLL_FREE"):
            if number in numbers(country, number_type):
                return country, number_type
    return None


def _prefixes(country: str, number_type: str) -> tuple[str, ...]:
    if (country, number_type) in _NORTH_AMERICA:
        return _NORTH_AMERICA[country, number_type]
    middle = {"DID": "2055", "TOLL_FREE": "80055"}.get(number_type)
    return (f"+{CALLING_CODES[country]}{middle}",) if middle and country in CALLING_CODES else ()
