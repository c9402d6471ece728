// Sums of plane waves. The rules are in waves.py, the twin.
#pragma once

#include "real.cuh"

#define WAVES_LANES 16  // W is rounded up to a multiple of it

REAL_FUNCTION int wave_stride(int depth, int height, int width)
{
    return depth + height + (width + WAVES_LANES - 1) / WAVES_LANES * WAVES_LANES;
}

// Sum of `count` waves from the first one on, at a voxel; waves are a volume's.
REAL_FUNCTION float waves_at(const float* waves, int first, int count, int depth, int height,
                             int width, int z, int y, int x)
{
    const int stride = wave_stride(depth, height, width);
    float sum = 0.0f;
    for (int wave = first; wave < first + count; ++wave) {
        const float* cosines = waves + 2ll * wave * stride;
        const float* sines = cosines + stride;
        const float cz = cosines[z], sz = sines[z];
        const float cy = cosines[depth + y], sy = sines[depth + y];
        const float turned = fused(cz, cy, -(sz * sy)), other = fused(-sz, cy, -(cz * sy));
        const int at = depth + height + x;
        sum = fused(turned, cosines[at], sum);
        sum = fused(other, sines[at], sum);
    }
    return sum;
}
