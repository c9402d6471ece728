// Scenes of signed distance functions into images, masks and counts. The rules are in draw_sdf.py,
// the twin.
//
// Launch: a block of THREADS draws a tile of 8 x 8 x 4 voxels, a warp a patch of 8 x 4 x 1; grid
// (tiles of a volume, B, 1). First the block's threads test each object's bound against each patch,
// a thread a pair. What is left are bits of words, walked in the order of the objects, so that every
// voxel adds its grey levels in that order; a word's rows wait in shared memory.
#include "displacement.cuh"
#include "mapper.cuh"
#include "scene_field.cuh"

typedef long long Int;
typedef unsigned long long Count;

#define THREADS 256
#define TILE_WIDTH 8
#define TILE_HEIGHT 8
#define TILE_DEPTH 4
#define PATCH_HEIGHT 4  // a patch is as wide as a tile
#define PATCH_ROWS (TILE_HEIGHT / PATCH_HEIGHT)
#define PATCHES (PATCH_ROWS * TILE_DEPTH)
#define WORDS_MAX ((OBJECTS_MAX + 31) / 32)

struct Patch { int x, y, z; };

// Rows of one object, in sizes that let the compiler load several numbers at once.
struct __align__(16) Rows {
    float object[(SCENE_OBJECT_SIZE + 3) / 4 * 4];
    float parts[(PARTS_MAX * SDF_ROW_SIZE + 3) / 4 * 4];
};

__device__ __forceinline__ Patch patch_at(int number, int H, int W)
{
    const int across = (W + TILE_WIDTH - 1) / TILE_WIDTH, down = (H + TILE_HEIGHT - 1) / TILE_HEIGHT;
    const int tile = blockIdx.x, row = tile / across;
    return Patch{tile % across * TILE_WIDTH,
                 row % down * TILE_HEIGHT + number % PATCH_ROWS * PATCH_HEIGHT,
                 row / down * TILE_DEPTH + number / PATCH_ROWS};
}

// How far a linear function with these slopes strays within a patch from its value in the middle.
__device__ __forceinline__ float strayed(float along_x, float along_y)
{
    constexpr float reach_x = 0.5f * (TILE_WIDTH - 1), reach_y = 0.5f * (PATCH_HEIGHT - 1);
    return fused(magnitude(along_x), reach_x, magnitude(along_y) * reach_y);
}

// Whether a patch is wholly beyond the bound's quadric: the length is convex, so that it lies
// nowhere below its tangent at the middle.
__device__ __forceinline__ bool beyond_quadric(const float* bound, const float* object, float x,
                                               float y, float z)
{
    const float* weight = bound + SCENE_BOUND_WEIGHT;
    const float* matrix = object + SCENE_OBJECT_MATRIX;
    const ObjectPoint p = object_point(object, x, y, z);
    const float px = weight[0] * p.x, py = weight[1] * p.y, pz = weight[2] * p.z;
    const float square = fused(px, p.x, fused(py, p.y, pz * p.z));
    const float gx = fused(px, matrix[0], fused(py, matrix[4], pz * matrix[8]));
    const float gy = fused(px, matrix[1], fused(py, matrix[5], pz * matrix[9]));
    return square - strayed(gx, gy) > bound[SCENE_BOUND_RADIUS] * root(square);
}

__device__ __forceinline__ bool beyond_planes(const float* bound, float x, float y, float z)
{
    const int planes = (int)bound[SCENE_BOUND_PLANES];
    const float* plane = bound + SCENE_BOUND_PLANE;
    bool beyond = false;
    for (int i = 0; i < planes && !beyond; ++i, plane += 4) {
        const float middle = fused(plane[0], x, fused(plane[1], y, plane[2] * z));
        beyond = middle - strayed(plane[0], plane[1]) > plane[3];
    }
    return beyond;
}

