// Objects of a shape bank into rows of bits, inside and shells. The rules are in rasterize_bank.py,
// the twin.
//
// Launch: grid (G, N, B), block THREADS; an object's word columns (sixteen tiles beside each other)
// are shared out among the warps of G blocks. A warp tests a tile a lane; then all its lanes evaluate
// each tile that is open, two voxels a lane. Lane 4 z + y holds the words of row (z, y) of the tiles.
// Offsets are those of one volume; T and R are the sizes of a volume's lattice and rows.
#include "bits.cuh"
#include "source_distance.cuh"

typedef long long Int;

#define THREADS 128
#define ALL 0xFFFFFFFFu
#define PER_WORD (64 / TILE)
#define ROWS (TILE * TILE)
#define TO_SHARE 10
#define FARTHEST (1 << 14)
#define SLACK 4
#define VARIANCE (3 * 64 * 64 / 2)

// Of a position along one axis within a tile, 2^-18 source voxel.
struct Coefficients { int one, x, y, xy, z, xz, yz, xyz; };

// How far a tile's middle is from its faces, 1/1024 source voxel, and what mixed terms add.
struct Slopes { int x, y, z, more; };

struct Tile { Coefficients z, y, x; };

__device__ __forceinline__ Coefficients coefficients_at(const int* at, int row, int layer)
{
    const int x0 = at[1] - at[0], x1 = at[row + 1] - at[row];
    const int y0 = at[row] - at[0], z0 = at[layer] - at[0];
    const int xz = at[layer + 1] - at[layer] - x0, yz = at[layer + row] - at[layer] - y0;
    const int xyz = at[layer + row + 1] - at[layer + row] - x1 - xz;
    return Coefficients{at[0] * 64 + (1 << (TO_SHARE - 1)), x0 * 16, y0 * 16, (x1 - x0) * 4,
                        z0 * 16, xz * 4, yz * 4, xyz};
}

// A lane's coefficients in all lanes.
__device__ __forceinline__ Coefficients taken(const Coefficients& c, int lane)
{
    return Coefficients{__shfl_sync(ALL, c.one, lane), __shfl_sync(ALL, c.x, lane),
                        __shfl_sync(ALL, c.y, lane), __shfl_sync(ALL, c.xy, lane),
                        __shfl_sync(ALL, c.z, lane), __shfl_sync(ALL, c.xz, lane),
                        __shfl_sync(ALL, c.yz, lane), __shfl_sync(ALL, c.xyz, lane)};
}

__device__ __forceinline__ int position(const Coefficients& c, int z, int y, int x)
{
    const int xy = x * y;
    const int first = x * c.x + y * c.y + xy * c.xy + c.one;
    return (first + z * (x * c.xz + y * c.yz + xy * c.xyz + c.z)) >> TO_SHARE;
}

__device__ __forceinline__ int middle(const Coefficients& c)
{
    return (c.one + (((c.x + c.y + c.z) * 3) >> 1) + (((c.xy + c.xz + c.yz) * 9) >> 2)
            + ((c.xyz * 27) >> 3)) >> TO_SHARE;
}

__device__ __forceinline__ int sized(int value) { return value > 0 ? value : -value; }

__device__ __forceinline__ Slopes slopes(const Coefficients& c)
{
    const int last = (c.xyz * 27) >> 2;
    const int x = c.x * 3 + (((c.xy + c.xz) * 9) >> 1) + last;
    const int y = c.y * 3 + (((c.xy + c.yz) * 9) >> 1) + last;
    const int z = c.z * 3 + (((c.xz + c.yz) * 9) >> 1) + last;
    const int more = (sized(c.xy) + sized(c.xz) + sized(c.yz)) * 9 + sized(c.xyz) * 54;
    return Slopes{x >> 9, y >> 9, z >> 9, (more >> 10) + 4};
}

__device__ __forceinline__ int squared_reach(int along, int more)
{
    const int reach = ((sized(along) + more) >> 4) + 1;
    const int least = reach < FARTHEST ? reach : FARTHEST;
    return least * least;
}

__device__ __forceinline__ int corner_reach(const Slopes& s, int y, int z)
{
    return squared_reach(s.x + y * s.y + z * s.z, s.more);
}

