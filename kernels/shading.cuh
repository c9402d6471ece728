// What the operations of a chain do to a voxel's value. The rules are in shading.py, the twin.
#pragma once

#include "real.cuh"

constexpr float LOG2_E = 1.44269502f, RAYLEIGH_MEAN = 1.25331414f, PER_RAYLEIGH_SD = 1.52639973f;

// Weight of a texture away from boundaries.
REAL_FUNCTION float inner_weight(float square, float width, float ramp)
{
    const float t = clamped((root(square) - width) * ramp, 0.0f, 1.0f);
    return t * t * fused(-2.0f, t, 3.0f);
}

// `value` where the squared distance to a boundary is at most `reach`, else v.
REAL_FUNCTION float outlined(float v, float square, float reach, float value)
{
    return square <= reach ? value : v;
}

// v times the exponential of a field of a standard deviation.
REAL_FUNCTION float biased(float v, float sd, float field)
{
    return v * power_of_two(LOG2_E * sd * field);
}

// v to a power, within 2^-60 .. 2^32; of 2^-60 and less, 0.
REAL_FUNCTION float with_gamma(float v, float exponent)
{
    const float power = power_of_two(exponent * logarithm_of_two(most(v, 0x1p-60f)));
    return v > 0x1p-60f ? clamped(power, 0x1p-60f, 0x1p32f) : 0.0f;
}

// Magnitude of a signal v with normal noise in both its parts.
REAL_FUNCTION float rician(float v, float sd, float first, float second)
{
    return length(fused(sd, first, v), sd * second);
}

// v times 1 + sd * standardised Rayleigh number of two fields; no less than 0 times.
REAL_FUNCTION float speckled(float v, float sd, float first, float second)
{
    const float rayleigh = length(first, second) - RAYLEIGH_MEAN;
    return v * most(fused(sd * PER_RAYLEIGH_SD, rayleigh, 1.0f), 0.0f);
}

// 0 at low, 1 at low + 1 / per.
REAL_FUNCTION float normalized(float v, float low, float per)
{
    return (v - low) * per;
}

// Bits that are ordered as numbers are.
REAL_FUNCTION int order_key(float v)
{
    const int bits = (int)__float_as_uint(v);
    return bits < 0 ? bits ^ 0x7FFFFFFF : bits;
}

REAL_FUNCTION float of_order_key(int key)
{
    return __uint_as_float((unsigned int)(key < 0 ? key ^ 0x7FFFFFFF : key));
}

// The nearest of 0 .. 255.
REAL_FUNCTION unsigned int byte_of(float v)
{
    return (unsigned int)(int)fused(clamped(v, 0.0f, 1.0f), 255.0f, 0.5f);
}

// Bits of the nearest half.
REAL_FUNCTION unsigned int half_of(float v)
{
    v = clamped(v, 0.0f, 1.0f);
    const unsigned int bits = __float_as_uint(v);
    if (bits < (127u - 14u) << 23)
        return __float_as_uint(v + 0.5f) - 0x3F000000u;
    return (bits + (0xFFFu - ((127u - 15u) << 23)) + (bits >> 13 & 1u)) >> 13;
}

// Bits of the number itself.
REAL_FUNCTION unsigned int single_of(float v)
{
    return __float_as_uint(clamped(v, 0.0f, 1.0f));
}
