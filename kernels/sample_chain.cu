// What a chain draws for a volume's channel and for each label value. One thread a step, or a label
// value of a table of tones; the rules are in sample_chain.py, the twin.
#include "gaussian.cuh"
#include "philox.cuh"
#include "scene.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr int MODELS = 3;                        // of noise
constexpr float LOG2_E = 1.44269504088896340736;
constexpr float HARD = 0x1p20f;                  // 1 / ramp of a buffer without one
constexpr float LEAST_SHARE = 0x1p-20f;

REAL_FUNCTION float range_a(const float* row, unsigned int word)
{
    return uniform(word, row[STEP_SETTING_A_LOW], row[STEP_SETTING_A_HIGH]);
}

REAL_FUNCTION float drawn_model(unsigned int word, int bits)
{
    int count = 0, found = 0;
#pragma unroll
    for (int model = 0; model < MODELS; ++model)
        count += bits >> model & 1;
    int which = (int)((Long)word * (Long)count >> 32);
#pragma unroll
    for (int model = 0; model < MODELS; ++model)
        if (bits >> model & 1) {
            if (which == 0)
                found = model;
            --which;
        }
    return (float)found;
}

REAL_FUNCTION void draw_step(const float* row, Long seed, Long index, Long draw, float* own)
{
    const Words words = random_words(seed, index, STREAM_CHAIN, draw);
    const int kind = (int)row[STEP_SETTING_KIND];
    float taken = unit_float(words.x) < row[STEP_SETTING_PROBABILITY] ? 1.0f : 0.0f;
    float p = 0.0f, q = 0.0f;
    if (kind == STEP_KIND_OUTLINE) {
        const float half =
            0.5f * uniform(words.z, row[STEP_SETTING_B_LOW], row[STEP_SETTING_B_HIGH]);
        p = range_a(row, words.y);
        q = half * half;
    } else if (kind == STEP_KIND_TEXTURE || kind == STEP_KIND_WAVES) {
        const float ramp = uniform(words.w, row[STEP_SETTING_C_LOW], row[STEP_SETTING_C_HIGH]);
        p = uniform(words.z, row[STEP_SETTING_B_LOW], row[STEP_SETTING_B_HIGH]);
        if (ramp > 0.0f)
            q = 1.0f / ramp;
        else if (p > 0.0f)
            q = HARD;
    } else if (kind == STEP_KIND_BIAS) {
        p = range_a(row, words.y);
    } else if (kind == STEP_KIND_GAMMA) {
        p = power_of_two(row[STEP_SETTING_A_HIGH] * LOG2_E * normal_pair(words.y).x);
    } else if (kind == STEP_KIND_NOISE) {
        p = range_a(row, words.y);
        q = drawn_model(words.z, (int)row[STEP_SETTING_COUNT]);
    } else if (kind == STEP_KIND_CLIP) {
        p = row[STEP_SETTING_A_LOW];
        q = row[STEP_SETTING_A_HIGH];
    } else if (kind == STEP_KIND_RESOLUTION) {
        p = taken;
        taken = 1.0f;
    }
    own[STEP_ACTIVE] = taken;
    own[STEP_P] = p;
    own[STEP_Q] = q;
}

// `mean + step`, or `mean - step` where only that lies in `low` .. `high`.
REAL_FUNCTION float within(float mean, float step, float low, float high)
{
    const float ahead = mean + step, behind = mean - step;
    if ((ahead < low || ahead > high) && low <= behind && behind <= high)
        return behind;
    return ahead;
}

REAL_FUNCTION bool is_near(const float* row, Int label, Words words)
{
    return label > 1 && unit_float(words.z) < row[STEP_SETTING_SHARE];
}

REAL_FUNCTION float mean_after(const float* row, float before, float background, Words words)
{
    const float low = row[STEP_SETTING_A_LOW], high = row[STEP_SETTING_A_HIGH];
    float step = uniform(words.w, row[STEP_SETTING_C_LOW], row[STEP_SETTING_C_HIGH]);
    if (words.w & 1u)
        step = -step;
    float mean = within(before, step, low, high);
    if (magnitude(mean - background) < row[STEP_SETTING_COUNT])
        mean = within(before, -step, low, high);
    return clamped(mean, low, high);
}

REAL_FUNCTION float kept_away(const float* row, float mean, float background)
{
    const float away = mean - background, contrast = row[STEP_SETTING_COUNT];
    if (!(magnitude(away) < contrast))
        return mean;
    return within(background, away >= 0.0f ? contrast : -contrast, row[STEP_SETTING_A_LOW],
                  row[STEP_SETTING_A_HIGH]);
}

