// Grey levels of signed distances. What each function means, and where its formula comes from, is in
// mapper.py, the twin; rows are described in mapper_records.py.
#pragma once
#include "real.cuh"

constexpr float PEAK = 128.0f;
constexpr float MIDDLE = 64.0f;

REAL_FUNCTION float inverse_cube(float s)
{
    const float size = magnitude(s);
    return PEAK / fused(size * size, size, 1.0f);
}

REAL_FUNCTION float exponential(const float* row, float s)
{
    return PEAK * power_of_two(row[MAPPER_ROW_RATE] * s);
}

REAL_FUNCTION float linear(const float* row, float s)
{
    return clamped(fused(row[MAPPER_ROW_RATE], s, PEAK), 0.0f, PEAK);
}

REAL_FUNCTION float stairs(const float* row, float s)
{
    const float steps = ceiling(row[MAPPER_ROW_RATE] * s);
    return clamped(fused(row[MAPPER_ROW_STEP], steps, PEAK), 0.0f, PEAK);
}

REAL_FUNCTION float modular(const float* row, float s)
{
    const float period = row[MAPPER_ROW_PERIOD];
    const float steps = ceiling(row[MAPPER_ROW_RATE] * s) + (period - 1.0f);
    const float periods = floor_of((steps + 0.5f) * row[MAPPER_ROW_PER_PERIOD]);
    return row[MAPPER_ROW_STEP] * fused(-period, periods, steps);
}

REAL_FUNCTION float sinusoidal(const float* row, float s)
{
    const float rate = row[MAPPER_ROW_RATE];
    const float periods = floor_of(fused(rate, s, 0.5f));
    const float turns = fused(-row[MAPPER_ROW_PERIOD], periods, s) * rate;
    const float level = fused(MIDDLE, quarter_sine(0.25f - magnitude(turns)), MIDDLE);
    return clamped(level, 0.0f, PEAK);
}

REAL_FUNCTION float grey_level(const float* row, float s)
{
    const int family = (int)row[MAPPER_ROW_FAMILY];
    if (family == MAPPER_FAMILY_INVERSE_CUBE)
        return inverse_cube(s);
    if (family == MAPPER_FAMILY_EXPONENTIAL)
        return exponential(row, s);
    if (family == MAPPER_FAMILY_LINEAR)
        return linear(row, s);
    if (family == MAPPER_FAMILY_FLOOR)
        return stairs(row, s);
    if (family == MAPPER_FAMILY_MODULAR)
        return modular(row, s);
    return sinusoidal(row, s);
}

REAL_FUNCTION float mapped(const float* row, float s)
{
    return s > row[MAPPER_ROW_REACH] ? 0.0f : grey_level(row, s);
}
