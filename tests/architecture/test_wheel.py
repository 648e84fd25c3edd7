"""The built wheel holds every package of ours, whole: what tests run beside the source is what is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.code import PACKAGES, ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names in a wheel of this source, built by its own backend without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_is_whole_in_the_wheel(built: frozenset[str], package: Path) -> None:
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", str(package)]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    source = {Path(name).relative_to(package.parents[1].relative_to(ROOT)).as_posix() for name in listed}
    source = {name for name in source if (package.parents[1] / name).exists()}
    assert f"rollcast/{package.name}/__init__.py" in source
    assert sorted(source - built) == []


def test_nothing_is_in_the_wheel_that_has_no_source(built: frozenset[str]) -> None:
    parts = [package.parents[1] for package in PACKAGES]
    ours = {name for name in built if name.startswith("rollcast/") and not name.startswith("rollcast/cli/examples/")}
    assert sorted(name for name in ours if not any((part / name).exists() for part in parts)) == []
    assert not [name for name in built if not name.startswith(("rollcast/", "rollcast-"))], "something stands beside it"
