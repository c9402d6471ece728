// Inside masks into label maps, the smallest object on top. The rules are in label_by_volume.py, the
// twin.
//
// Launch: a block of THREADS takes BLOCK_VOXELS voxels; grid (blocks of a volume, B, 1).
#include "real.cuh"

typedef long long Int;

#define THREADS 256
#define BLOCK_VOXELS 4096

// Place of object n in the painting order: largest first; of equals, the later one first.
__device__ __forceinline__ int rank_by_count(const Int* counts, int n, int N)
{
    int rank = 0;
    for (int other = 0; other < N; ++other)
        rank += counts[other] > counts[n] || (counts[other] == counts[n] && other > n);
    return rank;
}

__device__ __forceinline__ void write_place(int* placed, const float* object, int n, Int count)
{
    const float* centre = object + SCENE_OBJECT_CENTRE;
    placed[PLACED_OBJECT] = placed[PLACED_VARIANT] = n;
    placed[PLACED_X] = (int)floor_of(centre[0]);
    placed[PLACED_Y] = (int)floor_of(centre[1]);
    placed[PLACED_Z] = (int)floor_of(centre[2]);
    placed[PLACED_ACCEPTED] = count > 0;
    placed[PLACED_PROPOSALS] = 1;
}

extern "C" __global__ void __launch_bounds__(THREADS) label_by_volume(
    const float* __restrict__ objects,       // (B, N, SCENE_OBJECT_SIZE)
    const unsigned int* __restrict__ masks,  // (B, words, voxels)
    const Int* __restrict__ counts,          // (B, N)
    const Int* __restrict__ tasks,           // (T,)
    LABEL_TYPE* label,                       // (B, T, voxels), out
    int* placed,                             // (B, N, PLACED_SIZE), out
    int N, int T, Int voxels)
{
    __shared__ Int volumes[OBJECTS_MAX];
    __shared__ int ranks[OBJECTS_MAX], order[OBJECTS_MAX];

    const int b = blockIdx.y, thread = threadIdx.x, words = (N + 31) / 32;
    objects += (Int)b * N * SCENE_OBJECT_SIZE;
    for (int n = thread; n < N; n += THREADS)
        volumes[n] = counts[(Int)b * N + n];
    __syncthreads();
    for (int n = thread; n < N; n += THREADS) {
        ranks[n] = rank_by_count(volumes, n, N);
        order[ranks[n]] = n;
        if (blockIdx.x == 0)
            write_place(placed + ((Int)b * N + ranks[n]) * PLACED_SIZE, objects + n * SCENE_OBJECT_SIZE,
                        n, volumes[n]);
    }
    __syncthreads();

    const Int first = (Int)blockIdx.x * BLOCK_VOXELS, stop = min(first + BLOCK_VOXELS, voxels);
    for (Int at = first + thread; at < stop; at += THREADS) {
        int top = -1;
        for (int word = 0; word < words; ++word) {
            unsigned int left = masks[((Int)b * words + word) * voxels + at];
            for (; left != 0; left &= left - 1)
                top = max(top, ranks[32 * word + __ffs((int)left) - 1]);
        }
        for (int task = 0; task < T; ++task) {
            int value = 0;
            if (top >= 0)
                value = (int)objects[order[top] * SCENE_OBJECT_SIZE + tasks[task]] + 1;
            label[((Int)b * T + task) * voxels + at] = (LABEL_TYPE)value;
        }
    }
}
