// Standard normal numbers from random words. Their law, numbering and coefficients are in
// gaussian.py, the twin.
#pragma once
#include "real.cuh"

// The first draw of one part of one step of a channel.
REAL_FUNCTION long long first_draw(int channel, int step, int part)
{
    return (((long long)channel * STEPS_MAX + step) * CHAIN_PART_SIZE + part) << PART_BITS;
}

// Two independent standard normal numbers from a word.
REAL_FUNCTION float2 normal_pair(unsigned int word)
{
    const unsigned int bits = __float_as_uint((float)(int)(word >> 15 | 1u));
    const unsigned int octave = (bits - (0x3F2AAAABu + (17u << 23))) & 0xFF800000u;
    const float f = fused(__uint_as_float(bits - octave), 0x1p-17f, -1.0f);
    float p = fused(f, 0.37959984f, -0.4527206f);
    p = fused(f, p, 0.4980156f);
    p = fused(f, p, -0.66440725f);
    p = fused(f, p, 1.0000123f);
    p = fused(f, p, -2.000014f);
    const float radius = root(fused(f, p, (float)(int)octave * -1.6525917e-07f));
    const float r = fused((float)(int)(word & 0x7FFFu), 0x1p-16f, 0x1p-17f - 0.25f), q = r * r;
    float sine = fused(q, -71.60768f, 81.408005f);
    sine = fused(q, sine, -41.339245f);
    sine = r * fused(q, sine, 6.2831807f);
    float cosine = fused(q, -78.20393f, 64.6594f);
    cosine = fused(q, cosine, -19.735725f);
    cosine = radius * fused(q, cosine, 0.9999932f);
    const unsigned int sign = word << 16 & 0x80000000u;
    return make_float2(radius * sine, __uint_as_float(__float_as_uint(cosine) ^ sign));
}
