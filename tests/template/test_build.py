import marshal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.template.conftest import ROOT

FUNCTIONS = ["ProviderFunction", "LastResortFunction", "SweepFunction"]
ARTIFACTS = dict.fromkeys(FUNCTIONS, "/var/task") | {"DependenciesLayer": "/opt"}
SERVICES = ["cloudformation", "connect", "dynamodb", "pinpoint-sms-voice-v2", "sts"]


def run_bare(build: Path, program: str) -> None:
    """Run a program as Lambda would: Python 3.13 without any package but the function's and the layer's."""
    paths = [str(build / "ProviderFunction"), str(build / "DependenciesLayer/python")]
    program = f"import sys; sys.path[:0] = {paths!r}; sys.dont_write_bytecode = True\n{program}"
    interpreter = getattr(sys, "_base_executable", sys.executable)
    environment = {"AWS_DEFAULT_REGION": "us-east-1", "STATE_TABLE": "state", "AWS_EC2_METADATA_DISABLED": "true"}
    ran = subprocess.run(  # noqa: S603
        [interpreter, "-sS", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def code_objects(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_every_module_has_bytecode_that_stays_valid_and_names_no_path_of_the_build(build: Path, artifact: str) -> None:
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
def test_the_function_holds_the_whole_package_and_nothing_else(build: Path, artifact: str) -> None:
    shipped = {str(path.relative_to(build / artifact)) for path in (build / artifact).rglob("*.py")}
    assert shipped == {str(path.relative_to(ROOT / "functions")) for path in (ROOT / "functions").rglob("*.py")}


def test_the_layer_is_pure_python_and_holds_the_models_of_our_services_alone(build: Path) -> None:
    layer = build / "DependenciesLayer"
    assert not [path for path in layer.rglob("*") if path.suffix in {".so", ".pyd", ".dylib"}]
    data = layer / "python/botocore/data"
    assert sorted(path.name for path in data.iterdir() if path.is_dir()) == SERVICES
    assert sum(path.stat().st_size for path in layer.rglob("*") if path.is_file()) < 20 * 2**20


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_of_each_service_is_made_from_the_built_layer(build: Path, service: str) -> None:
    run_bare(build, f"import boto3; boto3.client({service!r}).meta.service_model.operation_names")


@pytest.mark.parametrize("module", ["provider", "last_resort", "sweep"])
def test_each_handler_is_imported_from_what_was_built(build: Path, module: str) -> None:
    run_bare(build, f"from telephony.{module} import handler; assert callable(handler)")
