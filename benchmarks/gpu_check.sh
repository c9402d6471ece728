#!/usr/bin/env bash
# GPU tests, then benchmarks, in one call of under ten minutes; results go to benchmarks/results.
#
#   benchmarks/gpu_check.sh                   with what is installed, or from the package index
#   WHEELS=folder benchmarks/gpu_check.sh     without a network, from a folder of wheels
#   OUT=folder benchmarks/gpu_check.sh        results elsewhere
#   PYTHON=python3.12 benchmarks/gpu_check.sh
#
# What is missing is installed into .venv-gpu, which sees the packages of that Python: its CuPy,
# numba-cuda and torch are the ones that are tested. Tests of files need nibabel, pynrrd and
# trimesh, and are left out where those are not there.
set -uo pipefail
cd "$(dirname "$0")/.."
outer=${PYTHON:-python3}
"$outer" -m venv --clear --without-pip .venv-gpu || exit 1
python=$PWD/.venv-gpu/bin/python
# Not --system-site-packages: of a virtual environment it would show what is below it. And not a
# line with the path alone: numba-cuda stands in for numba.cuda by a .pth file of its own.
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for folder in $("$outer" -c 'from sysconfig import get_path; print(*{get_path("purelib"), get_path("platlib")})'); do
    echo "import site; site.addsitedir('$folder')" >> "$packages/outer.pth"
done
out=${OUT:-benchmarks/results}
mkdir -p "$out"

source=()
if [ -n "${WHEELS:-}" ]; then
    source=(--no-index --find-links "$WHEELS")
fi
"$python" -m pip install --quiet "${source[@]}" "setuptools>=77" wheel pytest pytest-benchmark \
    pytest-xdist "numpy<2.5" numba numcodecs google-crc32c platformdirs pydantic pyyaml zarr typer rich pillow \
    scipy hypothesis || exit 1
"$python" -m pip install --quiet --no-deps --no-build-isolation --editable . || exit 1
"$python" -c "import cupy, numba_cuda; assert cupy.is_available()" || {
    echo "gpu_check: needs CuPy, numba-cuda and a CUDA device" >&2
    exit 1
}

stamp=$(date -u +%Y-%m-%d)
status=0
limited() { # seconds command...: pytest writes its results when it is interrupted
    timeout -s INT -k 10 "$@" || status=1
}
{
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    "$python" -m pip list 2> /dev/null | grep -i -E "^(cupy|numba|numpy|torch|llvmlite|nvidia-cuda)"
} > "$out/gpu-machine-$stamp.txt"
# Another NumPy than that of the tests warns of other things. The digests of all recipes come first:
# they say the most in the least time.
limited 250 "$python" -m pytest tests/test_engine.py tests -m gpu -n 8 -q -W default \
    --junitxml "$out/gpu-tests-$stamp.xml"
limited 150 "$python" -m pytest benchmarks --benchmark-only -m gpu -q -W default \
    --benchmark-json "$out/gpu-stages-$stamp.json"
for recipe in avs-db fdif synthseg; do
    limited 45 "$python" -m synthgen bench --recipe $recipe --device cuda --batch 256 \
        --volumes 2560 --json > "$out/gpu-bench-$recipe-$stamp.json"
done
ls -l "$out"
exit $status
