// Random polygon stacks: classes, sizes, section vertices. One thread an object; the rules are in
// sample_polygon_stack.py, the twin.
#include "philox.cuh"

typedef long long Int;

__device__ __forceinline__ void sample_vertices(const Int* settings, unsigned long long seed,
                                                unsigned long long index, int n, int vertices,
                                                int radius_high, int* row)
{
    const int radius_low = (int)settings[SAMPLING_RADIUS_LOW];
    for (int i = 0; i < vertices; i += 2) {
        const Words w = random_words(seed, index, STREAM_POLYGON_STACK, (Int)n * SAMPLE_DRAWS + 3 + i / 2);
        int* pair = row + OBJECT_POLAR + 2 * i;
        pair[0] = bounded(w.x, 360 * i / vertices, 360 * (i + 1) / vertices);
        pair[1] = bounded(w.y, radius_low, radius_high);
        if (i + 1 < vertices) {
            pair[2] = bounded(w.z, 360 * (i + 1) / vertices, 360 * (i + 2) / vertices);
            pair[3] = bounded(w.w, radius_low, radius_high);
        }
    }
}

extern "C" __global__ void sample_polygon_stack(
    const Int* settings,                // (SAMPLING_SIZE,)
    const Int* xy_vertices,             // (XY_CLASSES,)
    const Int* z_rules,                 // (Z_CLASSES,)
    unsigned long long seed,
    const unsigned long long* indices,  // (B,)
    int orientations,
    int* objects,                       // (B, N, columns), out
    int* boxes,                         // (B, N * K, BOX_SIZE), out
    int B, int N, int columns)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const int n = (int)(thread % N);
    const unsigned long long index = indices[thread / N];
    int* row = objects + thread * columns;
    int* box = boxes + thread * orientations * BOX_SIZE;

    const Words head = random_words(seed, index, STREAM_POLYGON_STACK, (Int)n * SAMPLE_DRAWS);
    const Words axes = random_words(seed, index, STREAM_POLYGON_STACK, (Int)n * SAMPLE_DRAWS + 1);
    const Words ends = random_words(seed, index, STREAM_POLYGON_STACK, (Int)n * SAMPLE_DRAWS + 2);

    const int z_classes = (int)settings[SAMPLING_Z_CLASSES];
    const int label = bounded(head.x, 0, (int)settings[SAMPLING_XY_CLASSES] * z_classes - 1);
    const int vertices = (int)xy_vertices[label / z_classes];
    const int rule = (int)z_rules[label % z_classes];
    const int depth =
        bounded(head.y, (int)settings[SAMPLING_DEPTH_LOW], (int)settings[SAMPLING_DEPTH_HIGH]);
    row[OBJECT_LABEL] = label + 1;
    row[OBJECT_VERTICES] = vertices;
    row[OBJECT_RULE] = rule;
    row[OBJECT_DEPTH] = depth;
    row[OBJECT_ANGLE] = bounded(head.w, 0, 180);

    const int margin = min((int)settings[SAMPLING_TURN_MARGIN], depth / 2);
    row[OBJECT_TURN] = bounded(axes.z, margin, depth - margin);
    const int outer = rule == Z_RULE_RHOMBUS ? SAMPLING_NARROW_LOW : SAMPLING_WIDE_LOW;
    const int inner = rule == Z_RULE_RHOMBUS ? SAMPLING_WIDE_LOW : SAMPLING_NARROW_LOW;
    row[OBJECT_SCALE_FIRST] = bounded(axes.w, (int)settings[outer], (int)settings[outer + 1]);
    row[OBJECT_SCALE_TURN] = bounded(ends.x, (int)settings[inner], (int)settings[inner + 1]);
    row[OBJECT_SCALE_LAST] = bounded(ends.y, (int)settings[outer], (int)settings[outer + 1]);

    int side;
    row[OBJECT_AXIS_A] = row[OBJECT_AXIS_B] = 0;
    if (vertices == 0) {
        const int low = (int)settings[SAMPLING_AXIS_LOW];
        const int largest = bounded(head.z, low, (int)settings[SAMPLING_AXIS_HIGH]);
        const int a = bounded(axes.x, low, largest), b = bounded(axes.y, low, largest);
        row[OBJECT_AXIS_A] = a;
        row[OBJECT_AXIS_B] = b;
        side = 2 * max(a, b);
        if (rule == Z_RULE_HOURGLASS || rule == Z_RULE_RHOMBUS)
            side += (int)settings[SAMPLING_ELLIPSE_MARGIN];
    } else {
        side = bounded(head.z, (int)settings[SAMPLING_BOX_LOW], (int)settings[SAMPLING_BOX_HIGH]);
        sample_vertices(settings, seed, index, n, vertices, side / 2, row);
    }
    row[OBJECT_BOX] = side;
    box[BOX_DEPTH] = depth;
    box[BOX_HEIGHT] = side;
    box[BOX_WIDTH] = side;
    box[BOX_STEP] = rule == Z_RULE_PRISM ? 0 : 1;
    box[BOX_VOXELS] = 0;
}
