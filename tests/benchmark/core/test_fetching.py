"""Downloads: failures are reported within seconds, and a downloaded file is complete."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from crossfake.benchmark.core import fetching
from crossfake.benchmark.core.fetching import check_online, download

CONTENT = b"weights" * 1000


class Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_HEAD(self):
        self.asked.append(self.command)
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:9/nowhere")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        if "chunks" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:-100])
            return
        self.send_header("Content-Length", str(len(CONTENT) + (100 if "broken" in self.path else 0)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


@contextmanager
def serve() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def nobody_between(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "BENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def test_the_online_check_needs_only_an_answer_before_a_download(tmp_path):
    with serve() as address:
        check_online(f"{address}/weights.pth")
        download(f"{address}/weights.pth", tmp_path / "deep" / "weights.pth")
    assert (tmp_path / "deep" / "weights.pth").read_bytes() == CONTENT


def test_nothing_is_requested_with_bench_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with serve() as address:
        Handler.asked.clear()
        with pytest.raises(OSError, match="BENCH_OFFLINE is set"):
            download(f"{address}/weights.pth", tmp_path / "weights.pth")
    assert Handler.asked == []


def test_a_closed_port_is_reported_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            check_online(f"http://127.0.0.1:{free.getsockname()[1]}/weights.pth")


def test_gives_up_on_a_silent_server(monkeypatch):
    monkeypatch.setattr(fetching, "ANSWERS_WITHIN", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(OSError, match=r"no answer within 0\.2 s|timed out"):
            check_online(f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth")


def test_gives_up_on_a_slow_name_lookup(monkeypatch):
    monkeypatch.setattr(fetching, "ANSWERS_WITHIN", 0.1)
    monkeypatch.setattr(fetching, "_find_silence", lambda url: time.sleep(5) or "")
    with pytest.raises(OSError, match=r"no answer within 0\.1 s"):
        check_online("https://example.invalid")


def test_a_refusing_proxy_is_reported(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(OSError, match="refused"):
            check_online("http://example.invalid/weights.pth")


@pytest.mark.parametrize("name", ["broken.pth", "chunks.pth"])
def test_half_a_download_leaves_nothing(name, tmp_path):
    with serve() as address, pytest.raises(OSError, match=f"{name} broke off"):
        download(f"{address}/{name}", tmp_path / "weights.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_too_large_is_aborted_and_not_kept(tmp_path):
    with serve() as address, pytest.raises(OSError, match=r"weights\.pth is larger than 6999 bytes"):
        download(f"{address}/weights.pth", tmp_path / "weights.pth", most_bytes=len(CONTENT) - 1)
    assert not list(tmp_path.iterdir())
