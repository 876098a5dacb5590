"""The container's one TLS context, and the connection pool for what is not an AWS API: the answer."""

import os
import ssl
from functools import cache

import urllib3


@cache
def context() -> ssl.SSLContext:
    """Trusts AWS_CA_BUNDLE, or what the system trusts. Loading a bundle costs as much as forty handshakes."""
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)


@cache
def pool() -> urllib3.PoolManager:
    """A pool that neither retries nor follows a redirect: what an answer's failure means is for response.py to say."""
    return urllib3.PoolManager(
        maxsize=2,
        retries=urllib3.Retry(0, redirect=False),
        ssl_context=context(),
        timeout=urllib3.Timeout(connect=3, read=10),
    )
