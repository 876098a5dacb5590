"""Indexes a bundle of root certificates when the layer is built: `certificates.py BUNDLE DIRECTORY`.

Writes each certificate to a file named after the hash of its subject, as `openssl rehash` does. OpenSSL then loads only
the root that a host's certificate chain requires (SSL_CTX_load_verify_locations(3), CApath). Loading all of them takes
18 % of a cold start.
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
    """Write the files. Raises SystemExit without openssl, and CalledProcessError for an invalid certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise SystemExit("Building the layer requires the openssl command, which was not found: install it.")
    directory.mkdir(parents=True)
    seen: Counter[str] = Counter()
    for certificate in _CERTIFICATE.findall(bundle.read_text()):
        command = [openssl, "x509", "-noout", "-subject_hash"]
        result = subprocess.run(command, input=certificate, text=True, check=True, capture_output=True)  # noqa: S603
        subject = result.stdout.strip()
        (directory / f"{subject}.{seen[subject]}").write_text(certificate)
        seen[subject] += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
