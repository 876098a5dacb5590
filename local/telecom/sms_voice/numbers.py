"""Which E.164 numbers there are to be had: made up, under 555 in North America."""

from collections.abc import Callable, Iterator

from local.telecom.rules import Answer

# Country calling codes (ITU-T E.164); a country that is not here gets numbers under 888, which belongs to nobody.
_CALLING_CODES = {
    "AT": "43", "AU": "61", "BE": "32", "BR": "55", "CH": "41", "CL": "56", "CZ": "420", "DE": "49", "DK": "45",
    "EE": "372", "ES": "34", "FI": "358", "FR": "33", "GB": "44", "HK": "852", "HU": "36", "IE": "353", "IN": "91",
    "IT": "39", "JP": "81", "LT": "370", "LV": "371", "MX": "52", "MY": "60", "NL": "31", "NO": "47", "NZ": "64",
    "PL": "48", "PT": "351", "RO": "40", "SE": "46", "SG": "65", "SI": "386", "SK": "421", "TH": "66", "ZA": "27",
}  # fmt: skip
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
    return f"+{_CALLING_CODES.get(country, '888')}70090"


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
