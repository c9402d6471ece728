// Quarter and half turns of rasterized objects: a block writes one slice of a turned variant. The
// rules are in turn.py, the twin.
#include "bits.cuh"

typedef long long Int;

struct Voxel { int z, y, x; };

// (depth, height, width) of a turned object of (depth, side, side).
__device__ __forceinline__ Voxel turned_box(int orientation, int depth, int side)
{
    if (orientation <= ORIENTATION_UPSIDE_DOWN)
        return Voxel{depth, side, side};
    if (orientation <= ORIENTATION_SIDE_2)
        return Voxel{side, depth, side};
    return Voxel{side, side, depth};
}

// The voxel of the unturned object that lands on (z, y, x) of the turned one.
__device__ __forceinline__ Voxel source_voxel(int orientation, int z, int y, int x, int depth, int side)
{
    switch (orientation) {
    case ORIENTATION_STAY: return Voxel{z, y, x};
    case ORIENTATION_UPSIDE_DOWN: return Voxel{depth - 1 - z, side - 1 - y, x};
    case ORIENTATION_SIDE_1: return Voxel{depth - 1 - y, z, x};
    case ORIENTATION_SIDE_2: return Voxel{y, side - 1 - z, x};
    case ORIENTATION_SIDE_3: return Voxel{depth - 1 - x, y, z};
    default: return Voxel{x, y, side - 1 - z};
    }
}

// Voxel (z, y, x) of an unturned object as 0 or 1.
__device__ __forceinline__ Word read_bit(const Word* rows, const int* records, int step, Int words,
                                         Int side, Voxel v)
{
    const int* record = records + v.z * step * SLICE_SIZE;
    if (v.y < record[SLICE_FIRST] || v.y >= record[SLICE_STOP])
        return 0;
    return (rows[(v.z * step * words + (v.x >> 6)) * side + v.y] >> (v.x & 63)) & 1;
}

extern "C" __global__ void turn(
    const Int* orientations,      // (K,)
    int* boxes,                   // (B, N * K, BOX_SIZE), in and out
    int* slices,                  // (B, N * K, S, SLICE_SIZE), in and out
    Word* labels, Word* lines,    // (B, N * K, R), in and out
    int K, int V, int S, Int R)
{
    __shared__ int voxels;

    const int k = blockIdx.y % K, z = blockIdx.x;
    if (k == 0)
        return;
    const Int variant = (Int)blockIdx.z * V + blockIdx.y, base = variant - k;
    const int* from = boxes + base * BOX_SIZE;
    const int depth = from[BOX_DEPTH], side = from[BOX_HEIGHT], orientation = (int)orientations[k];
    const Voxel size = turned_box(orientation, depth, side);
    if (z >= size.z)
        return;

    const Int words = (size.x + 63) >> 6, source_words = (side + 63) >> 6;
    if (threadIdx.x == 0)
        voxels = 0;
    __syncthreads();

    int found = 0;
    for (Int i = threadIdx.x; i < words * size.y; i += blockDim.x) {
        const int word = (int)(i / size.y), y = (int)(i % size.y);
        Word label = 0, line = 0;
        for (int bit = 0; bit < min(64, size.x - 64 * word); ++bit) {
            const Voxel v = source_voxel(orientation, z, y, 64 * word + bit, depth, side);
            const int* records = slices + base * S * SLICE_SIZE;
            label |= read_bit(labels + base * R, records, from[BOX_STEP], source_words, side, v) << bit;
            line |= read_bit(lines + base * R, records, from[BOX_STEP], source_words, side, v) << bit;
        }
        labels[variant * R + z * words * size.y + i] = label;
        lines[variant * R + z * words * size.y + i] = line;
        found += __popcll(label);
    }
    atomicAdd(&voxels, found);
    __syncthreads();

    if (threadIdx.x == 0) {
        int* record = slices + (variant * S + z) * SLICE_SIZE;
        record[SLICE_FIRST] = 0;
        record[SLICE_STOP] = size.y;
        record[SLICE_VOXELS] = voxels;
        if (z == 0) {
            int* box = boxes + variant * BOX_SIZE;
            box[BOX_DEPTH] = size.z;
            box[BOX_HEIGHT] = size.y;
            box[BOX_WIDTH] = size.x;
            box[BOX_STEP] = 1;
            box[BOX_VOXELS] = from[BOX_VOXELS];
        }
    }
}