// Set the bits of the objects whose bounds meet a patch, by a whole block.
__device__ __forceinline__ void mark_near(const float* objects, const float* bounds, int N, int D,
                                          int H, int W, unsigned int (*near)[WORDS_MAX])
{
    for (int i = threadIdx.x; i < N * PATCHES; i += THREADS) {
        const int n = i / PATCHES, number = i % PATCHES;
        const Patch patch = patch_at(number, H, W);
        const float x = (float)patch.x + 0.5f * (TILE_WIDTH - 1);
        const float y = (float)patch.y + 0.5f * (PATCH_HEIGHT - 1), z = (float)patch.z;
        const float* bound = bounds + n * SCENE_BOUND_SIZE;
        if (patch.y < H && patch.z < D
            && !beyond_quadric(bound, objects + n * SCENE_OBJECT_SIZE, x, y, z)
            && !beyond_planes(bound, x, y, z))
            atomicOr(&near[number][n / 32], 1u << n % 32);
    }
}

// The rows of a word's objects, by a whole block, once it is done with those before.
__device__ __forceinline__ void stage(unsigned int here, const float* objects, const float* parts,
                                      int P, Rows* rows)
{
    __syncthreads();
    for (; here != 0; here &= here - 1) {
        const int bit = __ffs((int)here) - 1;
        for (int i = threadIdx.x; i < SCENE_OBJECT_SIZE; i += THREADS)
            rows[bit].object[i] = objects[bit * SCENE_OBJECT_SIZE + i];
        for (int i = threadIdx.x; i < P * SDF_ROW_SIZE; i += THREADS)
            rows[bit].parts[i] = parts[bit * P * SDF_ROW_SIZE + i];
    }
    __syncthreads();
}

