// Squared distances to the boundaries between labels. The rules are in label_distance.py, the twin.
//
// Launch, one axis after the other: axis 0, along x: grid (D H, ceil(W / block), B), block at most
// BLOCK; axis 1, along y: grid (ceil(D W / block), 1, B); axis 2, along z: grid (ceil(H W / block),
// 1, B), any block. Along y and z a thread has a line of voxels of its own.
typedef long long Int;

#define BLOCK 128
#define REACH (DISTANCE_MAX - 1)
#define FAR (DISTANCE_MAX * DISTANCE_MAX)

__device__ __forceinline__ bool on_boundary(const LABEL_TYPE* at, int z, int y, int x, int D, int H,
                                            int W)
{
    const LABEL_TYPE own = *at;
    const Int row = W, layer = (Int)H * W;
    return (x > 0 && at[-1] != own) || (x < W - 1 && at[1] != own)
        || (y > 0 && at[-row] != own) || (y < H - 1 && at[row] != own)
        || (z > 0 && at[-layer] != own) || (z < D - 1 && at[layer] != own);
}

// Takes a line of voxels, `step` apart, into account.
__device__ __forceinline__ void reach_along(unsigned char* line, int count, Int step)
{
    int window[2 * REACH + 1];  // values from REACH voxels behind to REACH ahead
#pragma unroll
    for (int k = 0; k < 2 * REACH; ++k)
        window[k] = k >= REACH && k - REACH < count ? line[(k - REACH) * step] : FAR;
    for (int i = 0; i < count; ++i) {
        window[2 * REACH] = i + REACH < count ? line[(i + REACH) * step] : FAR;
        int found = window[REACH];
#pragma unroll
        for (int k = 1; k <= REACH; ++k)
            found = min(found, min(window[REACH - k], window[REACH + k]) + k * k);
        line[i * step] = (unsigned char)found;
#pragma unroll
        for (int k = 0; k < 2 * REACH; ++k)
            window[k] = window[k + 1];
    }
}

extern "C" __global__ void label_distance(
    const LABEL_TYPE* __restrict__ label,  // (B, T, D, H, W)
    unsigned char* distance,               // (B, size), out
    int axis, int T, int D, int H, int W, Int size)
{
    __shared__ unsigned char flags[BLOCK + 2 * REACH];
    const Int b = blockIdx.z, layer = (Int)H * W;
    distance += b * size;
    if (axis == 1) {
        const Int i = (Int)blockIdx.x * blockDim.x + threadIdx.x;
        if (i < (Int)D * W)
            reach_along(distance + i / W * layer + i % W, H, W);
        return;
    }
    if (axis == 2) {
        const Int i = (Int)blockIdx.x * blockDim.x + threadIdx.x;
        if (i < layer)
            reach_along(distance + i, D, layer);
        return;
    }
    const int z = blockIdx.x / H, y = blockIdx.x % H, first = blockIdx.y * blockDim.x;
    const Int row = (Int)blockIdx.x * W;
    label += b * T * D * layer + row;
    for (int i = threadIdx.x; i < blockDim.x + 2 * REACH; i += blockDim.x) {
        const int x = first + i - REACH;
        flags[i] = x >= 0 && x < W && on_boundary(label + x, z, y, x, D, H, W);
    }
    __syncthreads();
    const int x = first + threadIdx.x;
    if (x >= W)
        return;
    const unsigned char* own = flags + threadIdx.x + REACH;
    int found = own[0] ? 0 : FAR;
#pragma unroll
    for (int k = 1; k <= REACH; ++k)
        if (own[-k] || own[k])
            found = min(found, k * k);
    distance[row + x] = (unsigned char)found;
}
