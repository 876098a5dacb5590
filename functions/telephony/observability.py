"""Logs and metrics, and the filter that keeps secrets out of them.

Log lines hold identifiers, property names and error codes, never an event, a property value or a URL. The filter is the
second line of defense, against libraries that log what they send.
"""

import logging
import os
import re
import traceback
from typing import Any

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

_SIGNATURE = re.compile(
    r"(?i)((?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)(?:=|%3D))[^&\s\"'\\,}]+"
)
_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{2,10}([0-9]{4})(?![0-9])")


def redact(text: str) -> str:
    """Remove URL signatures, and all but the last four digits of phone numbers in E.164 format."""
    return _PHONE_NUMBER.sub(r"+…\1", _SIGNATURE.sub(r"\1[redacted]", text))


class RedactionFilter(logging.Filter):
    """Redacts a log record before a handler formats it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record. Returns True: every record is kept."""
        if isinstance(record.msg, dict):
            record.msg = _redact_value(record.msg)
        else:
            record.msg, record.args = redact(_message(record)), ()
        for name, value in vars(record).items():
            if name not in _RECORD_FIELDS:
                setattr(record, name, _redact_value(value))
        if record.exc_info and record.exc_info[1] is not None:
            # The text of a connection error may hold the signed URL, so only the class is logged.
            record.exc_text = f"{type(record.exc_info[1]).__name__}"
            record.exc_info = None
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # The arguments do not fit the format. Logging must not stop a request.
        return f"{record.msg} {record.args}"


_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({})))


def _redact_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): _redact_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redact_value(item) for item in value]
    return type(value).__name__ if isinstance(value, BaseException) else redact(str(value))


logger = Logger(service="cfn-telephony", use_rfc3339=True)
# Powertools ignores this variable on a function with an ApplicationLogLevel. That level can't be above INFO, because
# Lambda's filter treats metrics as INFO.
logging.getLogger(logger.name).setLevel(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))


def _install_filter() -> None:
    """Add the filter to every handler, and silence libraries that log what they send."""
    redaction = RedactionFilter()
    logger.addFilter(redaction)
    for handler in [*logging.getLogger().handlers, *logger.handlers]:
        handler.addFilter(redaction)
    for library in ("crhelper", "urllib3", "botocore", "boto3"):
        logging.getLogger(library).setLevel(logging.WARNING)


_install_filter()


def log_defect(error: BaseException, message: str) -> None:
    """Log an unexpected exception and where it was raised, without values: only `message` describes it."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    logger.error("Unexpected exception", extra={"error": type(error).__name__, "text": message, "places": places})


def count(name: str, times: float = 1, /, **dimensions: str) -> None:
    """Emit a count as a CloudWatch metric, in embedded metric format."""
    with single_metric(name=name, unit=MetricUnit.Count, value=times) as metric:
        for key, value in dimensions.items():
            metric.add_dimension(name=key, value=value)


def measure(name: str, value: float, unit: MetricUnit = MetricUnit.Seconds) -> None:
    """Emit a measured value as a CloudWatch metric, in embedded metric format."""
    with single_metric(name=name, unit=unit, value=value):
        pass
