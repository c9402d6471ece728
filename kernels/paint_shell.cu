// Placed objects and their shells into label map and image. A block paints one slice of a volume, a
// thread sixteen voxels of a row at a time. IMAGE_TYPE and LABEL_TYPE are unsigned integers of the
// size of the outputs' elements. The rules are in paint_shell.py, the twin.
//
// Launch: grid (D, B), any block. Offsets are those of one volume.
#include "bits.cuh"

typedef long long Int;

#define RUN 16

// Bits x .. x + 15 of a row, zero outside of it.
__device__ __forceinline__ unsigned int window(const Word* rows, int words, int height, int x)
{
    const int word = x >> 6, shift = x & 63;
    const Word low = word >= 0 && word < words ? rows[word * height] : 0;
    const Word high = shift > 48 && word + 1 >= 0 && word + 1 < words ? rows[(word + 1) * height] : 0;
    return (unsigned int)shifted_pair(low, high, shift) & 0xFFFFu;
}

// An object in a slice: `start` is the first word of its rows there.
struct Section { Int start; int height, words, y, x, value, label; };

// Elements of a run, as many at once as `aligned` tells.
template <typename T> __device__ __forceinline__ void write(T* out, const unsigned int (&run)[RUN],
                                                            int count, bool aligned)
{
    constexpr int PER = 4 / sizeof(T);
    if (aligned) {
#pragma unroll
        for (int i = 0; i < RUN / PER; ++i) {
            unsigned int packed = 0;
#pragma unroll
            for (int k = 0; k < PER; ++k)
                packed |= run[i * PER + k] << (8 * (int)sizeof(T) * k);
            reinterpret_cast<unsigned int*>(out)[i] = packed;
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < RUN; ++i)
        if (i < count)
            out[i] = (T)run[i];
}

extern "C" __global__ void paint_shell(
    const int* __restrict__ placed,         // (B, N, PLACED_SIZE)
    const int* __restrict__ poses,          // (B, N, POSE_SIZE)
    const Int* __restrict__ row_offsets,    // (N,)
    const Word* __restrict__ rows,          // (B, R)
    const Word* __restrict__ shells,        // (B, P, R)
    const int* __restrict__ weights,        // (P,)
    const IMAGE_TYPE* __restrict__ levels,  // (256,)
    int keep,
    IMAGE_TYPE* image,                      // (B, D, H, W), out
    LABEL_TYPE* label,                      // (B, D, H, W), out
    int N, int P, Int R, int D, int H, int W)
{
    __shared__ bool present[STRUCTURES_MAX];
    __shared__ Section sections[STRUCTURES_MAX];

    const Int b = blockIdx.y;
    const int slice = blockIdx.x, thread = threadIdx.x, threads = blockDim.x;
    for (int rank = thread; rank < N; rank += threads) {
        const int* place = placed + (b * N + rank) * PLACED_SIZE;
        const int* pose = poses + (b * N + place[PLACED_OBJECT]) * POSE_SIZE;
        const int k = slice - place[PLACED_Z] - pose[POSE_BOX];
        present[rank] = place[PLACED_ACCEPTED] == FATE_PLACED && k >= 0 && k < pose[POSE_DEPTH];
    }
    __syncthreads();

    int count = 0;
    for (int rank = 0; rank < N; ++rank) {
        if (present[rank] && rank % threads == thread) {
            const int* place = placed + (b * N + rank) * PLACED_SIZE;
            const int n = place[PLACED_OBJECT];
            const int* pose = poses + (b * N + n) * POSE_SIZE;
            const int k = slice - place[PLACED_Z] - pose[POSE_BOX];
            const int height = pose[POSE_HEIGHT], words = (pose[POSE_WIDTH] + 63) >> 6;
            sections[count] = Section{row_offsets[n] + (Int)k * words * height, height, words,
                                      place[PLACED_Y] + pose[POSE_BOX + 1],
                                      place[PLACED_X] + pose[POSE_BOX + 2], pose[POSE_VALUE], n + 1};
        }
        count += present[rank];
    }
    __syncthreads();

    rows += b * R;
    shells += b * P * R;
    const unsigned int dark = levels[0];
    const int runs = (W + RUN - 1) / RUN;
    const bool aligned = W % RUN == 0 && (((size_t)image | (size_t)label) & 3) == 0;
    for (int i = thread; i < runs * H; i += threads) {
        const int y = i / runs, x = i % runs * RUN;
        unsigned int greys[RUN], labels[RUN] = {};
#pragma unroll
        for (int j = 0; j < RUN; ++j)
            greys[j] = dark;
        for (int s = 0; s < count; ++s) {
            const Section& section = sections[s];
            const int row = y - section.y, column = x - section.x;
            if (row < 0 || row >= section.height || column <= -RUN || column >= 64 * section.words)
                continue;
            const Int at = section.start + row;
            const unsigned int own = window(rows + at, section.words, section.height, column);
#pragma unroll
            for (int j = 0; j < RUN; ++j)
                if (own >> j & 1u) {
                    labels[j] = (unsigned int)section.label;
                    greys[j] = keep ? greys[j] : dark;
                }
            for (int p = 0; p < P; ++p) {
                const unsigned int line = window(shells + p * R + at, section.words, section.height, column);
                const Int level = ((Int)section.value * weights[p] + 128) >> 8;
                const unsigned int grey = levels[level < 255 ? level : 255];
#pragma unroll
                for (int j = 0; j < RUN; ++j)
                    if (line >> j & 1u)
                        greys[j] = grey > greys[j] ? grey : greys[j];
            }
        }
        const Int at = ((b * D + slice) * H + y) * W + x;
        write<IMAGE_TYPE>(image + at, greys, W - x, aligned);
        write<LABEL_TYPE>(label + at, labels, W - x, aligned);
    }
}
