// Displacements of signed distances. What each function means, and where its formula comes from, is
// in displacement.py, the twin; rows and tables are described in mapper_records.py.
#pragma once
#include "noise.cuh"
#include "real.cuh"

constexpr float TWO_BY_PI = 0.63661975f;
constexpr float LOWEST = -1e30f;
constexpr int DISPLACEMENT_KEYS = 1 << 24;

// In the volume's frame, where one axis' functions are tabulated.

struct RowTerms { float p, q, r, lowest; };

REAL_FUNCTION RowTerms row_terms(const float* row, float y_first, float y_second, float z_first,
                                 float z_second)
{
    const int family = (int)row[DISPLACEMENT_ROW_FAMILY];
    const float size = row[DISPLACEMENT_ROW_AMPLITUDE];
    if (family == DISPLACEMENT_FAMILY_NONE)
        return RowTerms{0.0f, 0.0f, 0.0f, LOWEST};
    if (family == DISPLACEMENT_FAMILY_WAVES)
        return RowTerms{size * y_first, 0.0f, size * z_first, LOWEST};
    if (family == DISPLACEMENT_FAMILY_TURBULENCE)
        return RowTerms{size * y_first, size * z_second, size * (y_second * z_first), LOWEST};
    if (family == DISPLACEMENT_FAMILY_SHARPMAX)
        return RowTerms{size, 0.0f, 0.0f, size * most(y_first, z_first)};
    if (family == DISPLACEMENT_FAMILY_TWIST)
        return RowTerms{size, 0.0f, 0.0f, LOWEST};
    return RowTerms{size, 0.0f, size * (y_first + z_first), LOWEST};  // a ridge or sawtooth
}

REAL_FUNCTION float displaced(RowTerms terms, float first, float second)
{
    return most(fused(terms.p, first, fused(terms.q, second, terms.r)), terms.lowest);
}

// In the object's frame; x, y and z are in turns, but for a noise.

REAL_FUNCTION float turbulence_at(float x, float y, float z)
{
    const float first = sine_of_turns(0.1f * x) * cosine_of_turns(0.15f * y);
    const float second = fused(sine_of_turns(0.2f * y), cosine_of_turns(0.25f * z), first);
    return fused(sine_of_turns(0.3f * z), cosine_of_turns(0.35f * x), second);
}

REAL_FUNCTION float sawtooth_at(float x, float y, float z)
{
    const float beyond =
        x - floor_of(x + 0.5f) + (y - floor_of(y + 0.5f)) + (z - floor_of(z + 0.5f));
    return TWO_BY_PI * beyond;
}

REAL_FUNCTION float waves_at(int family, float x, float y, float z)
{
    x = sine_of_turns(x);
    y = sine_of_turns(y);
    z = sine_of_turns(z);
    if (family == DISPLACEMENT_FAMILY_WAVES)
        return fused(x, y, z);
    x = magnitude(x);
    y = magnitude(y);
    z = magnitude(z);
    if (family == DISPLACEMENT_FAMILY_RIDGE)
        return x + y + z;
    if (family == DISPLACEMENT_FAMILY_SHARPMAX)
        return most(most(x, y), z);
    return x;  // a twist
}

REAL_FUNCTION float displacement_at(const float* row, int key, float x, float y, float z)
{
    const int family = (int)row[DISPLACEMENT_ROW_FAMILY];
    const float amplitude = row[DISPLACEMENT_ROW_AMPLITUDE];
    if (family == DISPLACEMENT_FAMILY_NONE)
        return 0.0f;
    if (family == DISPLACEMENT_FAMILY_NOISE)
        return amplitude * octave_sum(row[DISPLACEMENT_ROW_CELLS],
                                      (int)row[DISPLACEMENT_ROW_OCTAVES],
                                      key + DISPLACEMENT_KEYS, x, y, z);
    x = row[DISPLACEMENT_ROW_TURNS_X] * x;
    y = row[DISPLACEMENT_ROW_TURNS_Y] * y;
    z = row[DISPLACEMENT_ROW_TURNS_Z] * z;
    if (family == DISPLACEMENT_FAMILY_TURBULENCE)
        return amplitude * turbulence_at(x, y, z);
    if (family == DISPLACEMENT_FAMILY_SAWTOOTH)
        return amplitude * sawtooth_at(x, y, z);
    return amplitude * waves_at(family, x, y, z);
}
