"""Which account the embedded servers run as, and where it can reach their programs and data.

PostgreSQL refuses to run as root. So a root's servers run as an account without rights, which must be able to
walk to the programs and to own the data folder; below a folder such as /root it can do neither.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backend.cli.child import Account
from backend.cli.errors import UserError

SHARED_STATE = Path("/var/lib/callout")
"""Where a root's servers keep what they cannot reach below CALLOUT_HOME."""

SOCKET_PATH_BYTES = 100
"""Longer names of sockets fail: 107 bytes on Linux, 103 on macOS."""

_TEMPORARY = Path("/tmp")
_PREFIX = "callout-"


def server_account(data: Path) -> Account | None:
    """The account of the servers that own this data folder; None when it is our own."""
    if os.geteuid() != 0:
        return None
    owner = data.stat().st_uid if data.exists() else 0
    for identity in (owner, "nobody", "daemon"):
        try:
            entry = pwd.getpwuid(identity) if isinstance(identity, int) else pwd.getpwnam(identity)
        except KeyError:
            continue
        if entry.pw_uid:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise UserError(
        "PostgreSQL does not run as root, and there is no account `nobody`: start Callout as an ordinary user."
    )


def is_reachable(path: Path, account: Account | None) -> bool:
    """Whether the account can walk into this folder or run this program."""
    if account is None:
        return os.access(path, os.X_OK)
    command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
    return subprocess.run(
        command, user=account.uid, group=account.gid, extra_groups=[], cwd="/", stderr=subprocess.DEVNULL, check=False
    ).returncode == 0  # fmt: skip


def reachable_folder(wanted: Path, account: Account | None) -> Path:
    """The wanted folder, made if need be; or, where the account cannot reach it, one of its own in SHARED_STATE."""
    wanted.mkdir(parents=True, exist_ok=True)
    if account is None:
        wanted.chmod(0o700)
        return wanted
    wanted.chmod(0o711)
    if is_reachable(wanted, account):
        return wanted
    folder = SHARED_STATE / hashlib.sha256(os.fsencode(wanted.resolve())).hexdigest()[:16]
    for made in (SHARED_STATE, folder):
        made.mkdir(parents=True, exist_ok=True)
        made.chmod(0o711)
    return folder


def reachable_program(
    program: Path, packages: Path, trees: Sequence[str], folder: Path, account: Account | None
) -> Path:
    """The program, or its copy in `folder` where the account cannot run it.

    `trees` are the folders below `packages` that it needs, itself included: it finds its libraries beside it.
    """
    if is_reachable(program, account):
        return program
    copy = folder / f"programs-{(packages / trees[0]).stat().st_mtime_ns}"
    if not copy.exists():
        half = folder / "programs.half"
        shutil.rmtree(half, ignore_errors=True)
        for tree in trees:
            shutil.copytree(packages / tree, half / tree, symlinks=True)
        for path in (half, *half.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))
        half.rename(copy)
    return copy / program.relative_to(packages)


def own_folder(path: Path, account: Account | None) -> Path:
    """Make a folder for the account's eyes alone."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def socket_folder(path: Path, name_bytes: int, account: Account | None) -> Path:
    """A folder for sockets: `path`, or a short temporary one behind a link of that name where it would be too long.

    A comma in the path would be read as a list of hosts by libpq, so it asks for the temporary one too.
    """
    if path.is_symlink() and _is_temporary(path.readlink(), account):
        return path.readlink()  # its name is in the URLs that clients were given: a restart keeps it
    leave_socket_folder(path, account)
    if len(os.fsencode(path)) + 1 + name_bytes <= SOCKET_PATH_BYTES and "," not in str(path):
        return own_folder(path, account)
    shutil.rmtree(path, ignore_errors=True)  # of a time when the path was shorter
    folder = own_folder(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TEMPORARY)), account)
    path.symlink_to(folder)
    return folder


def _is_temporary(folder: Path, account: Account | None) -> bool:
    """Whether this is a temporary folder of our own making: only such a one is used again, or removed."""
    uid = account.uid if account else os.geteuid()
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    named = folder.parent == _TEMPORARY and folder.name.startswith(_PREFIX)
    return named and stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def leave_socket_folder(path: Path, account: Account | None) -> None:
    """Remove the temporary folder behind the link, if there is one."""
    if path.is_symlink():
        target = path.readlink()
        if _is_temporary(target, account):
            shutil.rmtree(target, ignore_errors=True)
        path.unlink()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A folder for a stack that is thrown away, reachable by the servers' account too; for tests and the demo."""
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TEMPORARY))
    home.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