// Mean and standard deviation of the background.
REAL_FUNCTION float2 drawn_background(const float* row, Words words)
{
    const float chance = unit_float(words.z);
    if (chance < row[STEP_SETTING_BLACK])
        return make_float2(0.0f, 0.0f);
    if (chance < row[STEP_SETTING_BLACK] + row[STEP_SETTING_DARK])
        return make_float2(uniform(words.x, row[STEP_SETTING_F_LOW], row[STEP_SETTING_F_HIGH]),
                           uniform(words.y, row[STEP_SETTING_G_LOW], row[STEP_SETTING_G_HIGH]));
    return make_float2(uniform(words.x, row[STEP_SETTING_D_LOW], row[STEP_SETTING_D_HIGH]),
                       uniform(words.y, row[STEP_SETTING_E_LOW], row[STEP_SETTING_E_HIGH]));
}

// A label's mean: from the last one that goes by no other, on to its own.
REAL_FUNCTION float mean_of(const float* row, Long seed, Long index, Long draw, Int label)
{
    const float background =
        drawn_background(row, random_words(seed, index, STREAM_CHAIN, draw)).x;
    if (label == 0)
        return background;
    Int first = label;
#pragma unroll 1
    while (is_near(row, first, random_words(seed, index, STREAM_CHAIN, draw + first)))
        --first;
    float mean = 0.0f;
#pragma unroll 1
    for (Int at = first; at <= label; ++at) {
        const Words words = random_words(seed, index, STREAM_CHAIN, draw + at);
        mean = at == first ? range_a(row, words.x) : mean_after(row, mean, background, words);
        mean = kept_away(row, mean, background);
    }
    return mean;
}

REAL_FUNCTION float exponential(unsigned int word)
{
    return most(-logarithm_of_two((float)(int)(2 * (word >> 9) + 1) * 0x1p-24f), LEAST_SHARE);
}

REAL_FUNCTION void draw_octaves(int octaves, float amplitude, Words words, Words more, float* tones)
{
    const unsigned int all[OCTAVES_MAX] = {words.y, words.z, words.w, more.x, more.y, more.z};
    float total = 0.0f;
#pragma unroll
    for (int octave = 0; octave < OCTAVES_MAX; ++octave)
        if (octave < octaves)
            total = total + exponential(all[octave]);
#pragma unroll
    for (int octave = 0; octave < OCTAVES_MAX; ++octave)
        if (octave < octaves)
            tones[TONE_AMPLITUDE + octave] = amplitude * (exponential(all[octave]) / total);
}

extern "C" __global__ void sample_chain(
    const float* settings,  // (S, STEP_SETTING_SIZE)
    const int* alike,       // (L,)
    Long seed,
    const Long* indices,  // (B,)
    int channel,
    float* drawn,   // (B, S, STEP_SIZE), out
    float* tones,   // (B, T, L, TONE_SIZE), out
    int* extremes,  // (B, S, 2), out
    int S, int T, Int L)
{
    const Int b = blockIdx.z, label = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    const Long index = indices[b];
    const int table = blockIdx.y;
    if (table == T) {
        if (label < S) {
            draw_step(settings + label * STEP_SETTING_SIZE, seed, index,
                      first_draw(channel, (int)label, CHAIN_PART_PARAMETERS),
                      drawn + (b * S + label) * STEP_SIZE);
            extremes[(b * S + label) * 2] = 0x7FFFFFFF;
            extremes[(b * S + label) * 2 + 1] = -0x7FFFFFFF - 1;
        }
        return;
    }
    if (label >= L)
        return;

    int step = 0, base = 0;  // the table's step, and the last one of intensities before it
    while ((int)settings[step * STEP_SETTING_SIZE + STEP_SETTING_TONE] != table) {
        if ((int)settings[step * STEP_SETTING_SIZE + STEP_SETTING_KIND] == STEP_KIND_INTENSITY)
            base = step;
        ++step;
    }
    const float* row = settings + step * STEP_SETTING_SIZE;
    const Int like = alike[label];
    float* own = tones + ((b * T + table) * L + label) * TONE_SIZE;
    for (int i = 0; i < TONE_SIZE; ++i)
        own[i] = 0.0f;

    const int kind = (int)row[STEP_SETTING_KIND];
    const Long draw = first_draw(channel, step, CHAIN_PART_TONES);
    if (kind == STEP_KIND_INTENSITY) {
        const Words words = random_words(seed, index, STREAM_CHAIN, draw + like);
        own[TONE_MEAN] = mean_of(row, seed, index, draw, like);
        own[TONE_SD] =
            like == 0 ? drawn_background(row, words).y
                      : uniform(words.y, row[STEP_SETTING_B_LOW], row[STEP_SETTING_B_HIGH]);
        return;
    }
    const Words words = random_words(seed, index, STREAM_CHAIN, draw + 2 * like);
    const Words more = random_words(seed, index, STREAM_CHAIN, draw + 2 * like + 1);
    float amplitude = range_a(row, words.x);
    if (row[STEP_SETTING_SHARE] > 0.0f)
        amplitude = amplitude * mean_of(settings + base * STEP_SETTING_SIZE, seed, index,
                                        first_draw(channel, base, CHAIN_PART_TONES), like);
    const int octaves = kind == STEP_KIND_TEXTURE ? (int)row[STEP_SETTING_COUNT] : 1;
    draw_octaves(octaves, amplitude, words, more, own);
}
