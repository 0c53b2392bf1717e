"""What is built is what is written, and what is locked is what is declared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
NOT_WRITTEN = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")

RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["dev"]]
BUILD = [Requirement(text) for text in PROJECT["build-system"]["requires"]]


def written() -> dict[str, Path]:
    """Every file of the package: its name in a wheel, and where it lies."""
    found = {}
    for folder, package in (("src/strataline", "strataline"), ("parsers", "strataline/parsers")):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                found[f"{package}/{file.relative_to(ROOT / folder).as_posix()}"] = file
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built without a network, from a copy: a build leaves folders behind that a later one would pack."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("src", "parsers"):
        shutil.copytree(ROOT / name, copy / name, ignore=NOT_WRITTEN)
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out), str(copy))
    (built,) = out.glob("*.whl")
    return built


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_packages_are_the_folders_with_modules() -> None:
    """An editable install works without an entry here, and the wheel does not."""
    modules = [Path(name) for name in written() if name.endswith(".py")]
    folders = {module.parent.as_posix().replace("/", ".") for module in modules}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders


@pytest.mark.slow
def test_wheel_carries_every_file_and_no_other(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        content = {name: packed.read(name) for name in packed.namelist() if ".dist-info/" not in name}
    assert content == {name: file.read_bytes() for name, file in written().items()}


@pytest.mark.slow
def test_wheel_says_what_pyproject_says(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        info = next(name.split("/")[0] for name in packed.namelist() if ".dist-info/" in name)
        metadata = packed.read(f"{info}/METADATA").decode()
        scripts = packed.read(f"{info}/entry_points.txt").decode()
        licence = packed.read(f"{info}/licenses/LICENSE").decode()
    assert "\nName: strataline\n" in metadata
    assert f"\nVersion: {PROJECT['project']['version']}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "strataline = strataline.cli:main" in scripts
    assert "Apache License" in licence


@pytest.mark.slow
def test_installed_wheel_finds_its_formats_and_its_command(wheel: Path, tmp_path: Path) -> None:
    """Out of the source tree: no file of the checkout is in reach."""
    pip("install", "--no-deps", "--no-index", "--target", str(tmp_path / "site"), str(wheel))
    program = (
        "import importlib.resources, strataline, strataline.cli\n"
        "print(strataline.__file__)\n"
        "for name in sorted(p.name for p in importlib.resources.files('strataline.parsers').iterdir()):\n"
        "    if name.endswith('.py'): print(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    module, *formats = done.stdout.splitlines()
    assert Path(module).is_relative_to(tmp_path)
    assert formats == sorted(file.name for file in (ROOT / "parsers").glob("*.py"))


def locked() -> dict[str, tuple[Version, int]]:
    """Each locked package with its version and how many hashes it has."""
    found: dict[str, tuple[Version, int]] = {}
    for entry in re.split(r"\n(?=\S)", LOCK):
        pin = re.match(r"(?P<name>[\w.-]+)==(?P<version>\S+)", entry)
        if pin:
            hashes = len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
            found[canonicalize_name(pin["name"])] = Version(pin["version"]), hashes
    return found


@pytest.mark.parametrize("requirement", [*RUNTIME, *DEVELOPMENT, *BUILD], ids=str)
def test_lock_pins_what_is_declared(requirement: Requirement) -> None:
    version, hashes = locked()[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert hashes > 0


@pytest.mark.parametrize("requirement", [*RUNTIME, *DEVELOPMENT, *BUILD], ids=str)
def test_every_dependency_is_bounded_below(requirement: Requirement) -> None:
    assert [bound.operator for bound in requirement.specifier] == [">="]


def test_lock_holds_nothing_but_pins_hashes_and_who_asked() -> None:
    """No index, host, path or option: an installation takes its packages from wherever it is set up to."""
    shapes = r"#.*|\s*#.*|[\w.-]+==[\w.]+( ; python_version < .3\.\d+.)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|"
    assert [line for line in LOCK.splitlines() if not re.fullmatch(shapes, line)] == []
    assert not re.search(r"://|file:|index-url|find-links|trusted-host|(^|\s)/", LOCK)


def test_contributing_says_why_each_dependency_is_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.-]+)` \| \S", page, re.MULTILINE)
    assert sorted(rows) == sorted(r.name for r in (*RUNTIME, *DEVELOPMENT, *BUILD))
