// Displacements of signed distances, tabulated along each axis. What each function means, and where
// its formula comes from, is in displacement.py, the twin; rows and tables are described in
// mapper_records.py.
#pragma once
#include "real.cuh"

constexpr float PER_RADIAN = 0.15915494f;          // 1 / (2 pi) turns
constexpr float PER_RADIAN_REST = 6.4206382e-09f;  // what its rounding leaves out
constexpr float TWO_BY_PI = 0.63661975f;
constexpr float LOWEST = -1e30f;

struct RowTerms { float p, q, r, lowest; };

// The tables of one displacement, filled once for each shape of volume.

REAL_FUNCTION float remainder_of(float ratio, float above, float below)
{
    return fused(-ratio, below, above) / below;
}

REAL_FUNCTION float turns_of(float above, float below)
{
    const float ratio = above / below;
    const float whole_turns = floor_of(fused(ratio, PER_RADIAN, 0.5f));
    float turns = fused(ratio, PER_RADIAN, -whole_turns);
    turns = fused(remainder_of(ratio, above, below), PER_RADIAN, turns);
    return fused(ratio, PER_RADIAN_REST, turns);
}

REAL_FUNCTION float sawtooth(float above, float below)
{
    const float ratio = above / below;
    const float beyond = ratio - floor_of(ratio + 0.5f);
    return TWO_BY_PI * (beyond + remainder_of(ratio, above, below));
}

REAL_FUNCTION float turbulence_share(int axis, int column)
{
    const bool first = column == DISPLACEMENT_TABLE_FIRST;
    if (axis == VOLUME_AXIS_X)
        return first ? 2.0f : 7.0f;
    if (axis == VOLUME_AXIS_Y)
        return first ? 3.0f : 4.0f;
    return first ? 5.0f : 6.0f;
}

REAL_FUNCTION float turbulence(int axis, int column, float above, float below)
{
    const float turns = turns_of(turbulence_share(axis, column) * above, 20.0f * below);
    if ((axis == VOLUME_AXIS_X) == (column == DISPLACEMENT_TABLE_FIRST))
        return sine_of_turns(turns);
    return cosine_of_turns(turns);
}

REAL_FUNCTION float axis_value(const float* row, int axis, int column, int place, int length)
{
    const int family = (int)row[DISPLACEMENT_ROW_FAMILY];
    const float above = row[DISPLACEMENT_ROW_FREQUENCY] * (float)(2 * place - length);
    const float below = most((float)(length - 2), 1.0f);
    if (family == DISPLACEMENT_FAMILY_TURBULENCE)
        return turbulence(axis, column, above, below);
    if (family == DISPLACEMENT_FAMILY_NONE || column == DISPLACEMENT_TABLE_SECOND)
        return 0.0f;
    if (family == DISPLACEMENT_FAMILY_SAWTOOTH)
        return sawtooth(above, below);
    const float wave = sine_of_turns(turns_of(above, below));
    return family == DISPLACEMENT_FAMILY_WAVES ? wave : magnitude(wave);
}

REAL_FUNCTION void fill_axis(const float* row, int axis, int length, int stride, int first,
                             int step, float* table)
{
    for (int place = first; place < stride; place += step)
        for (int column = 0; column < DISPLACEMENT_TABLE_SIZE; ++column)
            table[column * stride + place] = axis_value(row, axis, column, place, length);
}

REAL_FUNCTION float amplitude(const float* row, int width)
{
    return row[DISPLACEMENT_ROW_AMPLITUDE] * most(0.5f * (float)width - 1.0f, 0.0f);
}

// What each row of voxels is evaluated with.

REAL_FUNCTION RowTerms row_terms(const float* row, float size, float y_first, float y_second,
                                 float z_first, float z_second)
{
    const int family = (int)row[DISPLACEMENT_ROW_FAMILY];
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
