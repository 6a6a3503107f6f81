"""Measures of dose and optimisation against their peers: JSON lines, one benchmark after the other.

Installs the peers into .venv-peers first. `python -m benchmarks.dose_campaign [tg119 optimise gamma ...]`
"""

import subprocess
import sys
from pathlib import Path

PARTS = ("tg119", "optimise", "gamma", "montecarlo", "dose", "growth")


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"no dose benchmark {', '.join(unknown)}; allowed are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    setup = Path(__file__).parent / "peers" / "setup.sh"
    subprocess.run([str(setup)], check=True, stdout=subprocess.DEVNULL)
    runs = [
        subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"], check=False) for name in wanted
    ]
    return max(run.returncode for run in runs)


if __name__ == "__main__":
    sys.exit(main())
