"""Builds the handlers to compare: this provider as `sam build` builds it, the others from PyPI, all with bytecode."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
PEER_PACKAGES = ROOT / ".venv-bench" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
"""The base interpreter, which sees no virtual environment."""


@attrs.frozen
class Artifact:
    """A handler and the directories on its module search path."""

    name: str
    handler: str
    path: tuple[Path, ...]
    mib: float
    """Unzipped size with bytecode. Only the provider includes the SDK; the other handlers use Lambda's copy."""
    ca_directory: bool = False
    """True if the handler reads root certificates from an indexed directory, False if from a bundle."""


def build(directory: Path) -> dict[str, Artifact]:
    """Build every handler in the directory. Raises CalledProcessError if a build command fails."""
    shutil.rmtree(directory, ignore_errors=True)
    function, layer, peers = (directory / name for name in ("function", "layer", "peers"))
    _make(ROOT / "functions", "build-ProviderFunction", function)
    _make(ROOT / "layers/dependencies", "build-DependenciesLayer", layer)
    shutil.copytree(ROOT / "benchmarks/peers", peers)
    for modules in (peers, PEER_PACKAGES):
        subprocess.run([PYTHON, "-m", "compileall", "-q", str(modules)], check=True)  # noqa: S603

    def peer(name: str, handler: str, *distributions: str) -> Artifact:
        return Artifact(name, handler, (peers, PEER_PACKAGES), _mib_of_distributions(distributions))

    provider = Artifact(
        "provider",
        "telephony.handlers.provider.handler",
        (function, layer / "python"),
        _mib([*function.rglob("*"), *layer.rglob("*")]),
        ca_directory=True,
    )
    powertools = ("aws-lambda-powertools", "pydantic", "pydantic-core", "annotated-types", "typing-inspection")
    artifacts = [
        provider,
        # Shows the result without the indexed root certificates, which the other handlers do not have.
        attrs.evolve(provider, name="provider_with_bundle", ca_directory=False),
        peer("naive", "naive.handler", "crhelper", *powertools, "typing-extensions"),
        peer("crhelper", "crhelper_readme.handler", "crhelper"),
        peer("cfn-handler", "cfn_handler_readme.handler", "cfn-handler"),
        peer("cfnresponse", "cfnresponse_sample.handler", "cfnresponse"),
        peer("raw_http", "raw_http.handler"),
    ]
    return {artifact.name: artifact for artifact in artifacts}


def without_bytecode(artifact: Artifact, directory: Path) -> Artifact:
    """Copy the artifact into the directory without its .pyc files."""
    copies = tuple(directory / str(number) for number in range(len(artifact.path)))
    for original, copy in zip(artifact.path, copies, strict=True):
        shutil.copytree(original, copy, ignore=shutil.ignore_patterns("*.pyc"))
    return attrs.evolve(artifact, path=copies)


def _make(directory: Path, target: str, artifacts: Path) -> None:
    artifacts.mkdir(parents=True)
    # The SAM CLI finds this python3.13 too: it has pip.
    path = f"{ROOT / '.venv-sam/bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "-s", "-C", str(directory), target, f"ARTIFACTS_DIR={artifacts}"]
    subprocess.run(command, env=os.environ | {"PATH": path}, check=True, capture_output=True)  # noqa: S603


def _mib(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def _mib_of_distributions(names: tuple[str, ...]) -> float:
    distributions = {dist.name.replace("_", "-"): dist for dist in metadata.distributions(path=[str(PEER_PACKAGES)])}
    files = {Path(str(file.locate())) for name in names for file in distributions[name].files or ()}
    sources = {path for path in files if path.suffix != ".pyc"}
    compiled = {path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc" for path in sources}
    return _mib(sources | compiled)
