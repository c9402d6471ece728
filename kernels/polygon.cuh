// Geometry of one polygon in a slice, exact in integers. The rules and the bound on the error of
// row ends are in polygon.py, the twin. Lengths are 1/64 voxel, row ends 2^-32 voxel.
#pragma once
#include "bits.cuh"

#define TURN_BITS 24

typedef long long Int;

struct Ratio { Int numerator, denominator; };
struct Point { Int y, x; };
struct RowEnd { Int at, step; };
struct RowSpan { Int low, high, step; };

constexpr Int FAR = 1ll << 61;
constexpr Int BIAS = 1ll << 10;  // 2^-22 voxel
constexpr Int CEIL = (1ll << 32) - (1ll << 10);

// Cosine and sine of degrees >= 0, in 2^-24.
__device__ __forceinline__ Int cosine(Int degrees)
{
    return COSINE[degrees % 360];
}

__device__ __forceinline__ Int sine(Int degrees)
{
    return COSINE[(degrees + 270) % 360];
}

// Scale of the section at slice z.
__device__ __forceinline__ Ratio scale_at(int rule, Int z, Int depth, Int turn, Int first, Int middle,
                                          Int last)
{
    if (rule == Z_RULE_PRISM)
        return Ratio{1, 1};
    if (rule == Z_RULE_PYRAMID)
        return Ratio{depth - z, depth};
    if (z < turn)
        return Ratio{first * (turn - z) + middle * z, turn << 16};
    return Ratio{middle * (depth - z) + last * (z - turn), (depth - turn) << 16};
}

// radius * turn for a turn of the cosine table, cut toward zero to whole voxels.
__device__ __forceinline__ Int polar(Int radius, Int turn)
{
    const Int value = radius * turn;
    return (value + ((value >> 63) & ((1ll << TURN_BITS) - 1))) >> TURN_BITS;
}

// Vertex of a polygon's section.
__device__ __forceinline__ Point polygon_vertex(Int degrees, Int radius, Int center, int rule, Int z,
                                                Int depth, Int numerator, Int denominator)
{
    if (rule == Z_RULE_PYRAMID) {
        const Int y = center + polar(radius, sine(degrees));
        const Int x = center + polar(radius, cosine(degrees));
        return Point{(y * (depth - z) + center * z) / depth * 64,
                     (x * (depth - z) + center * z) / depth * 64};
    }
    const Int r = radius * numerator / denominator;
    return Point{(center + polar(r, sine(degrees))) * 64, (center + polar(r, cosine(degrees))) * 64};
}

// Degrees between the vertices of an ellipse whose larger semi-axis is `axis` voxels.
__device__ __forceinline__ int ellipse_step(Int axis)
{
    return axis >= 15 ? 5 : axis >= 10 ? 18 : axis >= 3 ? 30 : 90;
}

// Vertex of an ellipse at a parameter angle.
__device__ __forceinline__ Point ellipse_vertex(Int degrees, Int angle, Int a, Int b, Int center)
{
    const Int along = a * cosine(degrees), across = b * sine(degrees);
    const Int x = along * cosine(angle) - across * sine(angle);
    const Int y = along * sine(angle) + across * cosine(angle);
    const Int half = 1ll << (2 * TURN_BITS - 7);
    return Point{center * 64 + ((y + half) >> (2 * TURN_BITS - 6)),
                 center * 64 + ((x + half) >> (2 * TURN_BITS - 6))};
}

// Integer root of 0 <= value < 2^52: the double's root is rounded correctly, and below 2^52 it
// cannot round up to the next integer.
__device__ __forceinline__ Int floor_sqrt(Int value)
{
    return (Int)__dsqrt_rn((double)value);
}

// First row whose centre is at y or beyond.
__device__ __forceinline__ Int row_at_or_after(Int y)
{
    return (y + 63) >> 6;
}

// 2^26 / value of an integer other than 0.
__device__ __forceinline__ double reciprocal(Int value)
{
    return 67108864.0 / (double)value;
}

// value * factor cut to an integer; |value| < 2^53.
__device__ __forceinline__ Int scaled(Int value, double factor)
{
    return (Int)((double)value * factor);
}

// Crossing of an edge's line with row `first` and its step a row. The edge begins at (ya, xa);
// per_dy is the reciprocal of its extent dy > 0.
// Factors of 2^k stand for shifts, which C++17 leaves undefined on negative values.
__device__ __forceinline__ RowEnd strip(Int ya, Int xa, Int dx, double per_dy, Int first)
{
    return RowEnd{xa * (1ll << 26) + scaled(dx * (64 * first - ya), per_dy), scaled(dx * 64, per_dy)};
}

// Half the row section of the strip of `radius` about an edge.
__device__ __forceinline__ Int half_width(Int length2, Int radius, double per_dy)
{
    return scaled(floor_sqrt(radius * radius * length2), per_dy);
}

// Where the slab 0 <= dot <= length^2 lies in row `first`; per_dx is the reciprocal of dx, not 0.
__device__ __forceinline__ RowSpan slab(Int ya, Int xa, Int dy, Int dx, double per_dx, Int first)
{
    const Int width = scaled(dx * dx + dy * dy, per_dx);
    const Int start = xa * (1ll << 26) - scaled(dy * (64 * first - ya), per_dx);
    return RowSpan{min(start, start + width), max(start, start + width), -scaled(dy * 64, per_dx)};
}

// Rows above a vertex's own that a disc of `radius` may touch.
__device__ __forceinline__ Int margin(Int radius)
{
    return (radius + 63) >> 6;
}
