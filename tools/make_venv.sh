#!/usr/bin/env bash
# make_venv.sh VENV EXTRAS: a virtual environment with ferrojax at the versions of requirements.lock.
set -euo pipefail
venv=$1
extras=$2
new_enough='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python; do
    if "$candidate" -c "$new_enough" >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "ferrojax needs Python 3.11 or newer with the venv module (found: $(python3 --version 2>&1 || echo none))." >&2
  echo "Install one (Debian and Ubuntu: apt install python3.11-venv), or name it: make PYTHON=/path/to/python3.11 venv" >&2
  exit 2
}

if ! "$venv/bin/python" -c "$new_enough" >/dev/null 2>&1; then
  python=$(find_python)
  echo "Making $venv with $($python --version); installing takes a few minutes."
  "$python" -m venv --clear "$venv"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/python" -m pip install --quiet --constraint requirements.lock --editable ".[$extras]" || {
  echo "Installing failed. Check the network, then run make venv again; if a version of requirements.lock has no build for your" >&2
  echo "platform, install the newest ones instead: $venv/bin/python -m pip install -e '.[$extras]' && touch $venv/.ferrojax-installed" >&2
  exit 2
}
