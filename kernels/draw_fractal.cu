// The voxels that points of fractals fall into. The rules are in draw_fractal.py, the twin.
//
// Launch: a thread takes a chain; grid (blocks of a volume's chains, B, 1). Bits are set and counted in
// whatever order: each voxel's first visit is counted, whichever chain's it is.
#include "fractal.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr int STEPS = FRACTAL_WARM + FRACTAL_POINTS;
constexpr Int REACH = (Int)FRACTAL_REACH_VOXELS << FRACTAL_VOXEL_BITS;

__device__ __forceinline__ bool within(const Place& p)
{
    return -REACH < p.x && p.x < REACH && -REACH < p.y && p.y < REACH && -REACH < p.z && p.z < REACH;
}

extern "C" __global__ void draw_fractal(
    const int* __restrict__ rows,             // (B, N, FRACTAL_PARTS, FRACTAL_ROW_SIZE)
    const unsigned char* __restrict__ slots,  // (C, FRACTAL_SLOTS)
    int chains, int mixed, unsigned long long seed,
    const unsigned long long* __restrict__ indices,  // (B,)
    unsigned int* masks,                      // (B, words, D, H, W), 0 before, out
    Int* counts,                              // (B, N), 0 before, out
    int N, int D, int H, int W)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x, b = blockIdx.y;
    if (thread >= (Int)N * chains)
        return;
    const int n = (int)(thread / chains), chain = (int)(thread % chains);
    const int* row = rows + ((b * N + n) * FRACTAL_PARTS + (chain < mixed)) * FRACTAL_ROW_SIZE;
    const unsigned char* choice = slots + (Int)row[FRACTAL_ROW_CLASS] * FRACTAL_SLOTS;
    const int* centre = row + FRACTAL_ROW_CENTRE;
    const Long draw = ((Long)n << FRACTAL_DRAW_BITS) + FRACTAL_CHAIN_DRAW
                      + (Long)chain * FRACTAL_CHAIN_DRAWS;
    const Int voxels = (Int)D * H * W;
    unsigned int* words = masks + (b * ((N + 31) / 32) + n / 32) * voxels;
    const unsigned int bit = 1u << (n % 32);

    Place at{0, 0, 0};
    Words random{0, 0, 0, 0};
    unsigned int count = 0;
#pragma unroll 1
    for (int step = 0; step < STEPS; ++step) {
        if ((step & 15) == 0)
            random = random_words(seed, indices[b], STREAM_FRACTAL, draw + (step >> 4));
        at = stepped(row + FRACTAL_COEFFICIENTS * choice[chosen_byte(random, step)], REACH, at);
        if (step < FRACTAL_WARM || !within(at))
            continue;
        const Int x = (centre[0] + at.x) >> FRACTAL_VOXEL_BITS;
        const Int y = (centre[1] + at.y) >> FRACTAL_VOXEL_BITS;
        const Int z = (centre[2] + at.z) >> FRACTAL_VOXEL_BITS;
        if (x < 0 || x >= W || y < 0 || y >= H || z < 0 || z >= D)
            continue;
        count += (atomicOr(words + (z * H + y) * W + x, bit) & bit) == 0;
    }
    if (count > 0)
        atomicAdd((Long*)(counts + b * N + n), (Long)count);
}
