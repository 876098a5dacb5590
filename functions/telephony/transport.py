"""The TLS context of all connections, and the connection pool for responses to CloudFormation."""

import os
import ssl
from functools import cache
from pathlib import Path

import urllib3


@cache
def context() -> ssl.SSLContext:
    """Return a context that trusts AWS_CA_BUNDLE (file or directory), else CA_DIRECTORY, else the system's roots.

    From an indexed directory, OpenSSL loads only the required root. Loading a bundle costs as much as forty handshakes.
    """
    trusted = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("CA_DIRECTORY") or None
    if trusted and Path(trusted).is_dir():
        return ssl.create_default_context(capath=trusted)
    return ssl.create_default_context(cafile=trusted)


@cache
def pool() -> urllib3.PoolManager:
    """Return a pool without retries and redirects: response.py handles failed deliveries."""
    return urllib3.PoolManager(
        maxsize=2,
        retries=urllib3.Retry(0, redirect=False),
        ssl_context=context(),
        timeout=urllib3.Timeout(connect=3, read=10),
    )
