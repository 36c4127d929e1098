"""The wheel: what is in it, and that it runs the README's first example in an empty environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from conftest import data_folder
from test_docs import blocks

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed; no setting of this process's Python goes into it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, cwd=cwd, env={**environment, "PYTHONUTF8": "1"}
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel that COOLFUSION_WHEEL names, else one built as `make test` does, in the same target folder."""
    given = os.environ.get("COOLFUSION_WHEEL")
    if given:
        path = Path(given).resolve()
        assert path.is_file(), f"COOLFUSION_WHEEL is {given!r}: expected a wheel"
        return path
    folder = tmp_path_factory.mktemp("wheel")
    # As in the Makefile; nothing here depends on how well the core is optimised.
    run(sys.executable, "-m", "maturin", "build", "--profile", "fast", "--locked", "--out", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_name_says_abi3_for_3_11_and_up(wheel):
    name, version, python, abi, platform = wheel.stem.split("-")
    assert (name, version, python, abi) == ("coolfusion", VERSION, "cp311", "abi3")
    assert platform != "any"


def test_holds_what_it_must_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
        metadata = archive.read(f"coolfusion-{VERSION}.dist-info/METADATA").decode()
    inside = {name.removeprefix("coolfusion/") for name in files if name.startswith("coolfusion/")}
    assert {"__init__.py", "py.typed", "_core.pyi", "toy.py", "models/base.py"} <= inside
    assert any(name.startswith("_core.") and name.endswith((".so", ".pyd")) for name in inside)
    assert {"LICENSE", "THIRD-PARTY-LICENSES.txt"} <= {name.rpartition("/licenses/")[2] for name in files}
    # Only the package and its metadata: no tests, benches, sources of Rust, training data.
    assert {name.split("/")[0] for name in files} == {"coolfusion", f"coolfusion-{VERSION}.dist-info"}
    source = ROOT / "python" / "coolfusion"
    tracked = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert {name for name in inside if not name.startswith("_core.")} <= tracked
    assert not any(re.match(r"test_|conftest", Path(name).name) or "__pycache__" in name for name in inside)
    assert sum(name.endswith("model.safetensors") for name in inside) == 3
    for model in {name.split("/")[1] for name in inside if name.endswith("model.safetensors")}:
        assert {f"embedded/{model}/config.json", f"embedded/{model}/tokenizer.json"} <= inside
    assert sum(size for name, size in files.items() if name.startswith("coolfusion/embedded/")) < 6_000_000
    requirements = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    assert requirements, "the extras are listed"
    plain = {re.split(r"[^\w-]", line.split()[1])[0] for line in requirements if "extra ==" not in line}
    assert plain == {"typer", "rich"}, "the command line's; the package itself imports neither"
    assert "Requires-Python: >=3.11" in metadata


def test_holds_no_file_of_the_test_data(wheel):
    folder = data_folder()
    if folder is None:
        pytest.skip("COOLFUSION_DATA is not set: there is no test data to compare with")
    # Small files (an empty configuration) may be equal by chance.
    foreign = {path.stat().st_size: path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 200}
    assert len(foreign) > 100
    with zipfile.ZipFile(wheel) as archive:
        suspects = [info.filename for info in archive.infolist() if info.file_size in foreign]
        copies = [
            name
            for name in suspects
            for path in folder.rglob("*")
            if path.is_file() and path.stat().st_size == archive.getinfo(name).file_size
            if path.read_bytes() == archive.read(name)
        ]
    assert copies == []


def installed(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with this wheel and nothing else."""
    venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", wheel, cwd=folder)
    return python


@pytest.fixture(scope="session")
def empty_python(wheel, tmp_path_factory) -> Path:
    """The Python of a new environment with this wheel and nothing else."""
    return installed(wheel, tmp_path_factory.mktemp("environment"))


def test_runs_the_first_example_of_the_readme_that_needs_no_other_package(empty_python, tmp_path):
    first = next(block for block in blocks(ROOT / "README.md") if not block.code.startswith("# needs"))
    assert "import coolfusion" in first.code
    script = tmp_path / "first_example.py"
    script.write_text(first.code + "\nprint(cf.__file__)\n", encoding="utf-8")
    # -I: neither this folder nor PYTHONPATH nor the user's packages can lend anything.
    shown = Path(run(empty_python, "-I", script, cwd=tmp_path).splitlines()[-1])
    assert shown.is_relative_to(empty_python.parents[1])
    assert not shown.is_relative_to(ROOT)


def test_without_its_dependencies_it_is_imported_and_knows_its_version(empty_python, tmp_path):
    code = (
        "import importlib.metadata as m, coolfusion as cf; print(cf.__version__, m.version('coolfusion'),"
        " sorted(d.name for d in m.distributions()))"
    )
    assert run(empty_python, "-I", "-c", code, cwd=tmp_path).strip() == f"{VERSION} {VERSION} ['coolfusion']"


def test_without_its_dependencies_the_command_says_what_it_needs(empty_python, tmp_path):
    command = shutil.which("coolfusion", path=str(empty_python.parent))
    assert command, "the wheel installs the command"
    done = subprocess.run([command, "--help"], capture_output=True, encoding="utf-8", check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "the command line needs" in done.stderr and ": pip install " in done.stderr


@pytest.mark.slow
def test_runs_the_tutorial(wheel, tmp_path):
    """In an environment of its own, far from the sources; all packages but coolfusion are those of this environment."""
    for package in ("torch", "transformers", "fastapi", "uvicorn", "prometheus_client", "openai"):
        pytest.importorskip(package, reason=f"the tutorial needs {package}")
    python = installed(wheel, tmp_path)
    own = Path(run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # A plain line: files of that folder that name further ones, such as these sources, are not read.
    (own / "lent.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    shown = Path(run(python, "-I", "-c", "import coolfusion; print(coolfusion.__file__)", cwd=tmp_path).strip())
    assert shown.is_relative_to(own)
    for name in ("tests/test_tutorial.py", "docs/tutorial.md", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    told = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_tutorial.py", cwd=tmp_path)
    assert "3 passed" in told
