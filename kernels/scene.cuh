// Objects of a scene: how they stand, what is drawn for them, how far they reach. What each function
// means is in scene.py, the twin; rows are described in scene_records.py and sdf_records.py.
#pragma once
#include "sdf.cuh"

constexpr float GRID_REACH = 0.8f;
constexpr float ROOT_THREE = 1.7320509f;
constexpr float PLACE_SLACK = 0.02f;  // of z, as a steep taper makes much of its rounding

struct Point { float x, y; };
struct Extent { float x, y, z; };

REAL_FUNCTION float unit_float(unsigned int word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

REAL_FUNCTION float uniform(unsigned int word, float low, float high)
{
    return fused(high - low, unit_float(word), low);
}

// How an object stands.

REAL_FUNCTION void turn_none(float* item)
{
    for (int i = 0; i < 9; ++i)
        item[SCENE_OBJECT_TURN + i] = i % 4 == 0 ? 1.0f : 0.0f;
}

REAL_FUNCTION void turn_euler(float* item, float a, float b, float c)
{
    float* turn = item + SCENE_OBJECT_TURN;
    const float ca = cosine_of_turns(a), sa = sine_of_turns(a);
    const float cb = cosine_of_turns(b), sb = sine_of_turns(b);
    const float cc = cosine_of_turns(c), sc = sine_of_turns(c);
    turn[0] = cc * cb;
    turn[1] = sc * cb;
    turn[2] = -sb;
    turn[3] = fused(cc * sb, sa, -(sc * ca));
    turn[4] = fused(sc * sb, sa, cc * ca);
    turn[5] = cb * sa;
    turn[6] = fused(cc * sb, ca, sc * sa);
    turn[7] = fused(sc * sb, ca, -(cc * sa));
    turn[8] = cb * ca;
}

REAL_FUNCTION void turn_uniform(float* item, float u, float v, float w)
{
    float* turn = item + SCENE_OBJECT_TURN;
    const float low = root(1.0f - u), high = root(u);
    const float x = low * sine_of_turns(v), y = low * cosine_of_turns(v);
    const float z = high * sine_of_turns(w), s = high * cosine_of_turns(w);
    turn[0] = fused(-2.0f, fused(y, y, z * z), 1.0f);
    turn[1] = 2.0f * fused(x, y, z * s);
    turn[2] = 2.0f * fused(x, z, -(y * s));
    turn[3] = 2.0f * fused(x, y, -(z * s));
    turn[4] = fused(-2.0f, fused(x, x, z * z), 1.0f);
    turn[5] = 2.0f * fused(y, z, x * s);
    turn[6] = 2.0f * fused(x, z, y * s);
    turn[7] = 2.0f * fused(y, z, -(x * s));
    turn[8] = fused(-2.0f, fused(x, x, y * y), 1.0f);
}

REAL_FUNCTION void unshear(float* item, float xy, float xz, float yz, float scale)
{
    const float ixx = fused(-yz, yz, 1.0f), iyy = fused(-xz, xz, 1.0f), izz = fused(-xy, xy, 1.0f);
    const float ixy = fused(xz, yz, -xy), ixz = fused(xy, yz, -xz), iyz = fused(xy, xz, -yz);
    const float factor = scale / fused(xy, ixy, fused(xz, ixz, ixx));
    for (int column = 0; column < 3; ++column) {
        float* at = item + SCENE_OBJECT_TURN + column;
        const float x = at[0], y = at[3], z = at[6];
        at[0] = factor * fused(ixx, x, fused(ixy, y, ixz * z));
        at[3] = factor * fused(ixy, x, fused(iyy, y, iyz * z));
        at[6] = factor * fused(ixz, x, fused(iyz, y, izz * z));
    }
}

REAL_FUNCTION void lay_matrix(float* item)
{
    const float* centre = item + SCENE_OBJECT_CENTRE;
    for (int i = 0; i < 3; ++i) {
        const float* turn = item + SCENE_OBJECT_TURN + 3 * i;
        float* row = item + SCENE_OBJECT_MATRIX + 4 * i;
        row[0] = turn[0];
        row[1] = turn[1];
        row[2] = turn[2];
        row[3] = -fused(turn[0], centre[0], fused(turn[1], centre[1], turn[2] * centre[2]));
    }
}

// How far a part reaches.

REAL_FUNCTION Point edge_start(const float* row, int edge)
{
    const float* at = row + SDF_ROW_EDGE + SDF_EDGE_SIZE * edge;
    const float dx = at[SDF_EDGE_DX], dy = at[SDF_EDGE_DY];
    const float along = -(at[SDF_EDGE_ALONG] + at[SDF_EDGE_REACH]), across = -at[SDF_EDGE_ACROSS];
    return Point{fused(dx, along, -(dy * across)), fused(dx, across, dy * along)};
}

REAL_FUNCTION Point profile_corner(const float* row, int i)
{
    if ((int)row[SDF_ROW_PROFILE] != SDF_PROFILE_STAR)
        return edge_start(row, i);
    const float radius = edge_start(row, 0).y;
    const float turns = (float)i / row[SDF_ROW_EDGES];
    return Point{radius * sine_of_turns(turns), radius * cosine_of_turns(turns)};
}

REAL_FUNCTION float profile_support(const float* row, float nx, float ny)
{
    if ((int)row[SDF_ROW_PROFILE] == SDF_PROFILE_CIRCLE)
        return row[SDF_ROW_RADIUS];
    float found = -1e30f;
    for (int i = 0; i < (int)row[SDF_ROW_EDGES]; ++i) {
        const Point corner = profile_corner(row, i);
        found = most(fused(nx, corner.x, ny * corner.y), found);
    }
    return found;
}

REAL_FUNCTION float profile_radius(const float* row)
{
    const int kind = (int)row[SDF_ROW_PROFILE];
    if (kind == SDF_PROFILE_CIRCLE)
        return row[SDF_ROW_RADIUS];
    const int count = kind != SDF_PROFILE_STAR ? (int)row[SDF_ROW_EDGES] : 1;
    float square = 0.0f;
    for (int i = 0; i < count; ++i) {
        const Point corner = edge_start(row, i);
        square = most(fused(corner.x, corner.x, corner.y * corner.y), square);
    }
    return root(square);
}

REAL_FUNCTION float largest_scale(const float* row, float reach)
{
    const float knot = row[SDF_ROW_KNOT];
    float found = most(taper_scale(row, -reach), taper_scale(row, reach));
    if (-reach < knot && knot < reach)
        found = most(taper_scale(row, knot), found);
    return found;
}

REAL_FUNCTION Extent part_extent(const float* row, float wall, float margin)
{
    const int lift = (int)row[SDF_ROW_LIFT];
    if (lift == SDF_LIFT_SPHERE || lift == SDF_LIFT_OCTAHEDRON || lift == SDF_LIFT_GRID) {
        float reach;
        if (lift == SDF_LIFT_SPHERE)
            reach = row[SDF_ROW_RADIUS] + margin;
        else if (lift == SDF_LIFT_OCTAHEDRON)
            reach = row[SDF_ROW_RADIUS] + margin / row[SDF_ROW_SLOPE];
        else
            reach = fused(GRID_REACH, row[SDF_ROW_RADIUS], margin);
        return Extent{reach, reach, reach};
    }
    if (lift == SDF_LIFT_CONE) {
        const float round_reach = row[SDF_ROW_RADIUS] + margin;
        return Extent{round_reach, row[SDF_ROW_HALF] + margin, round_reach};
    }
    const float radius = profile_radius(row);
    if (lift == SDF_LIFT_REVOLVE) {
        const float round_reach = row[SDF_ROW_OFFSET] + radius + margin;
        return Extent{round_reach, radius + margin, round_reach};
    }
    const float end = row[SDF_ROW_HALF] + margin;
    const float across = fused(radius, largest_scale(row, end + PLACE_SLACK), wall + margin);
    return Extent{across, across, end};
}

REAL_FUNCTION float part_radius(const float* row, float wall, float margin)
{
    const Extent extent = part_extent(row, wall, margin);
    const int lift = (int)row[SDF_ROW_LIFT];
    if (lift == SDF_LIFT_GRID)
        return ROOT_THREE * extent.x;
    if (lift == SDF_LIFT_CONE)
        return root(fused(extent.x, extent.x, extent.y * extent.y));
    if (lift == SDF_LIFT_SPHERE || lift == SDF_LIFT_OCTAHEDRON || lift == SDF_LIFT_REVOLVE)
        return extent.x;
    return root(fused(extent.x, extent.x, extent.z * extent.z));
}

REAL_FUNCTION float part_depth(const float* row)
{
    const int lift = (int)row[SDF_ROW_LIFT], profile = (int)row[SDF_ROW_PROFILE];
    if (lift == SDF_LIFT_SPHERE)
        return row[SDF_ROW_RADIUS];
    if (lift == SDF_LIFT_OCTAHEDRON)
        return row[SDF_ROW_RADIUS] * row[SDF_ROW_SLOPE];
    if (lift == SDF_LIFT_GRID)
        return 0.5f * GRID_REACH * row[SDF_ROW_RADIUS];
    if (lift == SDF_LIFT_CONE)
        return 0.5f * least(row[SDF_ROW_RADIUS], row[SDF_ROW_HALF]);
    float depth = row[SDF_ROW_RADIUS];
    if (profile != SDF_PROFILE_CIRCLE) {
        depth = 1e30f;
        const int edges = profile != SDF_PROFILE_STAR ? (int)row[SDF_ROW_EDGES] : 1;
        for (int edge = 0; edge < edges; ++edge) {
            const float* at = row + SDF_ROW_EDGE + SDF_EDGE_SIZE * edge;
            depth = least(magnitude(at[SDF_EDGE_ACROSS]), depth);
        }
    }
    return lift == SDF_LIFT_REVOLVE ? depth : least(depth, row[SDF_ROW_HALF]);
}
