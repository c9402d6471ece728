// Where an object may be: half-spaces and one quadric that hold it. One thread an object; the rules
// are in bound_sdf.py, the twin.
#include "scene.cuh"

typedef long long Int;

constexpr int TANGENTS = 8;  // planes about a round outline
constexpr float SLACK = 0.02f, RELATIVE = 1e-5f;
constexpr float PER_COEFFICIENT = 0x1p-10f;  // rounding of a product with a voxel's place
constexpr float LEAST_MARGIN = 0x1p-10f;
constexpr float LEAST_SIDE_SQUARE = 1e-12f;
constexpr float NOWHERE = -1e6f;  // of a plane that no voxel is within
constexpr float DIAGONAL = 0.70710678f;

struct ScaleLines { float below, below_level, above, above_level, lowest; };

REAL_FUNCTION void add_plane(float* bound, float nx, float ny, float nz, float most_along)
{
    float* at = bound + SCENE_BOUND_PLANE + 4 * (int)bound[SCENE_BOUND_PLANES];
    at[0] = nx;
    at[1] = ny;
    at[2] = nz;
    at[3] = most_along;
    bound[SCENE_BOUND_PLANES] += 1.0f;
}

REAL_FUNCTION void map_plane(const float* item, float* at)
{
    const float* m = item + SCENE_OBJECT_MATRIX;
    const float nx = at[0], ny = at[1], nz = at[2], most_along = at[3];
    const float a = fused(nx, m[0], fused(ny, m[4], nz * m[8]));
    const float b = fused(nx, m[1], fused(ny, m[5], nz * m[9]));
    const float c = fused(nx, m[2], fused(ny, m[6], nz * m[10]));
    const float d = fused(nx, m[3], fused(ny, m[7], nz * m[11]));
    float slack = fused(RELATIVE, magnitude(most_along) + magnitude(d), SLACK);
    slack = fused(PER_COEFFICIENT, magnitude(a) + magnitude(b) + magnitude(c), slack);
    at[0] = a;
    at[1] = b;
    at[2] = c;
    at[3] = (most_along - d) + slack;
}

REAL_FUNCTION void add_slab(float* bound, float nx, float ny, float nz, float reach)
{
    add_plane(bound, nx, ny, nz, reach);
    add_plane(bound, -nx, -ny, -nz, reach);
}

REAL_FUNCTION void set_quadric(float* bound, float wx, float wy, float wz, float radius)
{
    bound[SCENE_BOUND_RADIUS] = fused(RELATIVE, magnitude(radius), most(radius, 0.0f) + SLACK);
    bound[SCENE_BOUND_WEIGHT] = wx;
    bound[SCENE_BOUND_WEIGHT + 1] = wy;
    bound[SCENE_BOUND_WEIGHT + 2] = wz;
}

REAL_FUNCTION ScaleLines scale_lines(const float* row, float reach)
{
    const float low = taper_scale(row, -reach), high = taper_scale(row, reach);
    const float slope = 0.5f * (high - low) / most(reach, LEAST_MARGIN), level = 0.5f * (low + high);
    const float knot = row[SDF_ROW_KNOT];
    float lowest = least(low, high);
    if (magnitude(knot) >= reach)
        return ScaleLines{slope, level, slope, level, lowest};
    const float middle = taper_scale(row, knot);
    lowest = least(middle, lowest);
    if (middle <= fused(slope, knot, level))
        return ScaleLines{slope, level, slope, level, lowest};
    const float below = (middle - low) / sloping_run(knot + reach);
    const float above = (middle - high) / sloping_run(knot - reach);
    return ScaleLines{below, fused(-below, knot, middle), above, fused(-above, knot, middle), lowest};
}

REAL_FUNCTION void add_side(float* bound, float nx, float ny, float support,
                            const ScaleLines& lines, float margin)
{
    if (support < 0.0f) {
        add_plane(bound, nx, ny, 0.0f, fused(support, lines.lowest, margin));
        return;
    }
    add_plane(bound, nx, ny, -(lines.below * support), fused(lines.below_level, support, margin));
    if (lines.below != lines.above)
        add_plane(bound, nx, ny, -(lines.above * support),
                  fused(lines.above_level, support, margin));
}

REAL_FUNCTION int first_corner(const float* row)
{
    int found = 0;
    float most_x = -1e30f;
    for (int i = 0; i < (int)row[SDF_ROW_EDGES]; ++i) {
        const float x = edge_start(row, i).x;
        if (x > most_x) {
            found = i;
            most_x = x;
        }
    }
    return found;
}

