"""What the provider tells about itself, and the net that keeps secrets out of it.

Log lines carry identifiers, property names and error words: never an event, a property's value or a URL. The filter is
the second line of defence, for libraries that log what they send.
"""

import logging
import re
from typing import Any

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

_SIGNED = re.compile(
    r"(?i)((?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)(?:=|%3D))[^&\s\"'\\,}]+"
)
_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{2,10}([0-9]{4})(?![0-9])")


def redact(text: str) -> str:
    """Take signatures out, and all but the last four digits of phone numbers in E.164 form."""
    return _PHONE_NUMBER.sub(r"+…\1", _SIGNED.sub(r"\1[redacted]", text))


class Redaction(logging.Filter):
    """Rewrites a record before any handler formats it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, without its secrets."""
        if isinstance(record.msg, dict):
            record.msg = _clean(record.msg)
        else:
            record.msg, record.args = redact(_message(record)), ()
        for name, value in vars(record).items():
            if name not in _RECORD_FIELDS:
                setattr(record, name, _clean(value))
        if record.exc_info and record.exc_info[1] is not None:
            # The text of a connection error may be the signed URL: its class is what matters.
            record.exc_text = f"{type(record.exc_info[1]).__name__}"
            record.exc_info = None
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # The arguments do not fit: a defect, and none that may stop an event.
        return f"{record.msg} {record.args}"


_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({})))


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    return type(value).__name__ if isinstance(value, BaseException) else redact(str(value))


logger = Logger(service="cfn-telephony")


def _guard() -> None:
    """Put the net under every handler there is, and keep the libraries that log what they send quiet."""
    net = Redaction()
    logger.addFilter(net)
    for handler in [*logging.getLogger().handlers, *logger.handlers]:
        handler.addFilter(net)
    for library in ("crhelper", "urllib3", "botocore", "boto3"):
        logging.getLogger(library).setLevel(logging.WARNING)


_guard()


def count(name: str, times: int = 1, /, **dimensions: str) -> None:
    """So many occurrences, as a CloudWatch metric in the embedded metric format."""
    with single_metric(name=name, unit=MetricUnit.Count, value=times) as metric:
        for key, value in dimensions.items():
            metric.add_dimension(name=key, value=value)
