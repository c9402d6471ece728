// Polygon stacks into bit rows. A block rasterizes one stored slice in shared memory: eight threads
// an edge, one a row. The rules are in polygon.py and rasterize_polygon_stack.py, the twin.
#include "bits.cuh"
#include "polygon.cuh"

struct Edge {
    Int line_first, line_last, label_first, label_last, cross_first, cross_stop;
    Int center, step, label_half, line_half, low, high, slab_step;
};

struct Planes {
    Word *fill, *outline, *line;
    Int words, side;
};

__device__ __forceinline__ int section_size(const int* row, Int numerator, Int denominator)
{
    if (row[OBJECT_VERTICES] != 0)
        return row[OBJECT_VERTICES];
    const Int a = row[OBJECT_AXIS_A] * numerator / denominator;
    const Int b = row[OBJECT_AXIS_B] * numerator / denominator;
    return 360 / ellipse_step(max(a, b));
}

__device__ __forceinline__ Point section_vertex(const int* row, int count, int i, Int z, Ratio scale)
{
    const Int center = row[OBJECT_BOX] / 2;
    if (row[OBJECT_VERTICES] == 0) {
        const bool turned = i >= count / 2;  // the second half is the first, turned about the centre
        const Point vertex =
            ellipse_vertex((turned ? i - count / 2 : i) * (360 / count), row[OBJECT_ANGLE],
                           row[OBJECT_AXIS_A] * scale.numerator / scale.denominator,
                           row[OBJECT_AXIS_B] * scale.numerator / scale.denominator, center);
        return turned ? Point{128 * center - vertex.y, 128 * center - vertex.x} : vertex;
    }
    const int* pair = row + OBJECT_POLAR + 2 * i;
    return polygon_vertex(pair[0], pair[1], center, row[OBJECT_RULE], z, row[OBJECT_DEPTH],
                          scale.numerator, scale.denominator);
}

__device__ __forceinline__ Edge edge_between(Point a, Point b, Int label_radius, Int line_radius)
{
    if (b.y < a.y) {
        const Point other = a;
        a = b;
        b = other;
    }
    const Int dy = b.y - a.y, dx = b.x - a.x, length2 = dx * dx + dy * dy;
    Edge edge;
    edge.line_first = row_at_or_after(a.y - line_radius);
    edge.line_last = (b.y + line_radius) >> 6;
    edge.label_first = row_at_or_after(a.y - label_radius);
    edge.label_last = (b.y + label_radius) >> 6;
    edge.cross_first = row_at_or_after(a.y);
    edge.cross_stop = row_at_or_after(b.y);
    if (dx == 0) {
        edge.line_first = edge.label_first = edge.cross_first;
        edge.line_last = edge.label_last = b.y >> 6;
    }
    edge.center = edge.step = edge.slab_step = 0;
    edge.label_half = edge.line_half = edge.high = FAR;
    edge.low = -FAR;
    if (dy != 0) {
        const double per_dy = reciprocal(dy);
        const RowEnd crossing = strip(a.y, a.x, dx, per_dy, edge.line_first);
        edge.center = crossing.at;
        edge.step = crossing.step;
        edge.label_half = half_width(length2, label_radius, per_dy);
        edge.line_half = half_width(length2, line_radius, per_dy);
    }
    if (dx != 0) {
        const RowSpan ends = slab(a.y, a.x, dy, dx, reciprocal(dx), edge.line_first);
        edge.low = ends.low;
        edge.high = ends.high;
        edge.slab_step = ends.step;
    }
    if (length2 == 0)  // a point: its disc is all there is
        edge.line_last = edge.line_first - 1;
    return edge;
}

__device__ __forceinline__ void set_span(Word* plane, Planes planes, Int y, Int low, Int high)
{
    const Int last = min(high, planes.side - 1);
    for (Int word = max(low, (Int)0) >> 6; 64 * word <= last; ++word)
        atomicOr(plane + word * planes.side + y, clip_span(word, low, last));
}

__device__ __forceinline__ void flip_from(Planes planes, Int y, Int low)
{
    const Int start = max(low, (Int)0);
    for (Int word = start >> 6; word < planes.words; ++word)
        atomicXor(planes.fill + word * planes.side + y,
                  word == start >> 6 ? ~0ull << (start & 63) : ~0ull);
}

__device__ __forceinline__ void add_edge_row(Planes planes, const Edge& edge, Int y)
{
    const Int k = y - edge.line_first;
    const Int center = edge.center + k * edge.step;
    const Int low = edge.low + k * edge.slab_step, high = edge.high + k * edge.slab_step;
    set_span(planes.line, planes, y, (max(center - edge.line_half, low) + CEIL) >> 32,
             (min(center + edge.line_half, high) + BIAS) >> 32);
    if (edge.label_first <= y && y <= edge.label_last)
        set_span(planes.outline, planes, y, (max(center - edge.label_half, low) + CEIL) >> 32,
                 (min(center + edge.label_half, high) + BIAS) >> 32);
    if (edge.cross_first <= y && y < edge.cross_stop)
        flip_from(planes, y, (center + CEIL) >> 32);
}

