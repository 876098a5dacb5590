import marshal
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import attrs
import botocore
import pytest

from layers.dependencies.trim import OPERATIONS
from tests.template.calls import Call, calls
from tests.template.conftest import ROOT

FUNCTIONS = re.findall(r"^  (\w+Function):$", (ROOT / "template.yaml").read_text(), re.MULTILINE)
ARTIFACTS = dict.fromkeys(FUNCTIONS, "/var/task") | {"DependenciesLayer": "/opt"}


def run(program: str, *paths: Path, given: str = "") -> str:
    """Run a program with Python 3.13 and only the packages on the paths, and return its output."""
    environment = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the order of a set in botocore's User-Agent
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "STATE_TABLE": "state",
        "ACCOUNT_ID": "123456789012",
    }
    interpreter = getattr(sys, "_base_executable", sys.executable)
    ran = subprocess.run(  # noqa: S603
        [interpreter, "-sS", "-c", program], env=environment, input=given, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def layer_of(build: Path) -> Path:
    return build / "DependenciesLayer/python"


def code_objects(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_every_module_has_unchecked_bytecode_with_the_path_in_lambda(build: Path, artifact: str) -> None:
    directory = build / artifact
    modules = list(directory.rglob("*.py"))
    assert modules
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        content = compiled.read_bytes()
        assert int.from_bytes(content[4:8], "little") == 0b01, f"{module} is not compiled with an unchecked hash"
        names = {code.co_filename for code in code_objects(marshal.loads(content[16:]))}  # noqa: S302
        assert names == {f"{ARTIFACTS[artifact]}/{module.relative_to(directory)}"}
    assert len(list(directory.rglob("*.pyc"))) == len(modules)


@pytest.mark.parametrize("artifact", FUNCTIONS)
def test_function_artifact_contains_exactly_the_package(build: Path, artifact: str) -> None:
    shipped = {str(path.relative_to(build / artifact)) for path in (build / artifact).rglob("*.py")}
    assert shipped == {str(path.relative_to(ROOT / "functions")) for path in (ROOT / "functions").rglob("*.py")}


def test_layer_is_pure_python_with_the_models_of_used_services_only(build: Path) -> None:
    layer = build / "DependenciesLayer"
    assert not [path for path in layer.rglob("*") if path.suffix in {".so", ".pyd", ".dylib"}]
    data = layer / "python/botocore/data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == OPERATIONS.keys()
    assert sum(path.stat().st_size for path in layer.rglob("*") if path.is_file()) < 20 * 2**20


@pytest.mark.parametrize("service", OPERATIONS)
def test_every_call_works_as_with_the_complete_sdk(build: Path, service: str) -> None:
    made: list[Call] = list(calls({service: OPERATIONS[service]}))
    program = (ROOT / "tests/template/caller.py").read_text()
    given = repr([attrs.asdict(call) for call in made])
    trimmed = run(program, layer_of(build), given=given).splitlines()
    complete = run(program, Path(botocore.__file__).parents[1], given=given).splitlines()
    assert trimmed == complete
    assert len(complete) == 1 + 4 * len(made)
    errors = [line for line in complete if " An error occurred (" in line]
    assert len(errors) == 4 * sum(call.status >= 400 for call in made)
    if service == "dynamodb":
        assert any("ConditionalCheckFailedException True" in line for line in trimmed)


def test_layer_indexes_exactly_the_root_certificates_of_botocore(build: Path) -> None:
    indexed = sorted((build / "DependenciesLayer/certificates").iterdir())
    pem = re.compile("-----BEGIN.+?END CERTIFICATE-----", re.DOTALL)
    bundled = pem.findall((layer_of(build) / "botocore/cacert.pem").read_text())
    assert len(bundled) > 100
    assert sorted(pem.findall("".join(path.read_text() for path in indexed))) == sorted(bundled)
    # OpenSSL finds each certificate by the hash of its subject; no other trust store is used.
    only_there = ["-no-CAfile", "-no-CAstore", "-CApath", str(indexed[0].parent)]
    verified = subprocess.run(  # noqa: S603
        ["openssl", "verify", "-no_check_time", *only_there, *indexed],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.stdout.splitlines() == [f"{path}: OK" for path in indexed], verified.stderr


@pytest.mark.parametrize("module", ["provider", "continuation", "sweep", "guard"])
def test_each_handler_can_be_imported_from_the_artifacts(build: Path, module: str) -> None:
    program = f"from telephony.handlers.{module} import handler; assert callable(handler)"
    run(program, build / "ProviderFunction", layer_of(build))
