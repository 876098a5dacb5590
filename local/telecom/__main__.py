"""`python -m local.telecom`: serve until told to stop; one line of JSON on stdout says where."""

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
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--cert", help="PEM file with the server's certificate; with --key it is HTTPS")
    parser.add_argument("--key", help="PEM file with the key of the certificate")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="see local/telecom/options.py"
    )
    chosen = parser.parse_args(arguments)
    if bool(chosen.cert) != bool(chosen.key):
        parser.error("--cert and --key go together")
    try:
        options = Options().changed(dict(pair.split("=", 1) for pair in chosen.option))
    except ValueError as error:
        parser.error(str(error))
    context = None
    if chosen.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chosen.cert, chosen.key)
    with TelecomServer(options, context, host=chosen.host, port=chosen.port) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        print(
            json.dumps({"sms_voice": server.url, "connect": server.url, "page": f"{server.url}/_telecom"}), flush=True
        )
        server.join()


if __name__ == "__main__":
    main()
