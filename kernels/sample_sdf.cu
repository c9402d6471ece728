// Random objects of a scene: classes, places, parameters. One thread an object; the rules are in
// sample_sdf.py, the twin.
#include "philox.cuh"
#include "scene.cuh"
#include "sdf_grid.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr int PARAMETER_DRAW = 4, GRID_DRAW = 7, CORNER_DRAW = 8, PART_DRAWS = 16;
constexpr float SHIFT_LOW = 0.1f, SHIFT_HIGH = 0.7f;
constexpr float SHIFT_SHARE = 0.7f;  // of the parts' depths

REAL_FUNCTION float drawn(const float* which, int parameter, unsigned int word, float side, float width)
{
    const float* row = which + SDF_CLASS_ROW_DRAW + SDF_DRAW_SIZE * parameter;
    const float value = uniform(word, row[SDF_DRAW_LOW], row[SDF_DRAW_HIGH]);
    const int unit = (int)row[SDF_DRAW_UNIT];
    if (unit == SDF_UNIT_SIDE)
        return value * side;
    if (unit == SDF_UNIT_WIDTH)
        return value * width;
    return value;
}

REAL_FUNCTION void draw_parameters(float* values, const float* which, float side, float width,
                                   Long seed, Long index, Long draw)
{
    Words w{0, 0, 0, 0};
#pragma unroll 1
    for (int parameter = 0; parameter < SDF_PARAMETER_SIZE; ++parameter) {
        if (parameter % 4 == 0)
            w = random_words(seed, index, STREAM_SDF, draw + parameter / 4);
        values[parameter] = drawn(which, parameter, w.x, side, width);
        w = Words{w.y, w.z, w.w, 0};
    }
#pragma unroll 1
    for (int parameter = 0; parameter < SDF_PARAMETER_SIZE; ++parameter) {
        const int unit = (int)which[SDF_CLASS_ROW_DRAW + SDF_DRAW_SIZE * parameter + SDF_DRAW_UNIT];
        if (unit == SDF_UNIT_RADIUS)
            values[parameter] *= values[SDF_PARAMETER_RADIUS];
        else if (unit == SDF_UNIT_OFFSET)
            values[parameter] *= values[SDF_PARAMETER_OFFSET];
        else if (unit == SDF_UNIT_HEIGHT)
            values[parameter] *= values[SDF_PARAMETER_HEIGHT];
    }
}

REAL_FUNCTION Point corner(int sector, int count, unsigned int angle_word, unsigned int radius_word,
                           float low, float high)
{
    const float turns = ((float)sector + unit_float(angle_word)) / (float)count;
    const float radius = uniform(radius_word, low, high);
    return Point{radius * cosine_of_turns(turns), radius * sine_of_turns(turns)};
}

REAL_FUNCTION void lay_corners(float* row, int count, float low, float high, Long seed, Long index,
                               Long draw)
{
    row[SDF_ROW_PROFILE] = SDF_PROFILE_POLYGON;
    row[SDF_ROW_EDGES] = count;
    Point first{0.0f, 0.0f}, last{0.0f, 0.0f};
    Words w{0, 0, 0, 0};
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
        if (i % 2 == 0)
            w = random_words(seed, index, STREAM_SDF, draw + i / 2);
        const Point next = i % 2 == 0 ? corner(i, count, w.x, w.y, low, high)
                                      : corner(i, count, w.z, w.w, low, high);
        if (i == 0)
            first = next;
        else
            lay_edge(row, i - 1, last.x, last.y, next.x, next.y);
        last = next;
    }
    lay_edge(row, count - 1, last.x, last.y, first.x, first.y);
}

REAL_FUNCTION void lay_part(float* row, const float* which, float side, float width, float slope,
                            Long seed, Long index, Long draw)
{
    float* values = row + SDF_ROW_EDGE;  // no edge is laid yet
    draw_parameters(values, which, side, width, seed, index, draw + PARAMETER_DRAW);
    const float radius = values[SDF_PARAMETER_RADIUS], offset = values[SDF_PARAMETER_OFFSET];
    const float half = 0.5f * values[SDF_PARAMETER_HEIGHT];
    const float low = least(values[SDF_PARAMETER_CORNER_A], values[SDF_PARAMETER_CORNER_B]);
    const float high = most(values[SDF_PARAMETER_CORNER_A], values[SDF_PARAMETER_CORNER_B]);
    const float bluntness = values[SDF_PARAMETER_BLUNTNESS], scale = values[SDF_PARAMETER_SCALE];
    const float knot = values[SDF_PARAMETER_KNOT], wall = values[SDF_PARAMETER_WALL];
    for (int parameter = 0; parameter < SDF_PARAMETER_SIZE; ++parameter)
        values[parameter] = 0.0f;

    const int lift = (int)which[SDF_CLASS_ROW_LIFT], count = (int)which[SDF_CLASS_ROW_COUNT];
    if (lift == SDF_LIFT_SPHERE)
        return lay_sphere(row, radius);
    if (lift == SDF_LIFT_OCTAHEDRON)
        return lay_octahedron(row, radius, slope);
    if (lift == SDF_LIFT_CONE)
        return lay_cone(row, radius, half + half);
    if (lift == SDF_LIFT_GRID) {
        const unsigned int word = random_words(seed, index, STREAM_SDF, draw + GRID_DRAW).x;
        return lay_grid(row, count + bounded(word, 0, (int)which[SDF_CLASS_ROW_VARIETY] - 1), radius);
    }
    if (lift == SDF_LIFT_REVOLVE) {
        lay_revolution(row, offset);
    } else {
        lay_prism(row, half, (int)which[SDF_CLASS_ROW_ONION], wall);
        lay_taper(row, (int)which[SDF_CLASS_ROW_TAPER], half, scale, knot);
    }
    const int profile = (int)which[SDF_CLASS_ROW_PROFILE];
    if (profile == SDF_PROFILE_CIRCLE) {
        lay_circle(row, radius);
    } else if (profile == SDF_PROFILE_STAR) {
        lay_star(row, count, radius, bluntness);
    } else {
        lay_corners(row, count, low, high, seed, index, draw + CORNER_DRAW);
    }
}

