"""Who is working on a file: host, process, and a random token, since process ids are reused."""

from __future__ import annotations

import os
import re
import secrets
import socket
from functools import lru_cache
from typing import NamedTuple

_WRITTEN = re.compile(r"([^.]+)-(\d+)-([0-9a-f]{8})")


class Owner(NamedTuple):
    """A process: `host` is where it runs, `token` is drawn when it starts."""

    host: str
    pid: int
    token: str

    def __str__(self) -> str:
        """Write it as a part of a file's name."""
        return f"{self.host}-{self.pid}-{self.token}"

    def is_gone(self) -> bool:
        """Return whether it has ended. A process of another host can't be looked up and counts as running."""
        ours = get_owner()
        if self.host != ours.host:
            return False
        return self.token != ours.token if self.pid == ours.pid else not _is_running(self.pid)


def parse_owner(text: str) -> Owner | None:
    """Parse an owner from a file name; None if it has none."""
    found = _WRITTEN.fullmatch(text)
    return Owner(found[1], int(found[2]), found[3]) if found else None


def get_owner() -> Owner:
    """Return this process."""
    return Owner(_name_host(), os.getpid(), _TOKEN)


_TOKEN = secrets.token_hex(4)


@lru_cache(maxsize=1)
def _name_host() -> str:
    """Return the host's name, with the PID namespace if processes are numbered separately, as in a container."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname().partition(".")[0])[:32] or "host"
    try:
        return f"{name}+{os.stat('/proc/self/ns/pid').st_ino:x}"
    except OSError:  # Not Linux.
        return name


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # Another user's process.
        return True
    return True
