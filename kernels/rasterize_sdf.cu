// Objects of a scene into rows of bits. A block makes one slice of an object, a warp a row's word at
// a time. The rules are in rasterize_sdf.py, the twin.
#include "bits.cuh"
#include "scene_field.cuh"

typedef long long Int;

extern "C" __global__ void rasterize_sdf(
    const float* objects,  // (B, N, SCENE_OBJECT_SIZE)
    const float* parts,    // (B, N, P, SDF_ROW_SIZE)
    const float* grids,    // (G, side, side, side)
    const int* origins,    // (B, N, 3)
    int* boxes,            // (B, N, BOX_SIZE), in and out
    int* slices,           // (B, N, S, SLICE_SIZE), out
    Word* rows,            // (B, N, R), out
    int N, int P, int side, int S, Int R)
{
    const int k = blockIdx.x, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const Int object = (Int)blockIdx.z * N + blockIdx.y;
    int* box = boxes + object * BOX_SIZE;
    if (k >= box[BOX_DEPTH])
        return;
    __shared__ int voxels;
    if (threadIdx.x == 0)
        voxels = 0;
    __syncthreads();

    const float* item = objects + object * SCENE_OBJECT_SIZE;
    const float* own_parts = parts + object * P * SDF_ROW_SIZE;
    const int* origin = origins + 3 * object;
    const int height = box[BOX_HEIGHT], width = box[BOX_WIDTH], words = (width + 63) >> 6;
    Word* slice = rows + object * R + (Int)k * words * height;
    for (int i = threadIdx.x / 32; i < words * height; i += warps) {
        const int word = i / height, y = i % height;
        Word bits = 0;
        for (int half = 0; half < 2; ++half) {
            const int x = 64 * word + 32 * half + lane;
            const ObjectPoint p =
                object_point(item, (float)(origin[2] + x), (float)(origin[1] + y),
                             (float)(origin[0] + k));
            const bool inside =
                object_distance(item, own_parts, grids, side, p) <= SURFACE && x < width;
            bits |= (Word)__ballot_sync(0xFFFFFFFFu, inside) << (32 * half);
        }
        if (lane == 0) {
            slice[i] = bits;
            atomicAdd(&voxels, __popcll(bits));
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        int* record = slices + (object * S + k) * SLICE_SIZE;
        record[SLICE_FIRST] = 0;
        record[SLICE_STOP] = height;
        record[SLICE_VOXELS] = voxels;
        atomicAdd(box + BOX_VOXELS, voxels);
    }
}
