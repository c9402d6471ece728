// Signed distances of parametric solids, negative inside. What each function means, and where its
// formula comes from, is in sdf.py, the twin; rows are described in sdf_records.py.
#pragma once
#include "real.cuh"

constexpr float LEAST_SCALE = 1e-6f;
constexpr float LEAST_RUN = 0x1p-20f;     // of a taper's piece
constexpr float LEAST_SQUARE = 0x1p-60f;  // of an edge's length
constexpr float ROOT_TWO = 1.4142135f;

struct EdgePosition { float along, across; };

// What an object's row is laid down with, once for each object.

REAL_FUNCTION void lay_edge(float* row, int edge, float x0, float y0, float x1, float y1)
{
    const int at = SDF_ROW_EDGE + SDF_EDGE_SIZE * edge;
    const float ex = x1 - x0, ey = y1 - y0;
    const float square = fused(ex, ex, ey * ey), run = root(square);
    float dx = 1.0f, dy = 0.0f;
    if (square >= LEAST_SQUARE) {
        dx = ex / run;
        dy = ey / run;
    }
    row[at + SDF_EDGE_DX] = dx;
    row[at + SDF_EDGE_DY] = dy;
    row[at + SDF_EDGE_ALONG] = -fused(dx, x0, fused(dy, y0, 0.5f * run));
    row[at + SDF_EDGE_ACROSS] = fused(dy, x0, -(dx * y0));
    row[at + SDF_EDGE_REACH] = 0.5f * run;
    row[at + SDF_EDGE_LEVEL] = 0.0f - y0;
}

REAL_FUNCTION void lay_mirror(float* row, int mirror, float turns)
{
    row[SDF_ROW_MIRROR + 2 * mirror] = ROOT_TWO * cosine_of_turns(turns);
    row[SDF_ROW_MIRROR + 2 * mirror + 1] = -(ROOT_TWO * sine_of_turns(turns));
}

REAL_FUNCTION void lay_star(float* row, int tips, float radius, float bluntness)
{
    const float count = tips;
    row[SDF_ROW_PROFILE] = SDF_PROFILE_STAR;
    row[SDF_ROW_EDGES] = count;
    const float half_tip = 0.5f / count;
    const float lean = 0.5f / fused(bluntness, 2.0f - count, count);
    int span = tips;
    for (int mirror = 0; mirror < SDF_MIRRORS; ++mirror) {
        row[SDF_ROW_MIRROR + 2 * mirror] = 0.0f;
        row[SDF_ROW_MIRROR + 2 * mirror + 1] = 0.0f;
        if (span > 1) {
            span = (span + 1) >> 1;
            lay_mirror(row, mirror, (float)span * half_tip);
        }
    }
    const float dx = sine_of_turns(lean - half_tip), dy = -cosine_of_turns(lean - half_tip);
    const float reach = 0.5f * radius * sine_of_turns(half_tip) / sine_of_turns(lean);
    row[SDF_ROW_EDGE + SDF_EDGE_DX] = dx;
    row[SDF_ROW_EDGE + SDF_EDGE_DY] = dy;
    row[SDF_ROW_EDGE + SDF_EDGE_ALONG] = -fused(dy, radius, reach);
    row[SDF_ROW_EDGE + SDF_EDGE_ACROSS] = -(dx * radius);
    row[SDF_ROW_EDGE + SDF_EDGE_REACH] = reach;
}

REAL_FUNCTION void lay_circle(float* row, float radius)
{
    row[SDF_ROW_PROFILE] = SDF_PROFILE_CIRCLE;
    row[SDF_ROW_RADIUS] = radius;
}

REAL_FUNCTION float sloping_run(float run)
{
    return signed_as(most(magnitude(run), LEAST_RUN), run);
}

