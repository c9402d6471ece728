// Walls of onions: a drawn share of the least distance to the profile over all voxels of the volume.
// The rules are in hollow_sdf.py, the twin, which need not search in the same way, as a minimum does
// not depend on it.
//
// Launch: a block of up to THREADS_MAX threads, in whole warps, a part; grid (N * P, B, 1). Parts that
// are no onions return at once.
//
// The volume is cut into cells of 16^3 voxels, these into cells of 4^3. A warp bounds 32 cells at
// once from below and descends into those that may hold a lesser distance than the best voxel's.
#include "scene.cuh"
#include "scene_field.cuh"

typedef long long Int;

#define THREADS_MAX 512
#define FAN 4  // cells of a cell along each axis
#define FINE FAN
#define COARSE (FAN * FAN)

constexpr float NOWHERE = 1e30f;
constexpr float SLACK = 0x1p-6f;   // by how many voxels cells are widened, and
constexpr float SHARE = 0x1p-18f;  // parts of the numbers behind a distance, against rounding

struct Place { int x, y, z; };

struct Onion {
    const float *object, *row;
    bool second, slab;
    float across, along;  // how far a voxel's neighbour strays from the axis and along it, at most
    float radius;         // of the profile
    float lean;           // how much a distance may fall as the scale falls by 1
    Place shape;
};

// Floats as integers of the same order.
__device__ __forceinline__ int ordered(float value)
{
    const int bits = __float_as_int(value);
    return bits < 0 ? bits ^ 0x7FFFFFFF : bits;
}

__device__ __forceinline__ float number_of(int order)
{
    return __int_as_float(order < 0 ? order ^ 0x7FFFFFFF : order);
}

__device__ __forceinline__ float across_length(float x, float y)
{
    return root(fused(x, x, y * y));
}

// A distance to the profile falls as the scale grows if the origin is to one side of all edges, which
// then see it from within: of the scaled profile's nearest point, the outward normal points away
// from the origin. Else it changes by the radius at most. A star needs no look at its edges: as its
// bluntness is 0 at least, the origin is to the inner side of them all.
__device__ __forceinline__ float lean_of(const float* row, float radius)
{
    if ((int)row[SDF_ROW_PROFILE] != SDF_PROFILE_POLYGON)
        return 0.0f;
    bool left = false, right = false;
    for (int edge = 0; edge < (int)row[SDF_ROW_EDGES]; ++edge) {
        const float across = row[SDF_ROW_EDGE + SDF_EDGE_SIZE * edge + SDF_EDGE_ACROSS];
        left |= across > 0.0f;
        right |= across < 0.0f;
    }
    return left && right ? radius : 0.0f;
}

__device__ __forceinline__ Onion onion_of(const float* object, const float* row, bool second,
                                          bool slab, Place shape)
{
    const float* matrix = object + SCENE_OBJECT_MATRIX;
    float across = 0.0f;
    for (int corner = 0; corner < 4; ++corner) {
        const float sy = corner & 1 ? -1.0f : 1.0f, sz = corner & 2 ? -1.0f : 1.0f;
        across = most(across, across_length(matrix[0] + sy * matrix[1] + sz * matrix[2],
                                            matrix[4] + sy * matrix[5] + sz * matrix[6]));
    }
    const float along = magnitude(matrix[8]) + magnitude(matrix[9]) + magnitude(matrix[10]);
    const float radius = profile_radius(row);
    return Onion{object, row, second, slab, across, along, radius, lean_of(row, radius), shape};
}

__device__ __forceinline__ ObjectPoint point_of(const Onion& onion, Place at)
{
    const ObjectPoint p = object_point(onion.object, (float)at.x, (float)at.y, (float)at.z);
    return onion.second ? shifted(onion.object, p) : p;
}

__device__ __forceinline__ bool holds(Place shape, Place at)
{
    return at.x < shape.x && at.y < shape.y && at.z < shape.z;
}

// Of a voxel, as `prism` has it before its wall.
__device__ __forceinline__ float value_at(const Onion& onion, Place at)
{
    const ObjectPoint p = point_of(onion, at);
    if (onion.slab && magnitude(p.z) > onion.row[SDF_ROW_HALF])
        return NOWHERE;
    return profile(onion.row, p.x, p.y, taper_scale(onion.row, p.z));
}

// The middle voxel of a cell.
__device__ __forceinline__ Place middle_of(const Onion& onion, Place cell, int size)
{
    const Place last = onion.shape;
    return Place{min(cell.x + size / 2, last.x - 1), min(cell.y + size / 2, last.y - 1),
                 min(cell.z + size / 2, last.z - 1)};
}

