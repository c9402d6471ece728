// One step of a point under a system of affine maps; twin of fractal.py, which has the rules.
#pragma once
#include "philox.cuh"

__device__ __forceinline__ unsigned int chosen_byte(const Words& words, int step)
{
    const unsigned int word = (step & 12) == 0 ? words.x : (step & 12) == 4 ? words.y
                            : (step & 12) == 8 ? words.z : words.w;
    return (word >> (8 * (step & 3))) & 255u;
}

__device__ __forceinline__ long long kept(long long value, long long reach)
{
    return value < -reach ? -reach : value > reach ? reach : value;
}

struct Place { long long x, y, z; };

__device__ __forceinline__ Place stepped(const int* m, long long reach, Place p)
{
    const long long x = ((m[0] * p.x + m[1] * p.y + m[2] * p.z) >> FRACTAL_BITS) + m[9];
    const long long y = ((m[3] * p.x + m[4] * p.y + m[5] * p.z) >> FRACTAL_BITS) + m[10];
    const long long z = ((m[6] * p.x + m[7] * p.y + m[8] * p.z) >> FRACTAL_BITS) + m[11];
    return Place{kept(x, reach), kept(y, reach), kept(z, reach)};
}