__device__ __forceinline__ void add_disc_row(Word* plane, Planes planes, Point vertex, Int y, Int reach)
{
    if (y >= 0 && y < planes.side && reach >= 0)
        set_span(plane, planes, y, (vertex.x - reach + 63) >> 6, (vertex.x + reach) >> 6);
}

extern "C" __global__ void rasterize_polygon_stack(
    const int* objects,           // (B, N, columns)
    int orientations, int label_radius, int line_radius,
    const Int* label_discs,       // (64, label_disc_rows)
    const Int* line_discs,        // (64, line_disc_rows)
    int* boxes,                   // (B, N * K, BOX_SIZE), in and out: BOX_VOXELS
    int* slices,                  // (B, N * K, S, SLICE_SIZE), out
    Word* labels, Word* lines,    // (B, N * K, R), out
    int N, int columns, int label_disc_rows, int line_disc_rows, int S, Int R)
{
    extern __shared__ Word shared[];  // three planes of words * side
    __shared__ Point vertices[VERTICES_MAX + 1];
    __shared__ Edge edges[VERTICES_MAX];
    __shared__ int top, bottom, voxels;

    const Int object = (Int)blockIdx.z * N + blockIdx.y;
    const Int variant = object * orientations;
    const int* row = objects + object * columns;
    int* box = boxes + variant * BOX_SIZE;
    const int z = blockIdx.x, threads = blockDim.x, thread = threadIdx.x;
    const int step = box[BOX_STEP], depth = row[OBJECT_DEPTH];
    if (z >= (step ? depth : 1))
        return;

    const Int side = row[OBJECT_BOX], words = (side + 63) >> 6, region = words * side;
    const Planes planes = {shared, shared + region, shared + 2 * region, words, side};
    const Ratio scale = scale_at(row[OBJECT_RULE], z, depth, row[OBJECT_TURN],
                                 row[OBJECT_SCALE_FIRST], row[OBJECT_SCALE_TURN],
                                 row[OBJECT_SCALE_LAST]);
    const int count = section_size(row, scale.numerator, scale.denominator);
    for (Int i = thread; i < 3 * region; i += threads)
        shared[i] = 0;
    for (int i = thread; i <= count; i += threads)
        vertices[i] = section_vertex(row, count, i % count, z, scale);
    if (thread == 0) {
        top = 1 << 30;
        bottom = -(1 << 30);
        voxels = 0;
    }
    __syncthreads();

    for (int i = thread; i < count; i += threads) {
        edges[i] = edge_between(vertices[i], vertices[i + 1], label_radius, line_radius);
        atomicMin(&top, (int)vertices[i].y);
        atomicMax(&bottom, (int)vertices[i].y);
    }
    __syncthreads();

    for (int e = thread / 8; e < count; e += threads / 8) {
        const Edge& edge = edges[e];
        const Int last = min(edge.line_last, side - 1);
        for (Int y = max(edge.line_first, (Int)0) + thread % 8; y <= last; y += 8)
            add_edge_row(planes, edge, y);
        const Point vertex = vertices[e];
        const Int phase = vertex.y & 63, own = vertex.y >> 6;
        for (int k = thread % 8; k < line_disc_rows; k += 8)
            add_disc_row(planes.line, planes, vertex, own - margin(line_radius) + k,
                         line_discs[phase * line_disc_rows + k]);
        if (edge.line_last < edge.line_first && vertex.y == vertices[e + 1].y
            && vertex.x == vertices[e + 1].x)
            for (int k = thread % 8; k < label_disc_rows; k += 8)
                add_disc_row(planes.outline, planes, vertex, own - margin(label_radius) + k,
                             label_discs[phase * label_disc_rows + k]);
    }
    __syncthreads();

    const Int first = max(row_at_or_after((Int)top - line_radius), (Int)0);
    const Int stop = min((((Int)bottom + line_radius) >> 6) + 1, side);
    const Int start = variant * R + (Int)z * region;
    int found = 0;
    for (Int i = thread; i < words * (stop - first); i += threads) {
        const Int at = i / (stop - first) * side + first + i % (stop - first);
        const Word mask = clip_span(at / side, 0, side - 1);
        const Word label = (planes.fill[at] | planes.outline[at]) & mask;
        labels[start + at] = label;
        lines[start + at] = planes.line[at] & mask;
        found += __popcll(label);
    }
    atomicAdd(&voxels, found);
    __syncthreads();

    if (thread == 0) {
        int* record = slices + (variant * S + z) * SLICE_SIZE;
        record[SLICE_FIRST] = (int)first;
        record[SLICE_STOP] = (int)stop;
        record[SLICE_VOXELS] = voxels;
        atomicAdd(box + BOX_VOXELS, step ? voxels : voxels * depth);
    }
}
