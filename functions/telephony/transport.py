"""The container's one TLS context, and the connection pool for what is not an AWS API: the answer."""

import os
import ssl
from functools import cache
from pathlib import Path

import urllib3


@cache
def context() -> ssl.SSLContext:
    """Trusts AWS_CA_BUNDLE, a file or a directory, or else the layer's CA_DIRECTORY, or else what the system trusts.

    Of a directory that is indexed by hash only what a host needs is read; a bundle costs as much as forty handshakes.
    """
    trusted = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("CA_DIRECTORY") or None
    if trusted and Path(trusted).is_dir():
        return ssl.create_default_context(capath=trusted)
    return ssl.create_default_context(cafile=trusted)


@cache
def pool() -> urllib3.PoolManager:
    """A pool that neither retries nor follows a redirect: what an answer's failure means is for response.py to say."""
    return urllib3.PoolManager(
        maxsize=2,
        retries=urllib3.Retry(0, redirect=False),
        ssl_context=context(),
        timeout=urllib3.Timeout(connect=3, read=10),
    )