// Square of how far a tile's farthest voxel is from its middle, and the variance of samples.
__device__ __forceinline__ int tile_reach(const Tile& tile)
{
    const Slopes a = slopes(tile.z), b = slopes(tile.y), c = slopes(tile.x);
    int reach = 0;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
        const int y = corner & 2 ? -1 : 1, z = corner & 1 ? -1 : 1;
        const int found = VARIANCE + corner_reach(a, y, z) + corner_reach(b, y, z)
                          + corner_reach(c, y, z);
        reach = found > reach ? found : reach;
    }
    return reach;
}

__device__ __forceinline__ bool beyond(int gap, int per_slope, int reach)
{
    const int most = ((gap > 0 ? gap : 0) * per_slope) >> 8;
    return reach < most * most;
}

// Sixteen bits, each four times.
__device__ __forceinline__ Word spread_bits(unsigned int bits)
{
    Word word = bits;
    word = (word | (word << 24)) & 0x000000FF000000FFull;
    word = (word | (word << 12)) & 0x000F000F000F000Full;
    word = (word | (word << 6)) & 0x0303030303030303ull;
    word = (word | (word << 3)) & 0x1111111111111111ull;
    return word * 15;
}

// The bits of a lane's row, of what `near` and `far` say of the voxels of both halves of a tile.
__device__ __forceinline__ Word row_bits(bool near, bool far, int lane, int tile)
{
    const unsigned int low = __ballot_sync(ALL, near), high = __ballot_sync(ALL, far);
    const unsigned int half = lane & 8 ? high : low;
    return (Word)((half >> (4 * (lane & 7))) & 15u) << (4 * tile);
}

struct Grid {
    const Sample* samples;
    int height, width, last_z, last_y, last_x;
};

__device__ __forceinline__ int distance_in(const Grid& grid, int z, int y, int x)
{
    return source_distance(grid.samples, grid.height, grid.width, grid.last_z, grid.last_y, grid.last_x,
                           z, y, x);
}

__device__ __forceinline__ Grid grid_of(const int* shape, const Sample* distances)
{
    return Grid{distances + shape[BANK_SHAPE_OFFSET], shape[BANK_SHAPE_HEIGHT],
                shape[BANK_SHAPE_WIDTH], last_position(shape[BANK_SHAPE_DEPTH]),
                last_position(shape[BANK_SHAPE_HEIGHT]), last_position(shape[BANK_SHAPE_WIDTH])};
}

struct Voxel {
    int distance, shown;  // the second is far beyond the grid, where shells end
};

