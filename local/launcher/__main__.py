"""Starts ministack 1.5.33 on loopback with TLS and IAM checks. Its Lambda workers use the telecom services.

    python -m local.launcher --directory DIR --port PORT --certificate PEM --key PEM --sms-voice URL --connect URL
        --tagging URL

Runs until it is killed. DIR contains its temporary files, Lambda code and state.
"""

import argparse
import os
import sys
import venv
from importlib.metadata import version
from pathlib import Path

SUPPORTED_VERSION = "1.5.33"
REGION = "us-east-1"
ACCOUNT = "123456789012"


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the complete environment of ministack and its Lambda workers. Nothing is inherited from the caller."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": arguments.directory,
        "TMPDIR": arguments.directory,
        "STATE_DIR": f"{arguments.directory}/state",
        "S3_DATA_DIR": f"{arguments.directory}/s3",
        "LANG": "C.UTF-8",
        # ministack
        "GATEWAY_PORT": str(arguments.port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": arguments.certificate,
        "MINISTACK_SSL_KEY": arguments.key,
        # its Lambda workers
        "AWS_CA_BUNDLE": arguments.certificate,
        "SSL_CERT_FILE": arguments.certificate,
        "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": arguments.sms_voice,
        "AWS_ENDPOINT_URL_CONNECT": arguments.connect,
        "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": arguments.tagging,
        "AWS_ENDPOINT_URL_SERVICE_QUOTAS": arguments.quotas,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def bare_interpreter(directory: str) -> str:
    """Create an interpreter without packages for the workers, so that they only import what the layer contains."""
    venv.create(f"{directory}/runtime", symlinks=True)
    return f"{directory}/runtime/bin/python"


def main() -> None:
    """Check the version, set the environment, apply the corrections and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.launcher")
    for name in ("directory", "certificate", "key", "sms-voice", "connect", "tagging", "quotas"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()

    found = version("ministack")
    if found != SUPPORTED_VERSION:
        sys.exit(f"The corrections require ministack {SUPPORTED_VERSION}, not {found}. Check them before an upgrade.")
    # ministack reads most settings during import, so set the environment first.
    os.environ.clear()
    os.environ.update(environment(arguments))
    Path(arguments.directory, "state").mkdir(exist_ok=True)

    from ministack.app import main as serve  # noqa: PLC0415

    from local.launcher import corrections, hooks, queues  # noqa: PLC0415

    corrections.apply(bare_interpreter(arguments.directory))
    queues.apply()
    hooks.apply()
    sys.argv[1:] = []  # ministack parses sys.argv
    serve()


if __name__ == "__main__":
    main()
