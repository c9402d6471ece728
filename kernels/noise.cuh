// Gradient noise. What each function means, and where its formula comes from, is in noise.py, the
// twin; rows are described in mapper_records.py.
#pragma once
#include "real.cuh"

constexpr unsigned LATTICE_X = 0x9E3779B1u, LATTICE_Y = 0x85EBCA77u, LATTICE_Z = 0xC2B2AE3Du;

REAL_FUNCTION unsigned mixed_bits(unsigned word)
{
    word = (word ^ (word >> 16)) * 0x7FEB352Du;
    return (word ^ (word >> 15)) * 0x846CA68Bu;
}

REAL_FUNCTION float flipped(float number, unsigned word)
{
    return __uint_as_float(__float_as_uint(number) ^ (word & 0x80000000u));
}

REAL_FUNCTION float lattice_slope(unsigned number, float x, float y, float z)
{
    const unsigned word = mixed_bits(number);
    const unsigned rest = word & 0x3FFFFFFFu;
    const float first = rest < (1u << 30) / 3 ? y : x;
    const float second = rest < (1u << 31) / 3 ? z : y;
    return flipped(first, word) + flipped(second, word << 1);
}

REAL_FUNCTION float fade(float t)
{
    return t * t * t * fused(t, fused(t, 6.0f, -15.0f), 10.0f);
}

REAL_FUNCTION float between(float share, float a, float b)
{
    return fused(share, b - a, a);
}

REAL_FUNCTION float edge_noise(unsigned number, float x, float y, float z, float share)
{
    const float near = lattice_slope(number, x, y, z);
    return between(share, near, lattice_slope(number + LATTICE_X, x - 1.0f, y, z));
}

REAL_FUNCTION float face_noise(unsigned number, float x, float y, float z, float share_x,
                               float share_y)
{
    const float near = edge_noise(number, x, y, z, share_x);
    const float far = edge_noise(number + LATTICE_Y, x, y - 1.0f, z, share_x);
    return between(share_y, near, far);
}

REAL_FUNCTION float within_cell(float x, float cell)
{
    return (x - cell + 512.0f) - 512.0f;
}

REAL_FUNCTION float lattice_noise(unsigned salt, float x, float y, float z)
{
    const float cell_x = floor_of(x), cell_y = floor_of(y), cell_z = floor_of(z);
    unsigned number = (unsigned)(int)cell_x * LATTICE_X + salt;
    number = (unsigned)(int)cell_y * LATTICE_Y + number;
    number = (unsigned)(int)cell_z * LATTICE_Z + number;
    x = within_cell(x, cell_x);
    y = within_cell(y, cell_y);
    z = within_cell(z, cell_z);
    const float share_x = fade(x), share_y = fade(y);
    const float near = face_noise(number, x, y, z, share_x, share_y);
    const float far = face_noise(number + LATTICE_Z, x, y, z - 1.0f, share_x, share_y);
    return between(fade(z), near, far);
}

REAL_FUNCTION unsigned salt_of(int key, int octave)
{
    return mixed_bits((unsigned)key + (unsigned)octave * 0x27D4EB2Fu);
}

REAL_FUNCTION float octave_sum(float cells, int octaves, int key, float x, float y, float z)
{
    float total = 0.0f, amplitude = 1.0f;
    x = cells * x;
    y = cells * y;
    z = cells * z;
    for (int octave = 0; octave < octaves; ++octave) {
        total = fused(amplitude, lattice_noise(salt_of(key, octave), x, y, z), total);
        amplitude = 0.5f * amplitude;
        x = fused(2.0f, x, 0.5f);
        y = fused(2.0f, y, 0.5f);
        z = fused(2.0f, z, 0.5f);
    }
    return total;
}

REAL_FUNCTION float gradient_noise(const float* row, int key, float x, float y, float z)
{
    return row[NOISE_ROW_AMPLITUDE] *
           octave_sum(row[NOISE_ROW_CELLS], (int)row[NOISE_ROW_OCTAVES], key, x, y, z);
}
