"""What would have left the house, kept as files for a developer to open: development's mails and messages."""

from pathlib import Path

from backend.core.environment import ROOT, environment


def keep_private(folder: str, name: str, content: bytes) -> Path:
    """Write a file below CALLOUT_HOME that nobody else on this machine may read; returns its path."""
    home = ROOT / environment().callout_home / folder
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = home / name
    file.touch(mode=0o600)
    file.write_bytes(content)
    return file