REAL_FUNCTION void lay_taper(float* row, int taper, float half, float scale, float knot)
{
    row[SDF_ROW_TAPERED] = taper == SDF_TAPER_CONST ? 0.0f : 1.0f;
    row[SDF_ROW_KNOT] = 0.0f;
    row[SDF_ROW_KNOT_SCALE] = 1.0f;
    row[SDF_ROW_SLOPE_BELOW] = 0.0f;
    row[SDF_ROW_SLOPE_ABOVE] = 0.0f;
    if (taper == SDF_TAPER_CONE) {
        row[SDF_ROW_KNOT] = -half;
        row[SDF_ROW_SLOPE_BELOW] = (scale - 1.0f) / sloping_run(half + half);
        row[SDF_ROW_SLOPE_ABOVE] = row[SDF_ROW_SLOPE_BELOW];
    } else if (taper != SDF_TAPER_CONST) {
        row[SDF_ROW_KNOT] = knot;
        row[SDF_ROW_KNOT_SCALE] = scale;
        row[SDF_ROW_SLOPE_BELOW] = (scale - 1.0f) / sloping_run(knot + half);
        row[SDF_ROW_SLOPE_ABOVE] = (scale - 1.0f) / sloping_run(knot - half);
    }
}

REAL_FUNCTION void lay_prism(float* row, float half, int onion, float wall)
{
    row[SDF_ROW_LIFT] = SDF_LIFT_PRISM;
    row[SDF_ROW_HALF] = half;
    row[SDF_ROW_SIGN] = onion ? -1.0f : 1.0f;
    row[SDF_ROW_WALL] = onion ? wall : 0.0f;
}

REAL_FUNCTION void lay_revolution(float* row, float offset)
{
    row[SDF_ROW_LIFT] = SDF_LIFT_REVOLVE;
    row[SDF_ROW_OFFSET] = offset;
}

REAL_FUNCTION void lay_sphere(float* row, float radius)
{
    row[SDF_ROW_LIFT] = SDF_LIFT_SPHERE;
    row[SDF_ROW_RADIUS] = radius;
}

REAL_FUNCTION void lay_octahedron(float* row, float size, float slope)
{
    row[SDF_ROW_LIFT] = SDF_LIFT_OCTAHEDRON;
    row[SDF_ROW_RADIUS] = size;
    row[SDF_ROW_SLOPE] = slope;
}

REAL_FUNCTION void lay_cone(float* row, float radius, float height)
{
    row[SDF_ROW_LIFT] = SDF_LIFT_CONE;
    row[SDF_ROW_RADIUS] = radius;
    row[SDF_ROW_HALF] = 0.5f * height;
    lay_edge(row, 0, 0.0f, 0.0f, -radius, height);
}

// What each point is evaluated with.

REAL_FUNCTION float circle(const float* row, float x, float y, float scale)
{
    return fused(row[SDF_ROW_RADIUS], -scale, length(x, y));
}

REAL_FUNCTION EdgePosition edge_position(const float* row, int at, float x, float y, float scale)
{
    const float dx = row[at + SDF_EDGE_DX], dy = row[at + SDF_EDGE_DY];
    return EdgePosition{fused(dx, x, fused(dy, y, row[at + SDF_EDGE_ALONG] * scale)),
                        fused(dx, y, fused(dy, -x, row[at + SDF_EDGE_ACROSS] * scale))};
}

REAL_FUNCTION float edge_square(const float* row, int at, float along, float across, float scale)
{
    const float reach = row[at + SDF_EDGE_REACH] * scale;
    const float past = most(magnitude(along), reach) - reach;
    return fused(across, across, past * past);
}

REAL_FUNCTION float star(const float* row, float x, float y, float scale)
{
    x = magnitude(x);
#pragma unroll
    for (int mirror = 0; mirror < SDF_MIRRORS; ++mirror) {
        const float mx = row[SDF_ROW_MIRROR + 2 * mirror], my = row[SDF_ROW_MIRROR + 2 * mirror + 1];
        const float beyond = most(fused(mx, x, my * y), 0.0f);
        x = fused(mx, -beyond, x);
        y = fused(my, -beyond, y);
    }
    const EdgePosition p = edge_position(row, SDF_ROW_EDGE, x, y, scale);
    const float square = edge_square(row, SDF_ROW_EDGE, p.along, p.across, scale);
    return signed_as(root(square + SQUARE_BIAS), p.across);
}

