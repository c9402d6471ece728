// A whole subject's labels at the source positions of a volume's voxels. A thread draws the voxels
// of one row of a tile. LABEL_TYPE is the type of the label map's elements. The rules are in
// draw_label_map.py, the twin.
//
// Launch: grid (blocks, B), any block; T is the elements of a volume's lattice.

typedef long long Int;

#define POSITION_BITS 18

// A voxel's position along one axis is `first` + x `step`, 2^-18 source voxel.
struct Line { int first, step; };

__device__ __forceinline__ Line line_of(const int* at, int row, int layer, int z, int y)
{
    const int c000 = at[0], c001 = at[1], c010 = at[row], c011 = at[row + 1];
    const int c100 = at[layer], c101 = at[layer + 1], c110 = at[layer + row], c111 = at[layer + row + 1];
    const int x0 = c001 - c000, x1 = c011 - c010, y0 = c010 - c000, z0 = c100 - c000;
    const int xz = c101 - c100 - x0, yz = c110 - c100 - y0, xy = x1 - x0;
    const int xyz = c111 - c110 - x1 - xz;
    Line line;
    line.first = c000 * 64 + (1 << (POSITION_BITS - 1)) + y * y0 * 16 + z * z0 * 16 + y * z * yz * 4;
    line.step = x0 * 16 + y * xy * 4 + z * xz * 4 + y * z * xyz;
    return line;
}

__device__ __forceinline__ int source_voxel(const Line& line, int x, int side)
{
    return max(min((line.first + x * line.step) >> POSITION_BITS, side - 1), 0);
}

extern "C" __global__ void draw_label_map(
    const int* __restrict__ poses,              // (B, 1, POSE_SIZE)
    const int* __restrict__ lattice,            // (B, T)
    const unsigned char* __restrict__ maps,     // (S, depth, height, width)
    const unsigned char* __restrict__ numbers,  // (256,)
    LABEL_TYPE* label,                          // (B, D, H, W), out
    Int T, int depth, int height, int width, int D, int H, int W)
{
    const Int b = blockIdx.y;
    const int* pose = poses + b * POSE_SIZE;
    const bool mirrored = pose[POSE_VALUE] != 0;
    const unsigned char* source = maps + (Int)pose[POSE_SHAPE] * depth * height * width;
    const int wide = (W + TILE - 1) / TILE, row = wide + 1;
    const int layer = row * ((H + TILE - 1) / TILE + 1);
    const Int component = (Int)layer * ((D + TILE - 1) / TILE + 1);
    const Int pieces = (Int)D * H * wide, threads = (Int)gridDim.x * blockDim.x;
    for (Int i = (Int)blockIdx.x * blockDim.x + threadIdx.x; i < pieces; i += threads) {
        const int tile = (int)(i % wide), y = (int)(i / wide % H), z = (int)(i / wide / H);
        const int* at = lattice + b * T + (Int)(z / TILE) * layer + y / TILE * row + tile;
        const Line line_z = line_of(at, row, layer, z % TILE, y % TILE);
        const Line line_y = line_of(at + component, row, layer, z % TILE, y % TILE);
        const Line line_x = line_of(at + 2 * component, row, layer, z % TILE, y % TILE);
        LABEL_TYPE* out = label + ((b * D + z) * H + y) * W + TILE * tile;
        const int count = min(TILE, W - TILE * tile);
#pragma unroll
        for (int x = 0; x < TILE; ++x)
            if (x < count) {
                const int offset = (source_voxel(line_z, x, depth) * height
                                    + source_voxel(line_y, x, height)) * width
                                   + source_voxel(line_x, x, width);
                const unsigned char found = source[offset];
                out[x] = mirrored ? numbers[found] : found;
            }
    }
}
