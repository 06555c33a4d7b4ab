"""Downloads: availability is known within two seconds, and never checked with BENCH_OFFLINE."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from . import environment
from .storage import write_atomically

ANSWERS_WITHIN = 2.0  # seconds
SILENCE_S = 20  # without data, after which a download is aborted


class _Stay(urllib.request.HTTPRedirectHandler):
    """Accepts a redirection as an answer."""

    def redirect_request(self, *_: object) -> None:
        """Don't follow."""


def check_online(url: str) -> None:
    """Request a file's header from a server, through the proxy if there is one; any answer is enough.

    Host names are resolved in a thread, since that alone may take many seconds without a network.

    Raises:
        OSError: BENCH_OFFLINE is set, or nobody answers in time; says why.
    """
    if environment.read(environment.OFFLINE):
        raise OSError(f"{environment.OFFLINE} is set")
    told: SimpleQueue[str] = SimpleQueue()
    Thread(target=lambda: told.put(_find_silence(url)), daemon=True).start()
    try:
        problem = told.get(timeout=ANSWERS_WITHIN)
    except Empty:
        problem = f"no answer within {ANSWERS_WITHIN:g} s"
    if problem:
        raise OSError(problem)


def _find_silence(url: str) -> str:
    """Return why a server doesn't answer; empty if it does."""
    try:
        asked = urllib.request.Request(url, method="HEAD")  # https, as all callers' are # nosec B310
        urllib.request.build_opener(_Stay).open(asked, timeout=ANSWERS_WITHIN).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except Exception as error:  # Of networks, proxies and protocols.
        return " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
    return ""


def download(
    url: str, path: Path, most_bytes: int | None = None, check: Callable[[Path], object] = lambda _: None
) -> None:
    """Download a file to a path, which exists only once it is complete, and `check` has accepted it by not raising.

    Raises:
        WriteError: it can't be written.
        OSError: see `check_online`; the download breaks off, or is larger than `most_bytes`.
    """
    check_online(url)
    with write_atomically(path) as temporary:
        try:
            _receive(url, temporary, most_bytes)
        except HTTPException as error:
            raise OSError(f"{url} broke off: {error}") from None
        check(temporary)


def _receive(url: str, path: Path, most_bytes: int | None) -> None:
    with (
        urllib.request.urlopen(url, timeout=SILENCE_S) as response,  # https, as all callers' are # nosec B310
        path.open("wb") as file,
    ):
        while chunk := response.read(2**20):
            file.write(chunk)
            if most_bytes is not None and file.tell() > most_bytes:
                raise OSError(f"{url} is larger than {most_bytes} bytes")
        if response.length:
            raise OSError(f"{url} broke off: {response.length} bytes are missing")
