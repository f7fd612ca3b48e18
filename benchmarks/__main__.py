"""``python -m benchmarks [NAME…]``: run all benchmarks, or those named, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SHARED = (
    *("__init__", "__main__", "flower_rounds", "forked", "fuzz_targets", "harness", "hostile_inputs"),
    *("inspection_peers", "peers", "situations"),
)
NAMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED))


def main(names: list[str]) -> int:
    """Exit code 1 if one failed."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"no benchmark {unknown[0]!r}: expected some of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or NAMES:
        print(f"=== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed or skipped: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
