// Distances between the samples of a shape's grid, whole numbers only. What each function means is in
// source_distance.py, the twin.
#pragma once

#define SHARE_BITS 8
#define DISTANCE_ONE (1 << 17)
#define DISTANCE_FAR (32 * DISTANCE_ONE)

typedef short Sample;

__device__ __forceinline__ int last_position(int side) { return ((side - 1) << SHARE_BITS) - 1; }

__device__ __forceinline__ int clamped_position(int position, int last)
{
    const int within = position < last ? position : last;
    return within > 0 ? within : 0;
}

// `low` and `high` weighed by 256 less the share, and the share.
__device__ __forceinline__ int weighed(int low, int high, int share)
{
    return low * (1 << SHARE_BITS) + (high - low) * share;
}

__device__ __forceinline__ int row_distance(const Sample* at, int share)
{
    return (weighed(at[0], at[1], share) + 4) >> 3;
}

__device__ __forceinline__ int layer_distance(const Sample* at, int width, int share_y, int share_x)
{
    const int near = row_distance(at, share_x), far = row_distance(at + width, share_x);
    return (weighed(near, far, share_y) + 128) >> SHARE_BITS;
}

__device__ __forceinline__ int source_distance(const Sample* grid, int height, int width, int last_z,
                                               int last_y, int last_x, int z, int y, int x)
{
    z = clamped_position(z, last_z);
    y = clamped_position(y, last_y);
    x = clamped_position(x, last_x);
    const int layer = height * width;
    const Sample* at =
        grid + ((z >> SHARE_BITS) * height + (y >> SHARE_BITS)) * width + (x >> SHARE_BITS);
    const int near = layer_distance(at, width, y & 255, x & 255);
    const int far = layer_distance(at + layer, width, y & 255, x & 255);
    return weighed(near, far, z & 255);
}
