"""The shim itself: right kernels pass in every order of threads, wrong ones are caught."""

import numpy as np
import pytest

from tests.host_cuda import HostCudaError, HostKernel, needs_compiler

pytestmark = needs_compiler

ORDERS = range(8)

BLOCK_SUM = """
extern "C" __global__ void block_sum(const int* values, long long* sums)
{
    extern __shared__ long long partial[];
    const int i = threadIdx.x;
    partial[i] = values[blockIdx.x * blockDim.x + i];
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (i < half)
            partial[i] += partial[i + half];
        BARRIER;
    }
    if (i == 0)
        sums[blockIdx.x] = partial[0];
}
"""

WARP_SUM = """
extern "C" __global__ void warp_sum(const unsigned int* values, unsigned int* sums,
                                    unsigned int* odd, int count)
{
    __shared__ unsigned int total;
    if (threadIdx.x == 0 && threadIdx.y == 0)
        total = 0;
    __syncthreads();
    const int i = threadIdx.y * blockDim.x + threadIdx.x;
    const unsigned int value = i < count ? values[i] : 0;
    unsigned int sum = value;
    for (int step = 16; step > 0; step /= 2)
        sum += __shfl_down_sync(0xFFFFFFFFu, sum, step);
    if (i % 32 == 0)
        atomicAdd(&total, sum);
    const unsigned int ballot = __ballot_sync(0xFFFFFFFFu, value & 1);
    if (i % 32 == 0)
        odd[i / 32] = ballot;
    if (i >= count)
        return;
    __syncthreads();
    sums[i] = total + __popc(ballot);
}
"""

MISUSE = """
extern "C" __global__ void misuse(int what, int* out, long long n)
{
    extern __shared__ int words[];
    __shared__ int fixed[8];
    const int i = threadIdx.x;
    if (what == 0)
        out[n] = 1;
    if (what == 1)
        words[n] = 1;
    if (what == 2)
        fixed[n] = 1;
    if (what == 3)
        out[0] = 2147483647 + (int)n;
    if (what == 4)
        reinterpret_cast<uint4*>(out + 1)[0] = make_uint4(1, 2, 3, 4);
    if (what == 5) {
        if (i == 0)
            __syncthreads();
        else
            __syncthreads();
    }
    if (what == 6) {
        if (i == 1)
            __syncwarp();
        else
            __syncthreads();
    }
    if (what == 7)
        __syncwarp(1u);
}
"""


def block_sums(barrier: str, order_seed: int, sanitize: bool) -> bool:
    source = BLOCK_SUM.replace("BARRIER", barrier)
    kernel = HostKernel("block_sum", source=source, sanitize=sanitize)
    values = np.arange(3 * 64, dtype=np.int32) ** 2
    sums = np.zeros(3, np.int64)
    kernel(3, 64, [values, sums], shared_bytes=8 * 64, order_seed=order_seed)
    return np.array_equal(sums, values.reshape(3, 64).sum(1))


@pytest.mark.parametrize("sanitize", [False, True])
def test_barriers_give_one_result_in_every_order(sanitize):
    assert all(block_sums("__syncthreads()", seed, sanitize) for seed in ORDERS)


@pytest.mark.parametrize("sanitize", [False, True])
def test_a_missing_barrier_shows_in_some_order(sanitize):
    assert not all(block_sums("", seed, sanitize) for seed in ORDERS)


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("order_seed", ORDERS)
def test_warp_operations_atomics_and_threads_that_leave_early(sanitize, order_seed):
    kernel = HostKernel("warp_sum", source=WARP_SUM, sanitize=sanitize)
    values = np.arange(7, 7 + 50, dtype=np.uint32)
    sums, odd = np.zeros(50, np.uint32), np.zeros(2, np.uint32)
    kernel(1, (8, 8), [values, sums, odd, np.int32(50)], order_seed=order_seed)
    bits = np.zeros(64, bool)
    bits[:50] = values & 1
    assert odd.tolist() == [int(w) for w in np.packbits(bits, bitorder="little").view(np.uint32)]
    counts = bits.reshape(2, 32).sum(1)
    assert np.array_equal(sums, values.sum() + np.repeat(counts, 32)[:50])


@pytest.mark.parametrize(
    ("what", "n", "message"),
    [
        (0, 16, "heap-buffer-overflow"),
        (0, -1, "heap-buffer-overflow"),
        (1, 4, "heap-buffer-overflow"),
        (2, 8, "out of bounds|global-buffer-overflow"),
        (3, 1, "signed integer overflow"),
        (4, 0, "misaligned address"),
    ],
)
def test_sanitizers_report(what, n, message):
    kernel = HostKernel("misuse", source=MISUSE, sanitize=True)
    with pytest.raises(HostCudaError, match=message):
        kernel(1, 1, [np.int32(what), np.zeros(16, np.int32), np.int64(n)], shared_bytes=16)


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (5, "waits at misuse.cu:19 while .* waits at misuse.cu:21"),
        (6, "waits at"),
        (7, "mask that leaves it out"),
    ],
)
def test_threads_that_do_not_meet_are_reported(what, message, sanitize):
    source = f'#line 1 "misuse.cu"\n{MISUSE}'
    kernel = HostKernel("misuse", source=source, sanitize=sanitize)
    arguments = [np.int32(what), np.zeros(16, np.int32), np.int64(0)]
    with pytest.raises(HostCudaError, match=message):
        kernel(1, 2, arguments, shared_bytes=16)
    kernel(1, 2, [np.int32(8), *arguments[1:]], shared_bytes=16)  # the next launch is sound


def test_shared_memory_starts_as_garbage():
    source = """
    extern "C" __global__ void peek(unsigned char* out)
    {
        extern __shared__ unsigned char dynamic[];
        __shared__ unsigned char fixed[4];
        out[2 * blockIdx.x] = dynamic[3];
        out[2 * blockIdx.x + 1] = fixed[3];
        dynamic[3] = fixed[3] = 0;
    }"""
    out = np.zeros(4, np.uint8)
    HostKernel("peek", source=source)(2, 1, [out], shared_bytes=4)
    assert (out == 0xA5).all()


@pytest.mark.parametrize(
    "arguments",
    [
        [np.zeros(4, np.int64), np.zeros(1, np.int64)],
        [np.zeros(4, np.int32), np.zeros(1, np.uint64)],
        [np.zeros((4, 4), np.int32)[:, 0], np.zeros(1, np.int64)],
        [np.zeros(4, np.int32)],
        [np.int32(4), np.zeros(1, np.int64)],
    ],
)
def test_arguments_of_other_types_are_refused(arguments):
    kernel = HostKernel("block_sum", source=BLOCK_SUM.replace("BARRIER", ""))
    with pytest.raises(TypeError, match="block_sum"):
        kernel(1, 1, arguments)
