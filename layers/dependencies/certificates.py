"""Index a bundle of root certificates: `certificates.py BUNDLE DIRECTORY`, once, when the layer is built.

Each gets a file of its own that is named by the hash of its subject, as `openssl rehash` names it: where OpenSSL is
given such a directory, it reads the root that a host's certificate leads to, and not a hundred at every start
(SSL_CTX_load_verify_locations(3), CApath).
"""

# ruff: noqa: INP001
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def main(bundle: Path, directory: Path) -> None:
    """Write them. Raise SystemExit without openssl, CalledProcessError if it cannot read one."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise SystemExit(
            "The layer's certificates are indexed by the openssl command, which was not found: install it."
        )
    directory.mkdir(parents=True)
    seen: Counter[str] = Counter()
    for certificate in _CERTIFICATE.findall(bundle.read_text()):
        command = [openssl, "x509", "-noout", "-subject_hash"]
        said = subprocess.run(command, input=certificate, text=True, check=True, capture_output=True)  # noqa: S603
        subject = said.stdout.strip()
        (directory / f"{subject}.{seen[subject]}").write_text(certificate)
        seen[subject] += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
