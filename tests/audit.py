"""Check constraints.txt for known vulnerabilities with pip-audit; it says so if that isn't possible."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
UNREACHABLE = re.compile(r"connection|connect to|timed? ?out|resolve|proxy|SSL|HTTPError|Max retries", re.IGNORECASE)


def audit() -> int:
    """Run pip-audit on every pinned version; return 1 if it finds a vulnerability."""
    pinned = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if re.match(r"[\w.-]+==", line)]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "pinned.txt"
        listed.write_text("\n".join(pinned) + "\n", encoding="utf-8")
        words = [sys.executable, "-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = "known vulnerabilit" in done.stdout + done.stderr and "No known" not in done.stdout + done.stderr
    if done.returncode and not found and UNREACHABLE.search(done.stderr):
        print("pip-audit: SKIPPED, its database can't be reached from here; nothing is known of these versions")
        return 0
    if skipped := done.stdout.count("could not be audited"):
        print(f"pip-audit: SKIPPED for {skipped} of {len(pinned)} packages, which its database doesn't have here")
    print("\n".join(line for line in (done.stdout + done.stderr).splitlines() if "not be audited" not in line))
    return done.returncode


if __name__ == "__main__":
    sys.exit(audit())
