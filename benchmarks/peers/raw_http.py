"""The lower bound: the two necessary HTTP requests, without SDK, retries, validation or state.

Source of the Signature Version 4 code: IAM user guide, "Create a signed AWS API request".
"""

# Written in the style of the published samples.
# ruff: noqa: ANN001, ANN201, ANN202, ARG001, D103, INP001, PLR2004, RET503

import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
from urllib.parse import urlsplit

_CONTEXT = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
_SERVICE = urlsplit(os.environ["AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2"])
_REGION = os.environ["AWS_REGION"]
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_connections = {}


def handler(event, context):
    if event["RequestType"] == "Create":
        properties = event["ResourceProperties"]
        answer = _call(
            "RequestPhoneNumber",
            {
                "IsoCountryCode": properties["IsoCountryCode"],
                "MessageType": "TRANSACTIONAL",
                "NumberCapabilities": properties["NumberCapabilities"],
                "NumberType": properties["NumberType"],
                "ClientToken": event["RequestId"],
            },
        )
        physical_id, data = answer["PhoneNumberId"], {"PhoneNumber": answer["PhoneNumber"]}
    else:
        physical_id, data = event["PhysicalResourceId"], {}
        if event["RequestType"] == "Delete":
            _call("ReleasePhoneNumber", {"PhoneNumberId": physical_id})
    body = {
        "Status": "SUCCESS",
        "PhysicalResourceId": physical_id,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    url = urlsplit(event["ResponseURL"])
    _send(url.netloc, "PUT", f"{url.path}?{url.query}", json.dumps(body).encode(), {"content-type": ""})


def _call(operation, parameters):
    body = json.dumps(parameters).encode()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": _SERVICE.netloc,
        "x-amz-date": now,
        "x-amz-target": f"PinpointSMSVoiceV2.{operation}",
    }
    canonical = "".join(f"{name}:{headers[name]}\n" for name in _SIGNED.split(";"))
    request = f"POST\n/\n\n{canonical}\n{_SIGNED}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{_REGION}/sms-voice/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
        f"SignedHeaders={_SIGNED}, Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
    )
    return json.loads(_send(_SERVICE.netloc, "POST", "/", body, headers))


def _send(host, method, target, body, headers):
    for fresh in (False, True):
        if fresh or host not in _connections:
            _connections[host] = http.client.HTTPSConnection(host, context=_CONTEXT)
        try:
            _connections[host].request(method, target, body, headers)
            response = _connections[host].getresponse()
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
            if fresh:
                raise
            continue
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {host}: {response.status}")
        return answer
