#!/bin/sh
# Installs the programs that PTCS is measured against into .venv-peers (git-ignored, not part of PTCS):
# pyRadPlan and pymedphys as usual, and of opentps-core only the files, for the MCsquare binary in its wheel
# (its own dependencies want a numpy that pyRadPlan refuses; with pydantic 2.14 pyRadPlan 0.5 cannot write out
# its beams). Prints the folder of MCsquare.
set -eu
cd "$(dirname "$0")/../.."
venv=$PWD/.venv-peers
here=$PWD/benchmarks/peers
stamp=$venv/ready
want=$(cat "$here/requirements.txt" "$here/setup.sh" | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
  rm -f "$stamp"
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check --no-deps opentps-core==2.0.0 >&2
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  mcsquare=$site/opentps/core/processing/doseCalculation/protons/MCsquare
  [ -f "$mcsquare/MCsquare_linux_avx512" ] || { echo "opentps-core holds no MCsquare binary: $mcsquare" >&2; exit 1; }
  chmod +x "$mcsquare"/MCsquare_linux*
  ln -sfn "$mcsquare" "$venv/MCsquare"
  echo "$want" >"$stamp"
fi
echo "$venv/MCsquare"
