// Random fractals: classes, sizes, places, and their systems as they are drawn. One thread an object;
// the rules are in sample_fractal.py, the twin.
#include "fractal.cuh"
#include "scene.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr int VALUES = FRACTAL_MAPS_MAX * FRACTAL_COEFFICIENTS;
constexpr int JITTER_DRAWS = VALUES / 4, STEPS = FRACTAL_WARM + FRACTAL_POINTS;
constexpr Int ONE = 1ll << FRACTAL_BITS, REACH = (Int)FRACTAL_REACH << FRACTAL_BITS;
constexpr Int HALF_LEAST = ONE >> 2, ADDED_MOST = 1ll << 30;

__device__ __forceinline__ int jittered(int coefficient, unsigned int word, int most)
{
    return coefficient + (int)(((Int)coefficient * bounded(word, -most, most)) >> 16);
}

__device__ __forceinline__ void jitter_maps(const int* source, int most, Long seed, Long index,
                                            Long draw, int* row)
{
#pragma unroll 1
    for (int group = 0; group < JITTER_DRAWS; ++group) {
        const Words words = random_words(seed, index, STREAM_FRACTAL, draw + group);
        row[4 * group] = jittered(source[4 * group], words.x, most);
        row[4 * group + 1] = jittered(source[4 * group + 1], words.y, most);
        row[4 * group + 2] = jittered(source[4 * group + 2], words.z, most);
        row[4 * group + 3] = jittered(source[4 * group + 3], words.w, most);
    }
}

__device__ __forceinline__ Int turned(Int a, Int b, Int c, Int x, Int y, Int z)
{
    return (a * x + b * y + c * z) >> FRACTAL_TURN_BITS;
}

struct Turn { int r[9]; };

__device__ __forceinline__ void turn_maps(const Turn& turn, int* row)
{
#pragma unroll 1
    for (int at = 0; at < VALUES; at += FRACTAL_COEFFICIENTS) {
        int* m = row + at;
        Int work[9];
#pragma unroll
        for (int i = 0; i < 3; ++i)
#pragma unroll
            for (int j = 0; j < 3; ++j)
                work[3 * i + j] = turned(turn.r[3 * i], turn.r[3 * i + 1], turn.r[3 * i + 2], m[j],
                                         m[3 + j], m[6 + j]);
        const Int x = m[9], y = m[10], z = m[11];
#pragma unroll
        for (int i = 0; i < 3; ++i) {
#pragma unroll
            for (int j = 0; j < 3; ++j)
                m[3 * i + j] = (int)turned(work[3 * i], work[3 * i + 1], work[3 * i + 2],
                                           turn.r[3 * j], turn.r[3 * j + 1], turn.r[3 * j + 2]);
            m[9 + i] = (int)turned(turn.r[3 * i], turn.r[3 * i + 1], turn.r[3 * i + 2], x, y, z);
        }
    }
}

struct Bounds { Place low, high; };

__device__ __forceinline__ Bounds measure(const int* row, const unsigned char* slots, Long seed,
                                          Long index, Long draw)
{
    Bounds found{Place{REACH, REACH, REACH}, Place{-REACH, -REACH, -REACH}};
#pragma unroll 1
    for (int chain = 0; chain < FRACTAL_PROBES; ++chain) {
        Place at{0, 0, 0};
        Words words{0, 0, 0, 0};
#pragma unroll 1
        for (int step = 0; step < STEPS; ++step) {
            if ((step & 15) == 0)
                words = random_words(seed, index, STREAM_FRACTAL,
                                     draw + chain * FRACTAL_CHAIN_DRAWS + (step >> 4));
            at = stepped(row + FRACTAL_COEFFICIENTS * slots[chosen_byte(words, step)], REACH, at);
            if (step >= FRACTAL_WARM) {
                found.low = Place{min(found.low.x, at.x), min(found.low.y, at.y), min(found.low.z, at.z)};
                found.high =
                    Place{max(found.high.x, at.x), max(found.high.y, at.y), max(found.high.z, at.z)};
            }
        }
    }
    return found;
}

