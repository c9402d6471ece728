// Placed polygon stacks as objects of a scene, one thread an object. The rules are in
// polygon_stack_scene.py, the twin.
#include "philox.cuh"
#include "scene.cuh"

typedef long long Int;

#define AXIS_X 0
#define AXIS_Y 1
#define AXIS_Z 2

__device__ __forceinline__ int volume_axis(int orientation, int axis)
{
    if (orientation <= ORIENTATION_UPSIDE_DOWN || orientation > ORIENTATION_SIDE_4)
        return axis;
    if (orientation <= ORIENTATION_SIDE_2)
        return axis != AXIS_X ? AXIS_Y + AXIS_Z - axis : AXIS_X;
    return axis != AXIS_Y ? AXIS_X + AXIS_Z - axis : AXIS_Y;
}

__device__ __forceinline__ bool is_reversed(int orientation, int axis)
{
    if (axis == AXIS_X)
        return orientation == ORIENTATION_SIDE_4;
    if (axis == AXIS_Y)
        return orientation == ORIENTATION_UPSIDE_DOWN || orientation == ORIENTATION_SIDE_2;
    return orientation == ORIENTATION_UPSIDE_DOWN || orientation == ORIENTATION_SIDE_1 ||
           orientation == ORIENTATION_SIDE_3;
}

REAL_FUNCTION float table_cosine(int degrees)
{
    return (float)COSINE[degrees % 360] * 0x1p-24f;
}

REAL_FUNCTION float table_sine(int degrees)
{
    return table_cosine(degrees + 270);
}

REAL_FUNCTION void lay_section(float* row, const int* stack)
{
    const int count = stack[OBJECT_VERTICES];
    if (count == 0) {
        lay_circle(row, least((float)stack[OBJECT_AXIS_A], (float)stack[OBJECT_AXIS_B]));
        return;
    }
    row[SDF_ROW_PROFILE] = SDF_PROFILE_POLYGON;
    row[SDF_ROW_EDGES] = count;
    for (int i = 0; i < count; ++i) {
        const int j = i + 1 < count ? i + 1 : 0;
        const int a = stack[OBJECT_POLAR + 2 * i], b = stack[OBJECT_POLAR + 2 * j];
        const float r = stack[OBJECT_POLAR + 2 * i + 1], s = stack[OBJECT_POLAR + 2 * j + 1];
        lay_edge(row, i, r * table_cosine(a), r * table_sine(a), s * table_cosine(b),
                 s * table_sine(b));
    }
}

REAL_FUNCTION void lay_rule(float* row, const int* stack)
{
    const float depth = stack[OBJECT_DEPTH], turn = stack[OBJECT_TURN];
    const float lowest = 0.5f - 0.5f * depth;
    if (stack[OBJECT_RULE] == Z_RULE_PRISM) {
        row[SDF_ROW_TAPERED] = 0.0f;
        row[SDF_ROW_KNOT_SCALE] = 1.0f;
        return;
    }
    row[SDF_ROW_TAPERED] = 1.0f;
    if (stack[OBJECT_RULE] == Z_RULE_PYRAMID) {
        row[SDF_ROW_KNOT] = lowest;
        row[SDF_ROW_KNOT_SCALE] = 1.0f;
        row[SDF_ROW_SLOPE_BELOW] = -1.0f / depth;
        row[SDF_ROW_SLOPE_ABOVE] = row[SDF_ROW_SLOPE_BELOW];
        return;
    }
    const float first = (float)stack[OBJECT_SCALE_FIRST] * 0x1p-16f;
    const float middle = (float)stack[OBJECT_SCALE_TURN] * 0x1p-16f;
    const float last = (float)stack[OBJECT_SCALE_LAST] * 0x1p-16f;
    row[SDF_ROW_KNOT] = lowest + turn;
    row[SDF_ROW_KNOT_SCALE] = middle;
    row[SDF_ROW_SLOPE_BELOW] = turn > 0.0f ? (middle - first) / turn : 0.0f;
    row[SDF_ROW_SLOPE_ABOVE] = turn < depth ? (last - middle) / (depth - turn) : 0.0f;
}

REAL_FUNCTION void stand_stack(float* item, const int* stack, const int* place, int orientation)
{
    const float side = stack[OBJECT_BOX], depth = stack[OBJECT_DEPTH];
    const float middle = stack[OBJECT_BOX] / 2;
    for (int axis = 0; axis < 3; ++axis) {
        const int lies_along = volume_axis(orientation, axis);
        const bool backward = is_reversed(orientation, axis);
        const float length = axis == AXIS_Z ? depth : side;
        const float centre = axis == AXIS_Z ? 0.5f * (depth - 1.0f) : middle;
        for (int column = 0; column < 3; ++column)
            item[SCENE_OBJECT_TURN + 3 * axis + column] = 0.0f;
        item[SCENE_OBJECT_TURN + 3 * axis + lies_along] = backward ? -1.0f : 1.0f;
        const float corner = place[PLACED_Z + 2 - lies_along];
        item[SCENE_OBJECT_CENTRE + lies_along] =
            corner + (backward ? (length - 1.0f) - centre : centre);
    }
}

REAL_FUNCTION void squeeze(float* item, const int* stack)
{
    const float a = stack[OBJECT_AXIS_A], b = stack[OBJECT_AXIS_B];
    const float c = table_cosine(stack[OBJECT_ANGLE]), s = table_sine(stack[OBJECT_ANGLE]);
    const float along = least(a, b) / a, across = least(a, b) / b;
    for (int column = 0; column < 3; ++column) {
        float* turn = item + SCENE_OBJECT_TURN + column;
        const float x = turn[0], y = turn[3];
        turn[0] = along * fused(c, x, s * y);
        turn[3] = across * fused(c, y, -(s * x));
    }
}

extern "C" __global__ void polygon_stack_scene(
    const int* stacks,                  // (B, N, columns)
    const int* placed,                  // (B, N, PLACED_SIZE)
    const Int* orientations,            // (K,)
    int K, int mappers,
    unsigned long long seed,
    const unsigned long long* indices,  // (B,)
    float* objects,                     // (B, N, SCENE_OBJECT_SIZE), out
    float* parts,                       // (B, N, 1, SDF_ROW_SIZE), out
    int B, int N, int columns)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const int* place = placed + thread * PLACED_SIZE;
    const int n = place[PLACED_OBJECT];
    const Int at = thread / N * N + n;
    const int* stack = stacks + at * columns;
    float* item = objects + at * SCENE_OBJECT_SIZE;
    float* row = parts + at * SDF_ROW_SIZE;

    const Words words = random_words(seed, indices[thread / N], STREAM_SDF, (Int)n * SDF_DRAWS);
    for (int i = 0; i < SCENE_OBJECT_SIZE; ++i)
        item[i] = 0.0f;
    for (int i = 0; i < SDF_ROW_SIZE; ++i)
        row[i] = 0.0f;
    item[SCENE_OBJECT_CLASS] = stack[OBJECT_LABEL] - 1;
    item[SCENE_OBJECT_MAPPER] = bounded(words.z, 0, mappers - 1);
    item[SCENE_OBJECT_KEY] = (float)(words.w >> 8);
    item[SCENE_OBJECT_PARTS] = place[PLACED_ACCEPTED];
    stand_stack(item, stack, place, (int)orientations[place[PLACED_VARIANT] % K]);
    if (stack[OBJECT_VERTICES] == 0)
        squeeze(item, stack);
    lay_matrix(item);
    lay_prism(row, 0.5f * (float)stack[OBJECT_DEPTH], 0, 0.0f);
    lay_section(row, stack);
    lay_rule(row, stack);
}
