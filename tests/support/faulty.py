"""Run `bench` with a fault: faulty.py FAULT ARGUMENTS. FAULT is `none`, `before N`, `after N` or `clock SECONDS`.

`before N` and `after N` kill the process (SIGKILL) before or after its N-th os.replace. With N = 0 it isn't killed, and
the last line on stderr is the number of calls. `clock` moves the clock forward or back by SECONDS at every reading.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main(fault: str, arguments: list[str]) -> int:
    kind, _, number = fault.partition(" ")
    done, replace, read_clock = 0, os.replace, time.time

    def replace_and_die(*paths: str) -> None:
        nonlocal done
        done += 1
        if kind == "before" and done == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*paths)
        if kind == "after" and done == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    def jump() -> float:
        nonlocal done
        done += 1
        return read_clock() + (int(number) if done % 2 else 0)

    if kind in ("before", "after"):
        os.replace = replace_and_die
    if kind == "clock":
        time.time = jump
    from crossfake.benchmark.cli.main import main as bench

    code = bench(arguments)
    if number == "0":
        print(done, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
