// Source positions at the corners of tiles, displacement included. The rules are in pose_lattice.py,
// the twin.
//
// Launch: grid (G, N, B), any block; an object's corners are shared out among G blocks. Offsets are
// those of one volume; T is the elements of a volume's lattice.
typedef long long Int;

#define SEGMENTS (CONTROLS - 3)
#define PLANE (CONTROLS * CONTROLS)
#define SPLINE_BITS 12
#define SPLINE_ONE (1 << SPLINE_BITS)
#define MATRIX_SHIFT 4

// Four weights of the control points from `segment` on.
struct Weights { int segment, first, second, third, last; };

__device__ __forceinline__ Weights weights_at(Int corner, Int tiles)
{
    const Int found = SEGMENTS * corner / tiles, segment = found < SEGMENTS ? found : SEGMENTS - 1;
    const Int cube = tiles * tiles * tiles, right = SEGMENTS * corner - segment * tiles;
    const Int left = tiles - right, last = right * right * right;
    const Int third = 3 * right * tiles * (right + tiles) + cube - 3 * last;
    Weights weights;
    weights.segment = (int)segment;
    weights.first = (int)((SPLINE_ONE * left * left * left + 3 * cube) / (6 * cube));
    weights.third = (int)((SPLINE_ONE * third + 3 * cube) / (6 * cube));
    weights.last = (int)((SPLINE_ONE * last + 3 * cube) / (6 * cube));
    weights.second = SPLINE_ONE - weights.first - weights.third - weights.last;
    return weights;
}

__device__ __forceinline__ int blended(const Weights& weights, int a, int b, int c, int d)
{
    return (weights.first * a + weights.second * b + weights.third * c + weights.last * d
            + SPLINE_ONE / 2) >> SPLINE_BITS;
}

// Control points of a column blended along z.
__device__ __forceinline__ int along_z(const int* at, const Weights& z)
{
    return blended(z, at[0], at[PLANE], at[2 * PLANE], at[3 * PLANE]);
}

__device__ __forceinline__ int along_y(const int* at, const Weights& z, const Weights& y)
{
    return blended(y, along_z(at, z), along_z(at + CONTROLS, z), along_z(at + 2 * CONTROLS, z),
                   along_z(at + 3 * CONTROLS, z));
}

__device__ __forceinline__ int displacement(const int* controls, const Weights& z, const Weights& y,
                                            const Weights& x)
{
    const int* at = controls + z.segment * PLANE + y.segment * CONTROLS + x.segment;
    return blended(x, along_y(at, z, y), along_y(at + 1, z, y), along_y(at + 2, z, y),
                   along_y(at + 3, z, y));
}

extern "C" __global__ void pose_lattice(
    const int* __restrict__ poses,            // (B, N, POSE_SIZE)
    const int* __restrict__ controls,         // (B, N, 3, CONTROLS, CONTROLS, CONTROLS)
    const Int* __restrict__ lattice_offsets,  // (N,)
    int* lattice,                             // (B, T), out
    int N, Int T)
{
    const Int n = blockIdx.y, b = blockIdx.z;
    const int* pose = poses + (b * N + n) * POSE_SIZE;
    if (pose[POSE_FATE] != FATE_PLACED || pose[POSE_DEPTH] == 0)
        return;
    const int deep = pose[POSE_DEPTH] / TILE, high = pose[POSE_HEIGHT] / TILE;
    const int wide = pose[POSE_WIDTH] / TILE, row = wide + 1, layer = row * (high + 1);
    const int points = layer * (deep + 1);
    const int* own = controls + (b * N + n) * 3 * CONTROLS * PLANE;
    int* target = lattice + b * T + lattice_offsets[n];
    const int threads = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < points; i += threads) {
        const int z = i / layer, y = i % layer / row, x = i % row;
        const Weights weights_z = weights_at(z, deep), weights_y = weights_at(y, high);
        const Weights weights_x = weights_at(x, wide);
        for (int axis = 0; axis < 3; ++axis) {
            const int* matrix = pose + POSE_MATRIX + 3 * axis;
            const Int affine = (Int)matrix[0] * (pose[POSE_BOX] + TILE * z)
                               + (Int)matrix[1] * (pose[POSE_BOX + 1] + TILE * y)
                               + (Int)matrix[2] * (pose[POSE_BOX + 2] + TILE * x);
            target[(Int)axis * points + i] =
                pose[POSE_CENTRE + axis] + (int)(affine >> MATRIX_SHIFT)
                + displacement(own + axis * CONTROLS * PLANE, weights_z, weights_y, weights_x);
        }
    }
}