// What no voxel of a cell is below.
__device__ __forceinline__ float bound_of(const Onion& onion, Place cell, int size)
{
    const float* row = onion.row;
    const ObjectPoint p = point_of(onion, middle_of(onion, cell, size));
    const float reach = 0.5f * (float)size + SLACK, along = reach * onion.along;
    if (onion.slab && magnitude(p.z) - along > row[SDF_ROW_HALF])
        return NOWHERE;
    const float knot = row[SDF_ROW_KNOT];
    const float first = taper_scale(row, p.z - along), last = taper_scale(row, p.z + along);
    const float inner = magnitude(knot - p.z) < along ? row[SDF_ROW_KNOT_SCALE] : first;
    const float high = most(most(first, last), inner), low = least(least(first, last), inner);
    const float error = SHARE * (magnitude(p.x) + magnitude(p.y) + onion.radius * high);
    return profile(row, p.x, p.y, high) - reach * onion.across - onion.lean * (high - low) - error;
}

// Part i of FAN^3 of a cell, of some size.
__device__ __forceinline__ Place part_of(Place cell, int i, int size)
{
    return Place{cell.x + i % FAN * size, cell.y + i / FAN % FAN * size, cell.z + i / (FAN * FAN) * size};
}

// Coarse cell i; one outside of the volume where there is none.
__device__ __forceinline__ Place coarse_cell(Place shape, int i)
{
    const int across = (shape.x + COARSE - 1) / COARSE, down = (shape.y + COARSE - 1) / COARSE;
    return Place{i % across * COARSE, i / across % down * COARSE, i / across / down * COARSE};
}

__device__ __forceinline__ bool may_improve(const Onion& onion, Place cell, int size,
                                            const volatile int* best)
{
    return holds(onion.shape, cell) && bound_of(onion, cell, size) <= number_of(*best);
}

__device__ __forceinline__ void improve(const Onion& onion, Place at, int* best)
{
    const int found = ordered(value_at(onion, at));
    if (found < *const_cast<const volatile int*>(best))
        atomicMin(best, found);
}

// A warp's descent into a fine cell.
__device__ __forceinline__ void search_fine(const Onion& onion, Place cell, int lane, int* best)
{
    for (int i = lane; i < FAN * FAN * FAN; i += 32) {
        const Place at = part_of(cell, i, 1);
        if (holds(onion.shape, at))
            improve(onion, at, best);
    }
}

// A warp's descent into a coarse cell: to its fine cells' middles, or to all of their voxels.
__device__ __forceinline__ void search_coarse(const Onion& onion, Place cell, bool voxels, int lane,
                                              int* best)
{
    for (int first = 0; first < FAN * FAN * FAN; first += 32) {
        const Place own = part_of(cell, first + lane, FINE);
        const bool promising = may_improve(onion, own, FINE, best);
        unsigned int left = __ballot_sync(~0u, promising);
        if (!voxels && promising)
            improve(onion, middle_of(onion, own, FINE), best);
        for (; voxels && left != 0; left &= left - 1)
            search_fine(onion, part_of(cell, first + __ffs((int)left) - 1, FINE), lane, best);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS_MAX) hollow_sdf(
    const float* __restrict__ objects,  // (B, N, SCENE_OBJECT_SIZE)
    float* parts,                       // (B, N, P, SDF_ROW_SIZE), in and out: SDF_ROW_WALL
    int slab,
    int N, int P, int D, int H, int W)
{
    __shared__ int best;

    const int thread = threadIdx.x, threads = blockDim.x, lane = thread % 32;
    const int warp = thread / 32, warps = threads / 32;
    const int n = blockIdx.x / P, part = blockIdx.x % P;
    const Int item = (Int)blockIdx.y * N + n;
    const float* object = objects + item * SCENE_OBJECT_SIZE;
    float* row = parts + (item * P + part) * SDF_ROW_SIZE;
    if (part >= (int)object[SCENE_OBJECT_PARTS] || (int)row[SDF_ROW_LIFT] != SDF_LIFT_PRISM
        || row[SDF_ROW_SIGN] > 0.0f)
        return;

    const Onion onion = onion_of(object, row, part > 0, slab != 0, Place{W, H, D});
    const int cells = (W + COARSE - 1) / COARSE * ((H + COARSE - 1) / COARSE)
                      * ((D + COARSE - 1) / COARSE);
    if (thread == 0)
        best = ordered(NOWHERE);
    __syncthreads();
    for (int i = thread; i < cells; i += threads)
        improve(onion, middle_of(onion, coarse_cell(onion.shape, i), COARSE), &best);
    __syncthreads();

    // Neighbours go to different warps, as those next to the best are all descended into.
    for (int pass = 0; pass < 2; ++pass) {
        for (int first = warp; first < cells; first += threads) {
            const Place own = coarse_cell(onion.shape, first + warps * lane);
            unsigned int left = __ballot_sync(~0u, may_improve(onion, own, COARSE, &best));
            for (; left != 0; left &= left - 1)
                search_coarse(onion, coarse_cell(onion.shape, first + warps * (__ffs((int)left) - 1)),
                              pass == 1, lane, &best);
        }
        __syncthreads();
    }

    if (thread == 0)
        row[SDF_ROW_WALL] =
            number_of(best) < NOWHERE ? row[SDF_ROW_WALL] * magnitude(number_of(best)) : 0.0f;
}