__device__ __forceinline__ void scale_maps(const Bounds& bounds, int side, int* row)
{
    const Place &low = bounds.low, &high = bounds.high;
    const Int half = max(high.x - low.x, max(high.y - low.y, high.z - low.z)) >> 1;
    const Int scale = ((Int)side << (FRACTAL_BITS - 1)) / max(half, HALF_LEAST);
    const Int mx = (low.x + high.x) >> 1, my = (low.y + high.y) >> 1, mz = (low.z + high.z) >> 1;
#pragma unroll 1
    for (int at = 0; at < VALUES; at += FRACTAL_COEFFICIENTS) {
        int* m = row + at;
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            const Int moved = (m[3 * i] * mx + m[3 * i + 1] * my + m[3 * i + 2] * mz) >> FRACTAL_BITS;
            const Int middle = i == 0 ? mx : i == 1 ? my : mz;
            m[9 + i] = (int)kept(((moved + m[9 + i] - middle) * scale) >> FRACTAL_BITS, ADDED_MOST);
        }
    }
}

extern "C" __global__ void sample_fractal(
    const int* __restrict__ settings,         // (FRACTAL_SAMPLING_SIZE,)
    const int* __restrict__ systems,          // (C, FRACTAL_MAPS_MAX, FRACTAL_COEFFICIENTS)
    const unsigned char* __restrict__ slots,  // (C, FRACTAL_SLOTS)
    int C, unsigned long long seed,
    const unsigned long long* __restrict__ indices,  // (B,)
    float* objects,                           // (B, N, SCENE_OBJECT_SIZE), out
    int* rows,                                // (B, N, FRACTAL_PARTS, FRACTAL_ROW_SIZE), out
    int B, int N)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const Long index = indices[thread / N], draw = (Long)(thread % N) << FRACTAL_DRAW_BITS;
    float* item = objects + thread * SCENE_OBJECT_SIZE;
    int* targets = rows + thread * FRACTAL_PARTS * FRACTAL_ROW_SIZE;

    const Words head = random_words(seed, index, STREAM_FRACTAL, draw);
    const Words spin = random_words(seed, index, STREAM_FRACTAL, draw + 1);
    const Words place = random_words(seed, index, STREAM_FRACTAL, draw + 2);
    const int own = bounded(head.x, 0, C - 1), other = bounded(head.y, 0, C - 1);
    const int side = bounded(head.z, settings[FRACTAL_SAMPLING_SIDE_LOW],
                             settings[FRACTAL_SAMPLING_SIDE_HIGH]);
    for (int i = 0; i < SCENE_OBJECT_SIZE; ++i)
        item[i] = 0.0f;
    item[SCENE_OBJECT_CLASS] = own;
    if (settings[FRACTAL_SAMPLING_TURNED])
        turn_uniform(item, unit_float(spin.x), unit_float(spin.y), unit_float(spin.z));
    else
        turn_none(item);
    Turn turn;
#pragma unroll
    for (int i = 0; i < 9; ++i)
        turn.r[i] = (int)floor_of(item[SCENE_OBJECT_TURN + i] * (float)(1 << FRACTAL_TURN_BITS) + 0.5f);
    const float spread = (float)settings[FRACTAL_SAMPLING_SPREAD] * 0x1p-16f;
    const float width = settings[FRACTAL_SAMPLING_WIDTH], height = settings[FRACTAL_SAMPLING_HEIGHT];
    const float depth = settings[FRACTAL_SAMPLING_DEPTH];
    float* centre = item + SCENE_OBJECT_CENTRE;
    centre[0] = 0.5f * width + uniform(place.x, -spread, spread) * width;
    centre[1] = 0.5f * height + uniform(place.y, -spread, spread) * height;
    centre[2] = 0.5f * depth + uniform(place.z, -spread, spread) * depth;

#pragma unroll 1
    for (int part = 0; part < FRACTAL_PARTS; ++part) {
        const int which = part == 0 ? own : other;
        int* row = targets + part * FRACTAL_ROW_SIZE;
        jitter_maps(systems + (Int)which * VALUES, settings[FRACTAL_SAMPLING_JITTER], seed, index,
                    draw + FRACTAL_JITTER_DRAW + part * JITTER_DRAWS, row);
        turn_maps(turn, row);
        const Bounds bounds =
            measure(row, slots + (Int)which * FRACTAL_SLOTS, seed, index,
                    draw + FRACTAL_PROBE_DRAW + part * FRACTAL_PROBES * FRACTAL_CHAIN_DRAWS);
        scale_maps(bounds, side, row);
        row[FRACTAL_ROW_CLASS] = which;
        for (int axis = 0; axis < 3; ++axis)
            row[FRACTAL_ROW_CENTRE + axis] = (int)floor_of(centre[axis] * 65536.0f);
    }
}
