"""Runs every benchmark of this folder, one after the other; each prints its own table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Return the worst exit code of the benchmarks, passing on what was typed after the command."""
    benches = sorted(Path(__file__).parent.glob("bench_*.py"))
    codes = []
    for bench in benches:
        print(f"\n== {bench.stem.removeprefix('bench_')} ==", flush=True)
        codes.append(subprocess.run([sys.executable, bench, *sys.argv[1:]], check=False).returncode)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
