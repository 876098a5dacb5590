"""Inventory of E.164 numbers that can be requested: fictional, under 555 in North America."""

from collections.abc import Callable, Iterator

from local.telecom.calling_codes import CALLING_CODES, UNASSIGNED
from local.telecom.rules import Json

# Monthly prices in US dollars: samples of the size that AWS charges.
PRICES = {"LONG_CODE": "1.00", "TOLL_FREE": "2.00", "TEN_DLC": "1.00", "SIMULATOR": "1.00"}
_FIRST, _LAST = 100, 9999
_STEMS = {"TOLL_FREE": "+1855555", "SIMULATOR": "+1206557", "US": "+1206555", "CA": "+1604555"}
_MATCHERS: dict[str, Callable[[str, str], bool]] = {
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Contains": str.__contains__,
    "ExactMatch": str.__eq__,
}


def inventory(country: str, number_type: str) -> Iterator[str]:
    """Yield all numbers of this country and type, in a fixed order."""
    stem = _STEMS.get(number_type) or _STEMS.get(country)
    stem = stem or f"+{CALLING_CODES.get(country, UNASSIGNED)}70090"
    return (f"{stem}{last:04d}" for last in range(_FIRST, _LAST + 1))


def preferred(number: str, preferences: list[Json]) -> bool:
    """Return whether the number, with or without the country code 1, matches one filter of every preference."""
    digits = number.removeprefix("+")
    return all(
        any(
            _MATCHERS[preference["PreferenceType"][0]](form, pattern.removeprefix("+"))
            for form in (digits, digits.removeprefix("1"))
            for pattern in preference["Filter"]
        )
        for preference in preferences
    )
