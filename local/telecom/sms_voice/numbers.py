"""Which E.164 numbers there are to be had: made up, under 555 in North America."""

from collections.abc import Callable, Iterator

from local.telecom.calling_codes import calling_code
from local.telecom.rules import Answer

# Monthly prices in US dollars: samples, of the size that AWS charges.
_PRICES = {"LONG_CODE": "1.00", "TOLL_FREE": "2.00", "TEN_DLC": "1.00", "SIMULATOR": "1.00"}
_FIRST, _LAST = 100, 9999


def stem(country: str, number_type: str) -> str:
    """Return the digits, with the plus, before the last four."""
    if number_type == "TOLL_FREE":
        return "+1855555"
    if number_type == "SIMULATOR":
        return "+1206557"
    if country in ("US", "CA"):
        return "+1206555" if country == "US" else "+1604555"
    return f"+{calling_code(country)}70090"


def inventory(country: str, number_type: str) -> Iterator[str]:
    """Yield all numbers of that kind, in a fixed order."""
    return (f"{stem(country, number_type)}{last:04d}" for last in range(_FIRST, _LAST + 1))


def price_of(number_type: str) -> str:
    """Return the monthly leasing price."""
    return _PRICES[number_type]


_MATCHERS: dict[str, Callable[[str, str], bool]] = {
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Contains": str.__contains__,
    "ExactMatch": str.__eq__,
}


def preferred(number: str, preferences: list[Answer]) -> bool:
    """Tell whether the number, with or without the country's 1, fits one filter of every preference."""
    digits = number.removeprefix("+")
    readings = (digits, digits.removeprefix("1"))
    return all(
        any(
            _MATCHERS[preference["PreferenceType"][0]](reading, pattern.removeprefix("+"))
            for reading in readings
            for pattern in preference["Filter"]
        )
        for preference in preferences
    )