REAL_FUNCTION int next_corner(const float* row, int corner)
{
    const Point from = edge_start(row, corner);
    int found = corner;
    float found_x = 0.0f, found_y = 0.0f;
    for (int i = 0; i < (int)row[SDF_ROW_EDGES]; ++i) {
        const Point other = edge_start(row, i);
        const float x = other.x - from.x, y = other.y - from.y;
        const float turn = fused(found_x, y, -(found_y * x));
        if (i != corner && (found == corner || turn < 0.0f)) {
            found = i;
            found_x = x;
            found_y = y;
        }
    }
    return found;
}

REAL_FUNCTION void add_polygon_sides(const float* row, float* bound,
                                     const ScaleLines& lines, float margin)
{
    const int first = first_corner(row);
    int corner = first;
#pragma unroll 1
    for (int side = 0; side < (int)row[SDF_ROW_EDGES]; ++side) {
        const int following = next_corner(row, corner);
        const Point from = edge_start(row, corner), to = edge_start(row, following);
        float nx = to.y - from.y, ny = from.x - to.x;
        const float square = fused(nx, nx, ny * ny);
        if (square > LEAST_SIDE_SQUARE) {
            const float size = root(square);
            nx = nx / size;
            ny = ny / size;
            add_side(bound, nx, ny, profile_support(row, nx, ny), lines, margin);
        }
        corner = following;
        if (corner == first)
            break;
    }
}

REAL_FUNCTION void add_regular_sides(const float* row, float* bound, int count,
                                     const ScaleLines& lines, float margin)
{
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
        const float turns = ((float)i + 0.5f) / (float)count;
        const float nx = sine_of_turns(turns), ny = cosine_of_turns(turns);
        add_side(bound, nx, ny, profile_support(row, nx, ny), lines, margin);
    }
}

REAL_FUNCTION void bound_prism(const float* row, float* bound, float margin)
{
    const float reach = row[SDF_ROW_HALF] + margin, across = row[SDF_ROW_WALL] + margin;
    add_slab(bound, 0.0f, 0.0f, 1.0f, reach);
    set_quadric(bound, 1.0f, 1.0f, 0.0f, part_extent(row, row[SDF_ROW_WALL], margin).x);
    const ScaleLines lines = scale_lines(row, reach + SLACK);
    const int kind = (int)row[SDF_ROW_PROFILE];
    if (kind == SDF_PROFILE_STAR)
        add_regular_sides(row, bound, (int)row[SDF_ROW_EDGES], lines, across);
    else if (kind != SDF_PROFILE_CIRCLE)
        add_polygon_sides(row, bound, lines, across);
    else if (row[SDF_ROW_TAPERED] != 0.0f)
        add_regular_sides(row, bound, TANGENTS, lines, across);
}

REAL_FUNCTION void add_tangents(float* bound, float radial, float along,
                                float most_along)
{
#pragma unroll 1
    for (int i = 0; i < TANGENTS; ++i) {
        const float turns = (float)i / (float)TANGENTS;
        const float nx = radial * cosine_of_turns(turns), nz = radial * sine_of_turns(turns);
        add_plane(bound, nx, along, nz, most_along);
    }
}

REAL_FUNCTION void bound_revolution(const float* row, float* bound, float margin)
{
    add_plane(bound, 0.0f, 1.0f, 0.0f, profile_support(row, 0.0f, 1.0f) + margin);
    add_plane(bound, 0.0f, -1.0f, 0.0f, profile_support(row, 0.0f, -1.0f) + margin);
    float offset = row[SDF_ROW_OFFSET] + margin;
    set_quadric(bound, 1.0f, 0.0f, 1.0f, profile_support(row, 1.0f, 0.0f) + offset);
    offset = fused(DIAGONAL, row[SDF_ROW_OFFSET], margin);
    const float upper = profile_support(row, DIAGONAL, DIAGONAL) + offset;
    add_tangents(bound, DIAGONAL, DIAGONAL, upper);
    const float lower = profile_support(row, DIAGONAL, -DIAGONAL) + offset;
    add_tangents(bound, DIAGONAL, -DIAGONAL, lower);
}

REAL_FUNCTION void bound_cone(const float* row, float* bound, float margin)
{
    add_slab(bound, 0.0f, 1.0f, 0.0f, row[SDF_ROW_HALF] + margin);
    set_quadric(bound, 1.0f, 0.0f, 1.0f, row[SDF_ROW_RADIUS] + margin);
    const float radial = row[SDF_ROW_EDGE + SDF_EDGE_DY], along = -row[SDF_ROW_EDGE + SDF_EDGE_DX];
    add_tangents(bound, radial, along,
                 fused(radial, row[SDF_ROW_RADIUS], fused(-along, row[SDF_ROW_HALF], margin)));
}

REAL_FUNCTION void bound_octahedron(const float* row, float* bound, float margin)
{
    const float reach = row[SDF_ROW_RADIUS] + margin / row[SDF_ROW_SLOPE];
#pragma unroll 1
    for (int i = 0; i < 4; ++i)
        add_slab(bound, 1.0f, i % 2 == 0 ? 1.0f : -1.0f, i < 2 ? 1.0f : -1.0f, reach);
    set_quadric(bound, 1.0f, 1.0f, 1.0f, reach);
}

