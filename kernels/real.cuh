// Float32 mathematics that gives the same bits everywhere. The rules and the origin of the
// coefficients are in real.py, the twin.
#pragma once

#define REAL_FUNCTION __device__ __forceinline__

constexpr float SQUARE_BIAS = 0x1p-42f;

// a * b + c, rounded once.
REAL_FUNCTION float fused(float a, float b, float c)
{
    return __fmaf_rn(a, b, c);
}

REAL_FUNCTION float root(float a)
{
    return __fsqrt_rn(a);
}

REAL_FUNCTION float floor_of(float a)
{
    return floorf(a);
}

REAL_FUNCTION float magnitude(float a)
{
    return __uint_as_float(__float_as_uint(a) & 0x7FFFFFFFu);
}

// |a| with the sign bit of b.
REAL_FUNCTION float signed_as(float a, float b)
{
    return __uint_as_float((__float_as_uint(a) & 0x7FFFFFFFu) | (__float_as_uint(b) & 0x80000000u));
}

// Not fminf and fmaxf, which see signed zeros and NaN in another way than the CPU's vector unit.
REAL_FUNCTION float least(float a, float b)
{
    return a < b ? a : b;
}

REAL_FUNCTION float most(float a, float b)
{
    return a > b ? a : b;
}

// x kept within low .. high; NaN becomes low.
REAL_FUNCTION float clamped(float x, float low, float high)
{
    return least(most(x, low), high);
}

// Least whole number not below x.
REAL_FUNCTION float ceiling(float x)
{
    return -floor_of(-x);
}

// Euclidean length, never below 2^-21.
REAL_FUNCTION float length(float x, float y)
{
    return root(fused(x, x, fused(y, y, SQUARE_BIAS)));
}

// 2^x, x clamped to -126 .. 127; relative error below 1.5e-7.
REAL_FUNCTION float power_of_two(float x)
{
    x = clamped(x, -126.0f, 127.0f);
    const float below = floor_of(x), f = x - below;
    float p = fused(f, 0.00021865785f, 0.0012391332f);
    p = fused(f, p, 0.009684186f);
    p = fused(f, p, 0.05548063f);
    p = fused(f, p, 0.24023046f);
    p = fused(f, p, 0.69314694f);
    return fused(f, p, 1.0f) * __int_as_float(((int)below + 127) << 23);
}

// sin(2 pi r) for -1/4 <= r <= 1/4.
REAL_FUNCTION float quarter_sine(float r)
{
    const float q = r * r;
    float p = fused(q, 39.759827f, -76.58117f);
    p = fused(q, p, 81.60248f);
    p = fused(q, p, -41.341682f);
    return r * fused(q, p, 6.2831855f);
}

// sin(2 pi r); error below 2e-7 for any r below 2^22.
REAL_FUNCTION float sine_of_turns(float r)
{
    r = r - floor_of(r + 0.5f);
    const float size = magnitude(r);
    return signed_as(quarter_sine(least(size, 0.5f - size)), r);
}

// cos(2 pi r); error below 2e-7 for any r below 2^22.
REAL_FUNCTION float cosine_of_turns(float r)
{
    r = r - floor_of(r + 0.5f);
    return quarter_sine(0.25f - magnitude(r));
}

// log2(x) for 2^-126 <= x; error below 3e-8 + 1.2e-7 of the result.
REAL_FUNCTION float logarithm_of_two(float x)
{
    const unsigned int bits = __float_as_uint(x), octave = (bits - 0x3F2AAAABu) & 0xFF800000u;
    const float f = __uint_as_float(bits - octave) - 1.0f;
    float p = fused(f, 0.19834617f, -0.22209239f);
    p = fused(f, p, 0.20278251f);
    p = fused(f, p, -0.23681147f);
    p = fused(f, p, 0.28864336f);
    p = fused(f, p, -0.3607882f);
    p = fused(f, p, 0.48089746f);
    p = fused(f, p, -0.72134656f);
    p = fused(f, p, 1.442695f);
    return fused(f, p, (float)(int)octave * 0x1p-23f);
}
