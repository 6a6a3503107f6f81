"""`./run bench [NAME ...]`: run each benchmarks/bench_NAME.py in a process of its own."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    names = sys.argv[1:] or sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = [name for name in names if not (HERE / f"bench_{name}.py").exists()]
    if unknown:
        known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
        print(f"no benchmark {', '.join(unknown)}; allowed are {', '.join(known)}", file=sys.stderr)
        return 2
    runs = [subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"], check=False) for name in names]
    return max((run.returncode for run in runs), default=0)


if __name__ == "__main__":
    sys.exit(main())