__device__ __forceinline__ Voxel voxel_at(const Grid& grid, const Tile& tile, int z, int y, int x)
{
    const int at_z = position(tile.z, z, y, x), at_y = position(tile.y, z, y, x);
    const int at_x = position(tile.x, z, y, x);
    const bool on_grid = at_z >= 0 && at_z <= grid.last_z && at_y >= 0 && at_y <= grid.last_y
        && at_x >= 0 && at_x <= grid.last_x;
    const int distance = distance_in(grid, at_z, at_y, at_x);
    return Voxel{distance, on_grid ? distance : DISTANCE_FAR};
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) rasterize_bank(
    const int* __restrict__ poses,            // (B, N, POSE_SIZE)
    const int* __restrict__ shapes,           // (rows, BANK_SHAPE_SIZE)
    const Sample* __restrict__ distances,     // all grids
    const int* __restrict__ steps,            // (P, 2)
    const int* __restrict__ lattice,          // (B, T)
    const Int* __restrict__ lattice_offsets,  // (N,)
    const Int* __restrict__ row_offsets,      // (N,)
    Word* rows,                               // (B, R), out
    Word* shells,                             // (B, P, R), out
    int* counts,                              // (B, N), added to
    int N, int P, Int T, Int R)
{
    __shared__ int limits[SHELLS_MAX][2];  // largest and least distance
    __shared__ int outer, inner;           // 1/64 source voxel, of all of them

    const Int n = blockIdx.y, b = blockIdx.z;
    const int* pose = poses + (b * N + n) * POSE_SIZE;
    if (pose[POSE_FATE] != FATE_PLACED || pose[POSE_DEPTH] == 0)
        return;
    if (threadIdx.x == 0) {
        int high_limit = 0, low_limit = 0;
        for (int p = 0; p < P; ++p) {
            const Int above = (Int)steps[2 * p] * pose[POSE_VOXEL] >> 7;
            const Int below = (Int)steps[2 * p + 1] * pose[POSE_VOXEL] >> 7;
            limits[p][0] = (int)(above < DISTANCE_FAR - 1 ? above : DISTANCE_FAR - 1);
            limits[p][1] = -(int)(below < DISTANCE_FAR - 1 ? below : DISTANCE_FAR - 1);
            high_limit = limits[p][0] > high_limit ? limits[p][0] : high_limit;
            low_limit = limits[p][1] < low_limit ? limits[p][1] : low_limit;
        }
        outer = (high_limit >> 11) + 1 + SLACK;
        inner = (low_limit >> 11) - 1 - SLACK;
    }
    __syncthreads();

    const int* shape = shapes + (Int)pose[POSE_SHAPE] * BANK_SHAPE_SIZE;
    const Grid grid = grid_of(shape, distances);
    const int per_slope = 65536 / (shape[BANK_SHAPE_SLOPE] > 1 ? shape[BANK_SHAPE_SLOPE] : 1);
    const int deep = pose[POSE_DEPTH] / TILE, high = pose[POSE_HEIGHT] / TILE;
    const int wide = pose[POSE_WIDTH] / TILE, words = (wide + PER_WORD - 1) / PER_WORD;
    const int row = wide + 1, layer = row * (high + 1);
    const Int component = (Int)layer * (deep + 1);
    const int* own = lattice + b * T + lattice_offsets[n];
    const int lane = threadIdx.x % 32, warps = gridDim.x * (THREADS / 32);
    const int vx = lane & 3, vy = (lane >> 2) & 3, vz = lane >> 4;  // of the voxel in a tile's half
    int total = 0;
    for (int i = blockIdx.x * (THREADS / 32) + threadIdx.x / 32; i < deep * high * words; i += warps) {
        const int y = i % high, word = i / high % words, z = i / (high * words);
        const int left = wide - PER_WORD * word;
        const int number = lane % PER_WORD < left ? lane % PER_WORD : left - 1;
        const int* at = own + (Int)z * layer + y * row + PER_WORD * word + number;
        const Tile mine = {coefficients_at(at, row, layer), coefficients_at(at + component, row, layer),
                           coefficients_at(at + 2 * component, row, layer)};
        const int d = distance_in(grid, middle(mine.z), middle(mine.y), middle(mine.x)) >> 11;
        const int reach = tile_reach(mine);
        const bool real = lane < PER_WORD && lane < left, full = beyond(inner - d, per_slope, reach);
        const unsigned int inside = __ballot_sync(ALL, real && full);
        unsigned int open = __ballot_sync(ALL, real && !full && !beyond(d - outer, per_slope, reach));
        Word bits = spread_bits(inside), planes[SHELLS_MAX] = {};
        for (; open != 0; open &= open - 1) {
            const int number = __ffs((int)open) - 1;
            const Tile tile = {taken(mine.z, number), taken(mine.y, number), taken(mine.x, number)};
            const Voxel first = voxel_at(grid, tile, vz, vy, vx);
            const Voxel second = voxel_at(grid, tile, vz + 2, vy, vx);
            bits |= row_bits(first.distance < 0, second.distance < 0, lane, number);
            const int near = first.shown, far = second.shown;
#pragma unroll
            for (int p = 0; p < SHELLS_MAX; ++p)
                if (p < P) {
                    const int most = limits[p][0], least = limits[p][1];
                    planes[p] |= row_bits(near >= least && near <= most, far >= least && far <= most,
                                          lane, number);
                }
        }
        if (lane < ROWS) {
            const Int target = row_offsets[n] + ((Int)(z * TILE + lane / TILE) * words + word) * high * TILE
                               + y * TILE + lane % TILE;
            rows[b * R + target] = bits;
#pragma unroll
            for (int p = 0; p < SHELLS_MAX; ++p)
                if (p < P)
                    shells[(b * P + p) * R + target] = planes[p];
            total += __popcll(bits);
        }
    }
    for (int step = 16; step > 0; step /= 2)
        total += __shfl_xor_sync(ALL, total, step);
    if (lane == 0 && total > 0)
        atomicAdd(counts + b * N + n, total);
}
