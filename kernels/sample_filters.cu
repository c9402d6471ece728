// Weights of a chain's filters, drawn for a volume and channel. One block a filter and axis; the
// rules are in sample_filters.py, the twin.
#include "gaussian.cuh"
#include "philox.cuh"
#include "scene.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr float SD_LOW = 0.2f, FACTOR_LOW = 1 / 1.03, FACTOR_HIGH = 1.03f;
constexpr float NATIVE = 0.5f, PER_THICKNESS = 0.75f, HALF_LOG2_E = 0.72134752044448170368;

REAL_FUNCTION unsigned int word_of(Words words, int axis)
{
    return axis == 0 ? words.x : axis == 1 ? words.y : words.z;
}

// A Gaussian's weights about a voxel, of one side and its middle, where `sd` is not small.
REAL_FUNCTION void lay_blur(float* line, float sd, float* weights)
{
    if (sd < SD_LOW)
        return;
    const int radius = (int)ceiling(3.0f * sd);
    const float rate = -HALF_LOG2_E / (sd * sd);
    float total = 1.0f;
    for (int k = 1; k <= radius; ++k)
        total = fused(2.0f, power_of_two(rate * ((float)k * (float)k)), total);
    for (int k = threadIdx.x; k <= radius; k += blockDim.x)
        weights[k] = (k == 0 ? 1.0f : power_of_two(rate * ((float)k * (float)k))) / total;
    if (threadIdx.x == 0)
        line[FILTER_LINE_RADIUS] = radius;
}

// Where samples lie, and a Gaussian's weights about each.
REAL_FUNCTION void lay_samples(float* line, int side, float spacing, float sd, float* weights)
{
    const int samples = max((int)floor_of((float)side / spacing + 0.5f), 1);
    const int radius = (int)ceiling(3.0f * sd);
    const float origin =
        fused(-0.5f * (float)(samples - 1), spacing, 0.5f * (float)(side - 1));
    if (threadIdx.x == 0) {
        line[FILTER_LINE_RADIUS] = radius;
        line[FILTER_LINE_SAMPLES] = samples;
        line[FILTER_LINE_FIRST] = origin;
        line[FILTER_LINE_SPACING] = spacing;
        line[FILTER_LINE_RATE] = 1.0f / spacing;
    }
    const float rate = -HALF_LOG2_E / (sd * sd);
    const int stride = (samples + 15) & ~15, taps = 2 * radius + 2;
    for (int j = threadIdx.x; j < samples; j += blockDim.x) {
        const float place = fused((float)j, spacing, origin);
        const float first = floor_of(place) - (float)radius - place;
        float total = 0.0f;
        for (int t = 0; t < taps; ++t) {
            const float away = first + (float)t, weight = power_of_two(rate * (away * away));
            weights[(Int)t * stride + j] = weight;
            total = total + weight;
        }
        for (int t = 0; t < taps; ++t)
            weights[(Int)t * stride + j] = weights[(Int)t * stride + j] / total;
    }
}

extern "C" __global__ void sample_filters(
    const float* settings,  // (S, STEP_SETTING_SIZE)
    const int* steps,       // (F, FILTER_STEPS_SIZE)
    const float* spacing,   // (3,)
    const float* drawn,     // (B, S, STEP_SIZE)
    Long seed,
    const Long* indices,  // (B,)
    int channel,
    float* filters,  // (B, F, 3, FILTER_LINE_SIZE), out
    float* weights,  // (B, N), out
    int S, int F, Int N, int D, int H, int W)
{
    const int f = blockIdx.x / 3, axis = blockIdx.x % 3;
    const Int b = blockIdx.y;
    const int step = steps[f * FILTER_STEPS_SIZE + FILTER_STEPS_STEP];
    const float* row = settings + step * STEP_SETTING_SIZE;
    const float* own = drawn + (b * S + step) * STEP_SIZE;
    float* line = filters + ((b * F + f) * 3 + axis) * FILTER_LINE_SIZE;
    if (threadIdx.x < FILTER_LINE_SIZE)
        line[threadIdx.x] = 0.0f;
    __syncthreads();

    const int side = axis == 0 ? D : axis == 1 ? H : W;
    if (side == 1 || own[STEP_ACTIVE] == 0.0f)
        return;
    float* target = weights + b * N + steps[f * FILTER_STEPS_SIZE + FILTER_STEPS_WEIGHTS + axis];
    const Long draw = first_draw(channel, step, CHAIN_PART_FILTER);
    const Words words = random_words(seed, indices[b], STREAM_CHAIN, draw);
    const Words apart = random_words(seed, indices[b], STREAM_CHAIN, draw + 1);
    const Words thick = random_words(seed, indices[b], STREAM_CHAIN, draw + 2);
    const Words factors = random_words(seed, indices[b], STREAM_CHAIN, draw + 3);
    const bool everywhere = unit_float(words.x) < row[STEP_SETTING_SHARE];
    const int only = bounded(words.y, D > 1 ? 0 : 1, 2);

    float sd, coarser = 1.0f;
    if ((int)row[STEP_SETTING_KIND] == STEP_KIND_BLUR) {
        if (axis == 0 && row[STEP_SETTING_B_HIGH] >= 0.0f)
            sd = uniform(words.y, row[STEP_SETTING_B_LOW], row[STEP_SETTING_B_HIGH]);
        else
            sd = uniform(words.x, row[STEP_SETTING_A_LOW], row[STEP_SETTING_A_HIGH]);
    } else {
        sd = NATIVE;
        if (own[STEP_P] != 0.0f && (everywhere || axis == only)) {
            const float low = spacing[axis];
            const float high =
                most(everywhere ? row[STEP_SETTING_A_HIGH] : row[STEP_SETTING_B_HIGH], low);
            const float found = uniform(word_of(apart, axis), low, high);
            coarser = found / low;
            if (coarser > 1.0f)
                sd = PER_THICKNESS * (uniform(word_of(thick, axis), low, found) / low);
        }
        sd = sd * uniform(word_of(factors, axis), FACTOR_LOW, FACTOR_HIGH);
    }
    sd = least(sd, (float)FILTER_SD_MAX);
    if (coarser > 1.0f)
        lay_samples(line, side, coarser, sd, target);
    else
        lay_blur(line, sd, target);
}
