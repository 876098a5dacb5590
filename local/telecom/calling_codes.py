"""Country calling codes (ITU-T E.164) of the countries in which numbers are usually bought."""

CALLING_CODES = {
    "CA": "1", "US": "1",
    "AT": "43", "AU": "61", "BE": "32", "BR": "55", "CH": "41", "CL": "56", "CZ": "420", "DE": "49", "DK": "45",
    "EE": "372", "ES": "34", "FI": "358", "FR": "33", "GB": "44", "HK": "852", "HU": "36", "IE": "353", "IN": "91",
    "IT": "39", "JP": "81", "LT": "370", "LV": "371", "MX": "52", "MY": "60", "NL": "31", "NO": "47", "NZ": "64",
    "PL": "48", "PT": "351", "RO": "40", "SE": "46", "SG": "65", "SI": "386", "SK": "421", "TH": "66", "ZA": "27",
}  # fmt: skip
UNASSIGNED = "888"
"""For any other country: a code that ITU-T has not assigned."""
