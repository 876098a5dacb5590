"""`python -m local.telecom`: serve until SIGTERM or SIGINT. Prints its URLs as one line of JSON."""

import argparse
import json
import signal
import ssl
import sys

from local.telecom import Options, TelecomServer


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m local.telecom", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert", help="PEM file with the server's certificate; enables HTTPS")
    parser.add_argument("--key", help="PEM file with the private key")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="see options.py")
    parsed = parser.parse_args(arguments)
    if bool(parsed.cert) != bool(parsed.key):
        parser.error("--cert and --key must be used together")
    try:
        options = Options().changed(dict(pair.split("=", 1) for pair in parsed.option))
    except ValueError as error:
        parser.error(str(error))
    context = None
    if parsed.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(parsed.cert, parsed.key)
    with TelecomServer(options, context, port=parsed.port) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        urls = dict.fromkeys(("sms_voice", "connect", "tagging", "quotas"), server.url) | {
            "page": f"{server.url}/_telecom"
        }
        print(json.dumps(urls), flush=True)
        server.join()


if __name__ == "__main__":
    main()