REAL_FUNCTION float polygon(const float* row, float x, float y, float scale)
{
    float square = 1e30f;
    unsigned int crossed = 0;
    unsigned int end = __float_as_uint(fused(scale, row[SDF_ROW_EDGE + SDF_EDGE_LEVEL], y));
    for (int edge = (int)row[SDF_ROW_EDGES] - 1; edge >= 0; --edge) {
        const int at = SDF_ROW_EDGE + SDF_EDGE_SIZE * edge;
        const unsigned int start = __float_as_uint(fused(scale, row[at + SDF_EDGE_LEVEL], y));
        const EdgePosition p = edge_position(row, at, x, y, scale);
        square = least(edge_square(row, at, p.along, p.across, scale), square);
        crossed ^= (start ^ end) & (end ^ __float_as_uint(p.across));
        end = start;
    }
    return signed_as(root(square + SQUARE_BIAS), __uint_as_float(crossed));
}

REAL_FUNCTION float profile(const float* row, float x, float y, float scale)
{
    const int kind = (int)row[SDF_ROW_PROFILE];
    if (kind == SDF_PROFILE_CIRCLE)
        return circle(row, x, y, scale);
    if (kind == SDF_PROFILE_STAR)
        return star(row, x, y, scale);
    return polygon(row, x, y, scale);
}

REAL_FUNCTION float taper_scale(const float* row, float z)
{
    const float knot = row[SDF_ROW_KNOT];
    const float slope = z < knot ? row[SDF_ROW_SLOPE_BELOW] : row[SDF_ROW_SLOPE_ABOVE];
    return most(fused(slope, z - knot, row[SDF_ROW_KNOT_SCALE]), LEAST_SCALE);
}

REAL_FUNCTION float walled(const float* row, float across)
{
    return most(across, row[SDF_ROW_SIGN] * across) - row[SDF_ROW_WALL];
}

REAL_FUNCTION float extruded(float across, float along)
{
    const float nearest = most(across, along);
    const float corner = length(most(across, 0.0f), most(along, 0.0f));
    return nearest < 0.0f ? nearest : corner;
}

// One call of `profile` for every taper: the code of three profiles twice would cost registers and
// cache, and a constant taper's scale is exactly 1.
REAL_FUNCTION float prism(const float* row, float x, float y, float z)
{
    const float across = profile(row, x, y, taper_scale(row, z));
    return extruded(walled(row, across), magnitude(z) - row[SDF_ROW_HALF]);
}

REAL_FUNCTION float revolved(const float* row, float x, float y, float z)
{
    return profile(row, length(x, z) - row[SDF_ROW_OFFSET], y, 1.0f);
}

REAL_FUNCTION float sphere(const float* row, float x, float y, float z)
{
    return root(fused(x, x, fused(y, y, fused(z, z, SQUARE_BIAS)))) - row[SDF_ROW_RADIUS];
}

REAL_FUNCTION float octahedron(const float* row, float x, float y, float z)
{
    return (magnitude(x) + magnitude(y) + magnitude(z) - row[SDF_ROW_RADIUS]) * row[SDF_ROW_SLOPE];
}

REAL_FUNCTION float cone(const float* row, float x, float y, float z)
{
    const float px = length(x, z) - row[SDF_ROW_RADIUS], py = y + row[SDF_ROW_HALF];
    const float dx = row[SDF_ROW_EDGE + SDF_EDGE_DX], dy = row[SDF_ROW_EDGE + SDF_EDGE_DY];
    const float run = 2.0f * row[SDF_ROW_EDGE + SDF_EDGE_REACH];
    const float along = clamped(fused(dx, px, dy * py), 0.0f, run);
    const float qx = fused(dx, -along, px), qy = fused(dy, -along, py);
    const float side = length(qx, qy);
    return most(qx, qy) > 0.0f ? side : -least(side, py);
}

REAL_FUNCTION float distance(const float* row, float x, float y, float z)
{
    const int lift = (int)row[SDF_ROW_LIFT];
    if (lift == SDF_LIFT_SPHERE)
        return sphere(row, x, y, z);
    if (lift == SDF_LIFT_OCTAHEDRON)
        return octahedron(row, x, y, z);
    if (lift == SDF_LIFT_CONE)
        return cone(row, x, y, z);
    if (lift == SDF_LIFT_REVOLVE)
        return revolved(row, x, y, z);
    return prism(row, x, y, z);
}
