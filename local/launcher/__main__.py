"""Starts ministack 1.5.33 on loopback, over TLS, with IAM checks, and hands its Lambda workers the telecom services.

    python -m local.launcher --directory DIR --port PORT --certificate PEM --key PEM --sms-voice URL --connect URL

Runs until it is killed. DIR is private to it: temporary files, Lambda code and state go there.
"""

import argparse
import os
import sys
import venv
from importlib.metadata import version
from pathlib import Path

MADE_FOR = "1.5.33"
REGION = "us-east-1"
ACCOUNT = "123456789012"


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """The whole environment of ministack, and so of its Lambda workers, which inherit it: nothing of the caller's."""
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
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def bare_interpreter(directory: str) -> str:
    """An interpreter without any package, for the workers: what the layer forgot must be missing."""
    venv.create(f"{directory}/runtime", symlinks=True)
    return f"{directory}/runtime/bin/python"


def main() -> None:
    """Check the version, take over the environment, correct, serve."""
    parser = argparse.ArgumentParser(prog="python -m local.launcher")
    for name in ("directory", "certificate", "key", "sms-voice", "connect"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()

    found = version("ministack")
    if found != MADE_FOR:
        sys.exit(f"The corrections were made for ministack {MADE_FOR}, not {found}: read them before raising the pin.")
    # ministack reads most of its settings while it is imported, so the environment comes first.
    os.environ.clear()
    os.environ.update(environment(arguments))
    Path(arguments.directory, "state").mkdir(exist_ok=True)

    from ministack.app import main as serve  # noqa: PLC0415

    from local.launcher import corrections  # noqa: PLC0415

    corrections.apply(bare_interpreter(arguments.directory))
    sys.argv[1:] = []  # ministack has arguments of its own
    serve()


if __name__ == "__main__":
    main()
