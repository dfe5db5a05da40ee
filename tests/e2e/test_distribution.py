"""The wheel and the sdist: they build, and what was installed runs without the checkout."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def ran(*command: str, cwd: Path, path: Path | None = None) -> str:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd)} | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    ran(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT), cwd=directory)
    return directory


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    ran(*pip, "--target", str(directory), str(wheel), cwd=directory)
    return directory


def scenario_files() -> set[str]:
    return {path.relative_to(ROOT / "scenarios").as_posix() for path in (ROOT / "scenarios").rglob("*.yaml")}


def test_the_wheel_holds_the_three_packages_their_types_and_the_scenarios(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("badgateway", "badgateway_proxy", "badgateway_upstream"):
        assert f"{package}/py.typed" in names
    assert {f"badgateway/scenarios/{name}" for name in scenario_files()} <= names
    assert not [name for name in names if name.startswith(("tests/", "proxy/", "lab/"))]
    entry_points = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
    told = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "[pytest11]\nbadgateway = badgateway.pytest_plugin" in told


def test_the_sdist_holds_what_it_takes_to_build_and_test(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "requirements.txt", "tests/test_architecture.py"}
    assert needed | {f"scenarios/{name}" for name in scenario_files()} <= names


def test_what_was_installed_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    python = (sys.executable, "-P")
    where = ran(*python, "-c", "import badgateway; print(badgateway.__file__)", cwd=tmp_path, path=installed)
    assert Path(where.strip()).is_relative_to(installed)
    listed = ran(*python, "-m", "badgateway", "list", cwd=tmp_path, path=installed)
    assert sum(line.startswith("  ") for line in listed.splitlines()) == len(scenario_files())
    held = ran(*python, "-m", "badgateway", "run", "502/garbage", cwd=tmp_path, path=installed)
    assert "1 scenario: 1 held" in held
