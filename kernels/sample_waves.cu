// Draws plane waves and lays their cosines and sines along the axes. The rules are in
// sample_waves.py, the twin.
//
// Launch: grid (K, B), any block: a block makes the waves of a band.
#include "gaussian.cuh"
#include "philox.cuh"
#include "scene.cuh"
#include "waves.cuh"

typedef unsigned long long Word64;

#define FIRST_WAVE 64

struct Wave { float z, y, x, phase, amplitude; };  // cycles a voxel, turns

REAL_FUNCTION float exponential(unsigned int word)
{
    return most(-logarithm_of_two(unit_float(word) + 0x1p-25f), 0x1p-24f);
}

REAL_FUNCTION float octave_of(const float* band, unsigned int word, int place)
{
    const float share = ((float)place + unit_float(word)) / band[BAND_COUNT];
    return fused(band[BAND_OCTAVES_HIGH] - band[BAND_OCTAVES_LOW], share, band[BAND_OCTAVES_LOW]);
}

REAL_FUNCTION float power_in_octave(const float* band, float slope, float octave)
{
    const float off = band[BAND_SHARPNESS] * (power_of_two(octave) - band[BAND_CENTRE]);
    return power_of_two(fused(3.0f + slope, octave, -(1.442695f * (off * off))));
}

// A direction near a drawn axis, times `rate`.
REAL_FUNCTION void lay_direction(Words axis, float spread, Words words, float rate, Wave& wave)
{
    const float az = fused(2.0f, unit_float(axis.x), -1.0f);
    const float ar = root(most(fused(-az, az, 1.0f), 0.0f));
    float turn = unit_float(axis.y);
    const float cosine = cosine_of_turns(turn), sine = sine_of_turns(turn);
    const float along = fused(-spread, unit_float(words.y), 1.0f);
    const float across = root(most(fused(-along, along, 1.0f), 0.0f));
    turn = unit_float(words.z);
    const float one = across * cosine_of_turns(turn), two = across * sine_of_turns(turn);
    const float level = fused(along, ar, one * az);
    wave.x = rate * fused(level, cosine, -(two * sine));
    wave.y = rate * fused(level, sine, two * cosine);
    wave.z = rate * fused(along, az, -(one * ar));
}

extern "C" __global__ void sample_waves(
    const float* __restrict__ bands,     // (K, BAND_SIZE)
    const float* __restrict__ drawn,     // (B, S, STEP_SIZE)
    Word64 seed,
    const Word64* __restrict__ indices,  // (B,)
    int channel,
    float* waves,                        // (B, waves, 2, wave_stride), out
    int K, int S, int count_all, int D, int H, int W)
{
    __shared__ Wave own[WAVES_MAX];
    __shared__ float powers[WAVES_MAX];
    const int k = blockIdx.x, b = blockIdx.y;
    const float* band = bands + k * BAND_SIZE;
    const int step = (int)band[BAND_STEP];
    if (drawn[((long long)b * S + step) * STEP_SIZE + STEP_ACTIVE] == 0.0f)
        return;
    int start = k;
    while (start > 0 && (int)bands[(start - 1) * BAND_SIZE + BAND_STEP] == step)
        --start;
    const Word64 index = indices[b];
    const long long draw = first_draw(channel, step, CHAIN_PART_WAVES);
    const Words head = random_words(seed, index, STREAM_CHAIN, draw + 2 * (k - start));
    const Words axis = random_words(seed, index, STREAM_CHAIN, draw + 2 * (k - start) + 1);
    const float slope = uniform(head.x, band[BAND_SLOPE_LOW], band[BAND_SLOPE_HIGH]);
    const float cycles = uniform(head.y, band[BAND_CYCLES_LOW], band[BAND_CYCLES_HIGH]);
    const int first = (int)band[BAND_FIRST], count = (int)band[BAND_COUNT];
    const long long draw_wave =
        draw + FIRST_WAVE + (first - (int)bands[start * BAND_SIZE + BAND_FIRST]);
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const Words words = random_words(seed, index, STREAM_CHAIN, draw_wave + i);
        const float octave = octave_of(band, words.x, i);
        powers[i] = power_in_octave(band, slope, octave);
        lay_direction(axis, band[BAND_SPREAD], words, cycles * power_of_two(octave), own[i]);
        own[i].phase = unit_float(words.w);
    }
    __syncthreads();
    float total = 0.0f, power = 0.0f;
    for (int other = start; other < K && (int)bands[other * BAND_SIZE + BAND_STEP] == step; ++other)
        total += exponential(random_words(seed, index, STREAM_CHAIN, draw + 2 * (other - start)).z);
    for (int i = 0; i < count; ++i)
        power += powers[i];
    const float factor = 2.0f * (exponential(head.z) / total) / power;
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        own[i].amplitude = root(factor * powers[i]);
    __syncthreads();
    const int stride = wave_stride(D, H, W);
    float* target = waves + ((long long)b * count_all + first) * 2 * stride;
    for (int i = 0; i < count; ++i) {
        const Wave wave = own[i];
        for (int at = threadIdx.x; at < stride; at += blockDim.x) {
            const float rate = at < D ? wave.z : at < D + H ? wave.y : wave.x;
            const int place = at < D ? at : at < D + H ? at - D : at - D - H;
            const float turns = fused(rate, (float)place, at < D ? wave.phase : 0.0f);
            const float amplitude = at < D ? wave.amplitude : 1.0f;
            target[at] = amplitude * cosine_of_turns(turns);
            target[stride + at] = amplitude * sine_of_turns(turns);
        }
        target += 2 * stride;
    }
}
