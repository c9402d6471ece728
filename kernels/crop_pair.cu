// A random crop of one of several images with label maps. IMAGE_TYPE and LABEL_TYPE are unsigned
// integers of the size of the arrays' elements. The rules are in crop_pair.py, the twin.
//
// Launch: a block of THREADS takes BLOCK_VOXELS voxels; grid (blocks of a volume, B, 1).
#include "philox.cuh"

typedef unsigned long long Long;
typedef long long Int;

#define THREADS 256
#define BLOCK_VOXELS 4096

__device__ __forceinline__ int first_voxel(unsigned int word, int side, int length)
{
    return side >= length ? bounded(word, 0, side - length) : -((length - side) / 2);
}

extern "C" __global__ void __launch_bounds__(THREADS) crop_pair(
    const int* __restrict__ sides,          // (S, 3)
    const Int* __restrict__ starts,         // (S,)
    const IMAGE_TYPE* __restrict__ images,  // (C * V,)
    const LABEL_TYPE* __restrict__ labels,  // (V,)
    Long seed,
    const Long* __restrict__ indices,       // (B,)
    IMAGE_TYPE* image,                      // (B, C, D, H, W), out
    LABEL_TYPE* label,                      // (B, 1, D, H, W), out
    int* placed,                            // (B, 1, PLACED_SIZE), out
    int S, int C, int D, int H, int W)
{
    const Int b = blockIdx.y, voxels = (Int)D * H * W;
    const Words words = random_words(seed, indices[b], STREAM_PAIRS, 0);
    const int chosen = bounded(words.x, 0, S - 1);
    const int far = sides[3 * chosen], high = sides[3 * chosen + 1], across = sides[3 * chosen + 2];
    const int z0 = first_voxel(words.y, far, D), y0 = first_voxel(words.z, high, H);
    const int x0 = first_voxel(words.w, across, W);
    const Int own = (Int)far * high * across;
    images += C * starts[chosen];
    labels += starts[chosen];
    image += b * C * voxels;
    label += b * voxels;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        int* row = placed + b * PLACED_SIZE;
        row[PLACED_OBJECT] = 0;
        row[PLACED_VARIANT] = chosen;
        row[PLACED_Z] = z0;
        row[PLACED_Y] = y0;
        row[PLACED_X] = x0;
        row[PLACED_ACCEPTED] = 1;
        row[PLACED_PROPOSALS] = 1;
    }
    const Int first = (Int)blockIdx.x * BLOCK_VOXELS, stop = min(first + BLOCK_VOXELS, voxels);
    for (Int i = first + threadIdx.x; i < stop; i += THREADS) {
        const int x = (int)(i % W) + x0, y = (int)(i / W % H) + y0, z = (int)(i / W / H) + z0;
        const bool inside = 0 <= z && z < far && 0 <= y && y < high && 0 <= x && x < across;
        const Int at = ((Int)z * high + y) * across + x;
        for (int c = 0; c < C; ++c)
            image[c * voxels + i] = inside ? images[c * own + at] : (IMAGE_TYPE)0;
        label[i] = inside ? labels[at] : (LABEL_TYPE)0;
    }
}
