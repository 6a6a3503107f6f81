"""`python -m simulation.scanner OUT_DIR [--seed N]`: write the synthetic patient as DICOM files."""

import argparse
import sys
from pathlib import Path

from common.dicom import files
from common.text import _
from simulation.scanner.scan import pelvis


def main(arguments: list[str] | None = None) -> int:
    """Write ct/CT_001.dcm ... and structures/RS.dcm; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m simulation.scanner", description=_("Write a synthetic pelvis.")
    )
    parser.add_argument("out", type=Path, help=_("folder to write to"))
    parser.add_argument(
        "--seed", type=int, default=1, help=_("another seed is another patient of the same kind")
    )
    options = parser.parse_args(arguments)
    slices, drawn = pelvis(options.seed)
    try:
        for index, ds in enumerate(slices, 1):
            files.write_file(ds, options.out / "ct" / f"CT_{index:03d}.dcm")
        files.write_file(drawn, options.out / "structures" / "RS.dcm")
    except OSError as why:
        sys.stderr.write(_("cannot write: {why}").format(why=why) + "\n")
        return 1
    sys.stdout.write(_("{count} slices and 1 structure set written").format(count=len(slices)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
