"""What is measured: this provider as `sam build` makes it, and the peers as pip installs them, all with bytecode."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
BENCH = ROOT / ".venv-bench" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
"""The interpreter without any environment's packages."""


@attrs.frozen
class Artifact:
    """A handler, and the directories that its modules come from."""

    name: str
    handler: str
    path: tuple[Path, ...]
    mib: float
    """Unzipped, with bytecode. Ours has the SDK in it; the peers take the runtime's, which is not counted."""
    indexed: bool = False
    """Whether it finds the roots of trust in a directory, as ours does from its layer; else they are in one bundle."""


def build(directory: Path) -> dict[str, Artifact]:
    """Build all of them into the directory; `ours` by the Makefiles that `sam build` runs. Raise CalledProcessError."""
    shutil.rmtree(directory, ignore_errors=True)
    function, layer, peers = (directory / name for name in ("function", "layer", "peers"))
    _make(ROOT / "functions", "build-ProviderFunction", function)
    _make(ROOT / "layers/dependencies", "build-DependenciesLayer", layer)
    shutil.copytree(ROOT / "benchmarks/peers", peers)
    _compile(peers)
    _compile(BENCH)

    def peer(name: str, handler: str, *distributions: str) -> Artifact:
        return Artifact(name, handler, (peers, BENCH), _mib_of(distributions))

    ours = Artifact(
        "ours",
        "telephony.handlers.provider.handler",
        (function, layer / "python"),
        _mib(function) + _mib(layer),
        indexed=True,
    )
    powertools = ("aws-lambda-powertools", "pydantic", "pydantic-core", "annotated-types", "typing-inspection")
    built = [
        ours,
        # For whom its own certificates are not enough; and a comparison in which they make no difference.
        attrs.evolve(ours, name="ours_with_bundle", indexed=False),
        peer("naive", "naive.handler", "crhelper", *powertools, "typing-extensions"),
        peer("crhelper", "crhelper_readme.handler", "crhelper"),
        peer("cfn-handler", "cfn_handler_readme.handler", "cfn-handler"),
        peer("cfnresponse", "cfnresponse_sample.handler", "cfnresponse"),
        peer("floor", "floor.handler"),
    ]
    return {artifact.name: artifact for artifact in built}


def without_bytecode(artifact: Artifact, directory: Path) -> Artifact:
    """The same, as it is when nothing was compiled."""
    shutil.rmtree(directory, ignore_errors=True)
    copies = tuple(directory / str(number) for number in range(len(artifact.path)))
    for original, copy in zip(artifact.path, copies, strict=True):
        shutil.copytree(original, copy, ignore=shutil.ignore_patterns("*.pyc"))
    return attrs.evolve(artifact, path=copies)


def _make(directory: Path, target: str, artifacts: Path) -> None:
    artifacts.mkdir(parents=True)
    # The python3.13 that the SAM CLI finds: it has pip.
    path = f"{ROOT / '.venv-sam/bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(  # noqa: S603
        ["make", "-s", "-C", str(directory), target, f"ARTIFACTS_DIR={artifacts}"],  # noqa: S607
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
    )


def _compile(directory: Path) -> None:
    subprocess.run([PYTHON, "-m", "compileall", "-q", str(directory)], check=True)  # noqa: S603


def _mib(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 2**20


def _mib_of(distributions: tuple[str, ...]) -> float:
    found = {dist.name.replace("_", "-"): dist for dist in metadata.distributions(path=[str(BENCH)])}
    files = {
        Path(str(file.locate())) for name in distributions for file in found[name].files or () if file.suffix != ".pyc"
    }
    compiled = {path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc" for path in files}
    return sum(path.stat().st_size for path in files | compiled if path.is_file()) / 2**20
