#!/usr/bin/env bash
# GPU tests, then benchmarks, in one call of under ten minutes; results go to benchmarks/results.
#
#   benchmarks/gpu_check.sh                   with what is installed, or from the package index
#   WHEELS=folder benchmarks/gpu_check.sh     without a network, from a folder of wheels
#   OUT=folder benchmarks/gpu_check.sh        results elsewhere
#   PYTHON=python3.12 benchmarks/gpu_check.sh
#
# What is missing is installed into .venv-gpu, which sees the packages of that Python: its CuPy,
# numba-cuda and torch are the ones that are tested.
set -uo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv --system-site-packages .venv-gpu || exit 1
python=$PWD/.venv-gpu/bin/python
out=${OUT:-benchmarks/results}
mkdir -p "$out"

source=()
if [ -n "${WHEELS:-}" ]; then
    source=(--no-index --find-links "$WHEELS")
fi
"$python" -m pip install --quiet "${source[@]}" "setuptools>=77" wheel pytest pytest-benchmark \
    numpy numba platformdirs pydantic pyyaml zarr typer rich pillow scipy hypothesis || exit 1
"$python" -m pip install --quiet --no-deps --no-build-isolation --editable . || exit 1
"$python" -c "import cupy, numba_cuda; assert cupy.is_available()" || {
    echo "gpu_check: needs CuPy, numba-cuda and a CUDA device" >&2
    exit 1
}

stamp=$(date -u +%Y-%m-%d)
status=0
timeout 240 "$python" -m pytest tests -m gpu -q --junitxml "$out/gpu-tests-$stamp.xml" || status=1
timeout 200 "$python" -m pytest benchmarks --benchmark-only -m gpu -q \
    --benchmark-json "$out/gpu-stages-$stamp.json" || status=1
bench() { # recipe batch
    timeout 25 "$python" -m synthgen bench --recipe "$1" --device cuda --batch "$2" \
        --volumes $((10 * $2)) --json > "$out/gpu-bench-$1-$2-$stamp.json" || status=1
}
for recipe in avs-db fdif; do
    bench $recipe 64
    bench $recipe 256
done
for recipe in fake-it-right synthfm-3d synthseg; do
    bench $recipe 64
done
if "$python" -c "import cuda.bindings.nvrtc" 2> /dev/null; then
    timeout 100 "$python" benchmarks/cuda_report.py --json > "$out/cuda-report-$stamp.json" || status=1
fi
ls -l "$out"
exit $status
