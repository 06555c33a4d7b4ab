"""Read a file many times with random changes, and report failures: fuzz_worker.py FOLDER TARGET FIRST COUNT.

Each line on stdout is JSON: the seed when an input starts, and a finding unless reading succeeded or gave a one-line
error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_targets import TARGETS
from mutations import mutate

HANG = 10  # seconds of processor time, so that a busy machine doesn't count as a hang
ASLEEP = 120  # seconds


def _end_hang(*_: object) -> None:
    raise TimeoutError("a hang")


def main(folder: Path, name: str, first: int, count: int) -> None:
    """Read inputs first ... first + count - 1."""
    from crossfake.benchmark.core.errors import BenchError

    target = TARGETS[name]
    path = target.make(folder / name)
    sound = path.read_bytes()
    target.read(path)
    note = os.open(folder.parent / f"{name}.seed", os.O_WRONLY | os.O_CREAT)
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _end_hang)
    for seed in range(first, first + count):
        os.pwrite(note, b"%12d" % seed, 0)  # This is still there if a signal ends the process.
        path.write_bytes(mutate(sound, seed))
        signal.setitimer(signal.ITIMER_PROF, HANG)
        signal.alarm(ASLEEP)
        try:
            target.read(path)
        except BenchError as error:
            if "\n" in str(error) or len(str(error)) > 2000:
                print(json.dumps({"seed": seed, "finding": f"an error of several lines, or long: {str(error)[:300]}"}))
        except BaseException:
            print(json.dumps({"seed": seed, "finding": traceback.format_exc()[-1500:]}), flush=True)
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    print(json.dumps({"done": count, "megabytes": _read_peak_memory() >> 10}))


def _read_peak_memory() -> int:
    """Return this process's peak memory in kB; `ru_maxrss` may be the parent's."""
    status = Path("/proc/self/status")
    told = [line.split() for line in status.read_text().splitlines()] if status.is_file() else []
    found = next((int(words[1]) for words in told if words[0] == "VmHWM:"), None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if found is None else found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