REAL_FUNCTION void bound_box(const float* row, float* bound, float margin)
{
    const Extent extent = part_extent(row, 0.0f, margin);
    add_slab(bound, 1.0f, 0.0f, 0.0f, extent.x);
    add_slab(bound, 0.0f, 1.0f, 0.0f, extent.y);
    add_slab(bound, 0.0f, 0.0f, 1.0f, extent.z);
    set_quadric(bound, 1.0f, 1.0f, 1.0f, part_radius(row, 0.0f, margin));
}

REAL_FUNCTION void bound_part(const float* row, float* bound, float margin)
{
    const int lift = (int)row[SDF_ROW_LIFT];
    if (lift == SDF_LIFT_SPHERE)
        set_quadric(bound, 1.0f, 1.0f, 1.0f, row[SDF_ROW_RADIUS] + margin);
    else if (lift == SDF_LIFT_OCTAHEDRON)
        bound_octahedron(row, bound, margin);
    else if (lift == SDF_LIFT_CONE)
        bound_cone(row, bound, margin);
    else if (lift == SDF_LIFT_REVOLVE)
        bound_revolution(row, bound, margin);
    else if (lift == SDF_LIFT_GRID)
        bound_box(row, bound, margin);
    else
        bound_prism(row, bound, margin);
}

REAL_FUNCTION void bound_union(const float* item, const float* first, const float* second,
                               float* bound, float margin)
{
    margin = fused(0.25f, item[SCENE_OBJECT_BLEND], margin);
    const float first_wall = first[SDF_ROW_WALL], second_wall = second[SDF_ROW_WALL];
    const Extent e0 = part_extent(first, first_wall, margin);
    const Extent e1 = part_extent(second, second_wall, margin);
    const float* shift = item + SCENE_OBJECT_SHIFT;
    const float sx = shift[0], sy = shift[1], sz = shift[2];
    add_plane(bound, 1.0f, 0.0f, 0.0f, most(e0.x, e1.x + sx));
    add_plane(bound, -1.0f, 0.0f, 0.0f, most(e0.x, e1.x - sx));
    add_plane(bound, 0.0f, 1.0f, 0.0f, most(e0.y, e1.y + sy));
    add_plane(bound, 0.0f, -1.0f, 0.0f, most(e0.y, e1.y - sy));
    add_plane(bound, 0.0f, 0.0f, 1.0f, most(e0.z, e1.z + sz));
    add_plane(bound, 0.0f, 0.0f, -1.0f, most(e0.z, e1.z - sz));
    const float away = magnitude(sx) + magnitude(sy) + magnitude(sz);
    const float radius = most(part_radius(first, first_wall, margin),
                              part_radius(second, second_wall, margin) + away);
    set_quadric(bound, 1.0f, 1.0f, 1.0f, radius);
}

extern "C" __global__ void bound_sdf(
    const float* objects,  // (B, N, SCENE_OBJECT_SIZE)
    const float* parts,    // (B, N, P, SDF_ROW_SIZE)
    const float* depths,   // (J,)
    const float* mappers,  // (K, MAPPER_ROW_SIZE)
    float* bounds,         // (B, N, SCENE_BOUND_SIZE), out
    Int* counts,           // (B, N), set to 0, as `draw_sdf` adds to it
    Int* evaluations,      // (B,), likewise
    int B, int N, int P)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const float* item = objects + thread * SCENE_OBJECT_SIZE;
    const float* rows = parts + thread * P * SDF_ROW_SIZE;
    float* bound = bounds + thread * SCENE_BOUND_SIZE;
    counts[thread] = 0;
    if (thread % N == 0)
        evaluations[thread / N] = 0;
    for (int i = 0; i < SCENE_BOUND_SIZE; ++i)
        bound[i] = 0.0f;
    const float depth = depths[(int)item[SCENE_OBJECT_DISPLACEMENT]];
    const float* mapper = mappers + (int)item[SCENE_OBJECT_MAPPER] * MAPPER_ROW_SIZE;
    const float margin = most(depth + mapper[MAPPER_ROW_REACH], LEAST_MARGIN);
    const int count = (int)item[SCENE_OBJECT_PARTS];
    if (count == 0)  // dropped when it was placed
        add_plane(bound, 0.0f, 0.0f, 0.0f, NOWHERE);
    else if (count > 1)
        bound_union(item, rows, rows + SDF_ROW_SIZE, bound, margin);
    else
        bound_part(rows, bound, margin);
#pragma unroll 1
    for (int plane = 0; plane < (int)bound[SCENE_BOUND_PLANES]; ++plane)
        map_plane(item, bound + SCENE_BOUND_PLANE + 4 * plane);
}