struct PairWords { unsigned int blend, shift, axis; };

REAL_FUNCTION PairWords stand(const float* settings, Long seed, Long index, Long draw, float* item)
{
    const Words w = random_words(seed, index, STREAM_SDF, draw + 1);
    const Words v = random_words(seed, index, STREAM_SDF, draw + 2);
    const Words u = random_words(seed, index, STREAM_SDF, draw + 3);

    const int rotation = (int)settings[SDF_SAMPLING_ROTATION];
    if (rotation == SDF_ROTATION_EULER)
        turn_euler(item, unit_float(w.x) - 0.5f, unit_float(w.y) - 0.5f, unit_float(w.z) - 0.5f);
    else if (rotation == SDF_ROTATION_UNIFORM)
        turn_uniform(item, unit_float(w.x), unit_float(w.y), unit_float(w.z));
    else
        turn_none(item);
    const float shear = settings[SDF_SAMPLING_SHEAR];
    unshear(item, uniform(v.x, -shear, shear), uniform(v.y, -shear, shear),
            uniform(v.z, -shear, shear), settings[SDF_SAMPLING_GRID_SCALE]);

    const float width = settings[SDF_SAMPLING_WIDTH], height = settings[SDF_SAMPLING_HEIGHT];
    const float depth = settings[SDF_SAMPLING_DEPTH], spread = settings[SDF_SAMPLING_SPREAD];
    float* centre = item + SCENE_OBJECT_CENTRE;
    centre[0] = 0.5f * width + uniform(u.x, -spread, spread) * width;
    centre[1] = 0.5f * height + uniform(u.y, -spread, spread) * height;
    centre[2] = 0.5f * depth + uniform(u.z, -spread, spread) * depth;
    lay_matrix(item);
    return PairWords{w.w, v.w, u.w};
}

extern "C" __global__ void sample_sdf(
    const float* settings,      // (SDF_SAMPLING_SIZE,)
    const Int* entries,         // (E, 2)
    const float* classes,       // (C, SDF_CLASS_ROW_SIZE)
    int E, int J, int K,        // entries, displacements, mappers
    unsigned long long seed,
    const unsigned long long* indices,  // (B,)
    float* objects,             // (B, N, SCENE_OBJECT_SIZE), out
    float* parts,               // (B, N, P, SDF_ROW_SIZE), out
    int B, int N, int P)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const Long index = indices[thread / N], draw = (Long)(thread % N) * SDF_DRAWS;
    float* item = objects + thread * SCENE_OBJECT_SIZE;
    float* rows = parts + thread * P * SDF_ROW_SIZE;

    const Words head = random_words(seed, index, STREAM_SDF, draw);
    const int entry = bounded(head.x, 0, E - 1);
    for (int i = 0; i < SCENE_OBJECT_SIZE; ++i)
        item[i] = 0.0f;
    item[SCENE_OBJECT_CLASS] = entry;
    item[SCENE_OBJECT_DISPLACEMENT] = bounded(head.y, 0, J - 1);
    item[SCENE_OBJECT_MAPPER] = bounded(head.z, 0, K - 1);
    item[SCENE_OBJECT_KEY] = (float)(head.w >> 8);
    const PairWords words = stand(settings, seed, index, draw, item);

    const float width = settings[SDF_SAMPLING_WIDTH];
    const float side =
        least(least(settings[SDF_SAMPLING_DEPTH], settings[SDF_SAMPLING_HEIGHT]), width);
    float depths = 0.0f;
    int count = 0;
#pragma unroll 1
    for (int part = 0; part < P; ++part) {
        float* row = rows + part * SDF_ROW_SIZE;
        for (int i = 0; i < SDF_ROW_SIZE; ++i)
            row[i] = 0.0f;
        const Int which = entries[2 * entry + part];
        if (which >= 0) {
            lay_part(row, classes + which * SDF_CLASS_ROW_SIZE, side, width,
                     settings[SDF_SAMPLING_SLOPE], seed, index, draw + part * PART_DRAWS);
            depths = depths + part_depth(row);
            ++count;
        }
    }
    item[SCENE_OBJECT_PARTS] = count;
    if (count > 1) {
        const float low = settings[SDF_SAMPLING_BLEND_LOW], high = settings[SDF_SAMPLING_BLEND_HIGH];
        item[SCENE_OBJECT_BLEND] = uniform(words.blend, low, high) * side;
        const int way = bounded(words.axis, 0, 5);
        const float shift = uniform(words.shift, SHIFT_LOW, SHIFT_HIGH) * (SHIFT_SHARE * depths);
        item[SCENE_OBJECT_SHIFT + way / 2] = way % 2 == 0 ? shift : -shift;
    }
}
