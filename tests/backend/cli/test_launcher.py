"""The launcher, run as a person would run it, in copies of the checkout with a small lock file."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EMPTY = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy that was never started."""
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that was started once; making a virtual environment is what takes long."""
    folder = make_checkout(tmp_path_factory.mktemp("installed"))
    first = start(folder, "up", "--fast")
    assert (first.returncode, first.stdout) == (0, f"1 {folder} ['up', '--fast']\n"), first.stderr
    assert "Making .venv" in first.stderr
    return folder


@pytest.fixture
def outdated(checkout: Path, installed: Path) -> Path:
    """A copy whose virtual environment is whole, but of another lock: making a new one takes four seconds."""
    shutil.copytree(installed / ".venv", checkout / ".venv", symlinks=True)
    (checkout / ".venv" / "installed").write_text(f"other {os.path.realpath(checkout / '.venv' / 'bin' / 'python')}")
    lock_to(checkout, make_wheel(checkout.parent / "wheels", version=3))
    return checkout


def make_checkout(parent: Path) -> Path:
    """A space in its path, a command line that echoes, and one package to install, from a folder."""
    folder = parent / "my checkout"
    (folder / "backend" / "cli").mkdir(parents=True)
    shutil.copy(ROOT / "callout", folder)
    shutil.copy(ROOT / "backend" / "cli" / "help.txt", folder / "backend" / "cli")
    (folder / "backend" / "__init__.py").touch()
    (folder / "backend" / "cli" / "__init__.py").touch()
    echo = "import os, sys, tiny; print(tiny.VERSION, os.getcwd(), sys.argv[1:])"
    (folder / "backend" / "cli" / "__main__.py").write_text(echo)
    lock_to(folder, make_wheel(parent / "wheels", version=1))
    return folder


def make_wheel(folder: Path, *, version: int) -> Path:
    """The smallest package that pip installs."""
    folder.mkdir(exist_ok=True)
    wheel = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", f"VERSION = {version}\n")
        archive.writestr(
            f"tiny-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
        )
        archive.writestr(
            f"tiny-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"tiny-{version}.dist-info/RECORD", "")
    return wheel


def lock_to(checkout: Path, wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    pin = f"tiny=={wheel.name.split('-')[1]} --hash=sha256:{digest}\n"
    for name in ("requirements.lock", "requirements-dev.lock"):
        (checkout / name).write_text(pin + ("# test tools\n" if "dev" in name else ""))


def start(
    checkout: Path, *arguments: str, python: str = sys.executable, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `./callout` in an almost empty environment, with only the folder of wheels to install from."""
    return subprocess.run(
        [python, str(checkout / "callout"), *arguments],
        env={**EMPTY, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout.parent / "wheels"), **env},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


class TestLauncher:
    def test_is_quick_the_second_time(self, installed: Path) -> None:
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            again = start(installed, "up", "-x")
            seconds.append(time.monotonic() - began)
            assert (again.stdout, again.stderr) == (f"1 {installed} ['up', '-x']\n", "")
        assert min(seconds) < 1

    def test_makes_a_half_made_environment_anew(self, checkout: Path) -> None:
        (checkout / ".venv" / "bin").mkdir(parents=True)
        (checkout / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
        assert start(checkout, "up").stdout.startswith("1 ")

    def test_installs_the_test_tools_for_commands_that_need_them_and_keeps_them(self, installed: Path) -> None:
        start(installed, "test")
        stamp = (installed / ".venv" / "installed").read_text()
        tools = (installed / "requirements-dev.lock").read_bytes()
        assert stamp.startswith(hashlib.sha256(tools).hexdigest())
        start(installed, "up")
        assert (installed / ".venv" / "installed").read_text() == stamp

    def test_installs_for_an_image_that_holds_one_lock_and_nothing_else_yet(self, outdated: Path) -> None:
        (outdated / "requirements-dev.lock").unlink()
        (outdated / "backend").rename(outdated / "later")
        installing = start(outdated, "install")
        assert (installing.returncode, installing.stdout) == (0, ""), installing.stderr
        (outdated / "later").rename(outdated / "backend")
        again = start(outdated, "run")
        assert (again.stdout, again.stderr) == (f"3 {outdated} ['run']\n", "")

    def test_installs_again_when_the_lock_has_changed(self, installed: Path) -> None:
        lock_to(installed, make_wheel(installed.parent / "wheels", version=2))
        again = start(installed, "up")
        assert again.stdout.startswith("2 ")
        assert "Making .venv" not in again.stderr

    def test_of_two_starts_at_once_one_installs_and_the_other_waits(self, checkout: Path) -> None:
        environment = {**EMPTY, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout.parent / "wheels")}
        command = [sys.executable, str(checkout / "callout"), "up"]
        both = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [process.communicate(timeout=60) for process in both]
        assert [out for out, _ in said] == [f"1 {checkout} ['up']\n"] * 2
        assert sum("Making .venv" in err for _, err in said) == 1

    def test_prints_the_help_without_installing_anything(self, checkout: Path) -> None:
        for arguments in ((), ("help",), ("--help",)):
            helped = start(checkout, *arguments)
            assert helped.stdout == (ROOT / "backend" / "cli" / "help.txt").read_text()
        assert not (checkout / ".venv").exists()

    def test_says_that_the_registry_is_out_of_reach(self, outdated: Path) -> None:
        registry = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
        refused = start(outdated, "up", PIP_CONFIG_FILE=os.devnull, **registry)
        assert refused.returncode == 1
        assert "The package registry is out of reach: check the network, the proxy" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert "tiny" in (outdated / ".callout" / "install.log").read_text()
        assert not (outdated / ".venv" / "installed").exists(), "the next start installs anew"

    def test_refuses_a_package_that_differs_from_the_locked_one(self, outdated: Path) -> None:
        (outdated.parent / "wheels" / "tiny-3-py3-none-any.whl").write_bytes(b"something else")
        refused = start(outdated, "up")
        assert refused.returncode == 1
        assert "differs from the one that was locked" in refused.stderr

    def test_says_that_python_is_too_old(self, checkout: Path) -> None:
        old = run_as(checkout, "sys.version_info = (3, 6, 9, 'final', 0)", PATH="/nowhere")
        assert old.returncode == 1
        assert old.stderr == (
            "Callout needs Python 3.11 or newer, and this is Python 3.6: install python3.11 and start again.\n"
        )

    def test_says_that_venv_is_missing(self, checkout: Path) -> None:
        change = "real = importlib.util.find_spec\n"
        change += "importlib.util.find_spec = lambda name: None if name == 'ensurepip' else real(name)"
        bare = run_as(checkout, change)
        assert bare.returncode == 1
        assert bare.stderr.startswith("This Python has no `ensurepip`: install it (Debian and Ubuntu: apt-get install")

    def test_says_who_may_write_when_it_may_not(self, checkout: Path) -> None:
        denied = run_as(
            checkout, "def deny(*a, **k): raise PermissionError(13, 'no', '/some/where')\nos.makedirs = deny"
        )
        assert denied.returncode == 1
        assert denied.stderr == "Callout cannot write to /some/where: start it as the owner of this folder.\n"

    def test_names_no_host(self) -> None:
        for name in ("callout", "requirements.lock", "requirements-dev.lock"):
            assert "://" not in (ROOT / name).read_text(), name


def run_as(checkout: Path, change: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher in a Python that was changed first."""
    program = f"import importlib.util, os, runpy, sys\n{change}\nsys.argv = ['callout', 'up']\n"
    program += f"runpy.run_path({str(checkout / 'callout')!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", program], env={**EMPTY, **env}, capture_output=True, text=True, check=False
    )