// What is added to the distance at voxel x, y, z, which is p in the object's frame.
__device__ __forceinline__ float displacement_of(const float* object, const float* displacements,
                                                 const float* tables, int stride, int object_frame,
                                                 int x, int y, int z, ObjectPoint p)
{
    const int j = (int)object[SCENE_OBJECT_DISPLACEMENT];
    const float* row = displacements + j * DISPLACEMENT_ROW_SIZE;
    if (object_frame || row[DISPLACEMENT_ROW_FAMILY] == DISPLACEMENT_FAMILY_NOISE)
        return displacement_at(row, (int)object[SCENE_OBJECT_KEY], p.x, p.y, p.z);
    const int axis = DISPLACEMENT_TABLE_SIZE * stride;
    const float* at_z = tables + 3 * j * axis + VOLUME_AXIS_Z * axis + z;
    const float* at_y = tables + 3 * j * axis + VOLUME_AXIS_Y * axis + y;
    const float* at_x = tables + 3 * j * axis + VOLUME_AXIS_X * axis + x;
    const int first = DISPLACEMENT_TABLE_FIRST * stride, second = DISPLACEMENT_TABLE_SECOND * stride;
    return displaced(row_terms(row, at_y[first], at_y[second], at_z[first], at_z[second]),
                     at_x[first], at_x[second]);
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) draw_sdf(
    const float* __restrict__ objects,        // (B, N, SCENE_OBJECT_SIZE)
    const float* __restrict__ parts,          // (B, N, P, SDF_ROW_SIZE)
    const float* __restrict__ bounds,         // (B, N, SCENE_BOUND_SIZE)
    const float* __restrict__ displacements,  // (J, DISPLACEMENT_ROW_SIZE)
    const float* __restrict__ tables,         // (J, 3, DISPLACEMENT_TABLE_SIZE, stride)
    const float* __restrict__ mappers,        // (K, MAPPER_ROW_SIZE)
    const float* __restrict__ texture,        // (NOISE_ROW_SIZE,)
    int object_frame,
    const float* __restrict__ grids,          // (G, side, side, side)
    unsigned char* image,                     // (B, D, H, W), out
    unsigned int* masks,                      // (B, words, D, H, W), out
    Int* counts,                              // (B, N), added to
    Int* evaluations,                         // (B,), added to: voxels of patches that a bound left
    int N, int P, int stride, int side, int D, int H, int W)
{
    __shared__ unsigned int near[PATCHES][WORDS_MAX];  // bit n % 32 of word n / 32: object n
    __shared__ unsigned int found[OBJECTS_MAX], evaluated;
    __shared__ Rows rows[32];

    const int b = blockIdx.y, thread = threadIdx.x, lane = thread % 32, words = (N + 31) / 32;
    const bool textured = texture[NOISE_ROW_AMPLITUDE] != 0.0f;
    objects += (Int)b * N * SCENE_OBJECT_SIZE;
    parts += (Int)b * N * P * SDF_ROW_SIZE;
    bounds += (Int)b * N * SCENE_BOUND_SIZE;
    for (int i = thread; i < PATCHES * WORDS_MAX; i += THREADS)
        near[i / WORDS_MAX][i % WORDS_MAX] = 0;
    for (int n = thread; n < N; n += THREADS)
        found[n] = 0;
    if (thread == 0)
        evaluated = 0;
    __syncthreads();

    mark_near(objects, bounds, N, D, H, W, near);
    __syncthreads();

    const Patch patch = patch_at(thread / 32, H, W);
    const int x = min(patch.x + lane % TILE_WIDTH, W - 1);
    const int y = min(patch.y + lane / TILE_WIDTH, H - 1), z = min(patch.z, D - 1);
    const bool own =
        x == patch.x + lane % TILE_WIDTH && y == patch.y + lane / TILE_WIDTH && z == patch.z;
    const Int voxels = (Int)D * H * W, at = ((Int)z * H + y) * W + x;
    float total = 0.0f;
    int drawn = 0;
    for (int word = 0; word < words; ++word) {
        unsigned int here = 0;
        for (int number = 0; number < PATCHES; ++number)
            here |= near[number][word];
        stage(here, objects + 32 * word * SCENE_OBJECT_SIZE, parts + 32 * word * P * SDF_ROW_SIZE, P,
              rows);
        unsigned int mask = 0;
        for (unsigned int left = near[thread / 32][word]; left != 0; left &= left - 1) {
            const int bit = __ffs((int)left) - 1;
            const float* object = rows[bit].object;
            const int key = (int)object[SCENE_OBJECT_KEY];
            const ObjectPoint p = object_point(object, (float)x, (float)y, (float)z);
            const float s =
                object_distance(object, rows[bit].parts, grids, side, p)
                + displacement_of(object, displacements, tables, stride, object_frame, x, y, z, p);
            const bool inside = own && s <= SURFACE;
            const unsigned int set = __ballot_sync(~0u, inside);
            if (lane == 0)
                atomicAdd(&found[32 * word + bit], (unsigned int)__popc(set));
            mask |= (unsigned int)inside << bit;
            float grey = mapped(mappers + (int)object[SCENE_OBJECT_MAPPER] * MAPPER_ROW_SIZE, s);
            if (textured)
                grey = grey * (1.0f + gradient_noise(texture, key, p.x, p.y, p.z));
            total = total + grey;
            ++drawn;
        }
        if (own)
            masks[((Int)b * words + word) * voxels + at] = mask;
    }
    if (own)
        image[b * voxels + at] = (unsigned char)clamped(total, 0.0f, PEAK);
    const unsigned int owned = __ballot_sync(~0u, own);
    if (lane == 0)
        atomicAdd(&evaluated, (unsigned int)(drawn * __popc(owned)));
    __syncthreads();

    for (int n = thread; n < N; n += THREADS)
        if (found[n] != 0)
            atomicAdd(reinterpret_cast<Count*>(counts) + (Int)b * N + n, (Count)found[n]);
    if (thread == 0)
        atomicAdd(reinterpret_cast<Count*>(evaluations) + b, (Count)evaluated);
}
