// Smooth random fields. The rules are in field.py, the twin.
#pragma once

#include "real.cuh"

#define FIELD_LANES 16  // positions of a group of the tables of x

template <int TAPS>
REAL_FUNCTION float sum_of_nodes(const float* at, int wide, int layer, bool thick, const float* z,
                                 const float* y, const float* x)
{
    float total = 0.0f;
#pragma unroll
    for (int j = 0; j < TAPS; ++j) {
        float row = 0.0f;
#pragma unroll
        for (int k = 0; k < TAPS; ++k) {
            const float* node = at + j * wide + k;
            float value = z[0] * node[0];
            if (thick)
#pragma unroll
                for (int i = 1; i < TAPS; ++i)
                    value = fused(z[i], node[i * layer], value);
            row = k == 0 ? x[0] * value : fused(x[FIELD_LANES * k], value, row);
        }
        total = j == 0 ? y[0] * row : fused(y[j], row, total);
    }
    return total;
}

// Value of a field at a voxel; nodes are a volume's, depth and height its sides. Of a linear field
// the last weights are 0 and left out.
REAL_FUNCTION float field_at(const int* field, const int* starts, const float* weights,
                             const float* nodes, int depth, int height, int z, int y, int x)
{
    const int wide = field[FIELD_ROW_WIDTH], layer = field[FIELD_ROW_HEIGHT] * wide;
    const long long row_z = field[FIELD_ROW_TABLE] + z, row_y = row_z - z + depth + y;
    const long long first_x = row_z - z + depth + height;
    const long long group = first_x + x / FIELD_LANES * FIELD_LANES;
    const float* weights_z = weights + FIELD_TAPS * row_z;
    const float* weights_y = weights + FIELD_TAPS * row_y;
    const float* weights_x = weights + FIELD_TAPS * group + x % FIELD_LANES;
    const float* at = nodes + field[FIELD_ROW_OFFSET] + (long long)starts[row_z] * layer
                      + starts[row_y] * wide + starts[first_x + x];
    const bool thick = field[FIELD_ROW_DEPTH] > 1;
    return field[FIELD_ROW_TAPS] == 2
        ? sum_of_nodes<2>(at, wide, layer, thick, weights_z, weights_y, weights_x)
        : sum_of_nodes<FIELD_TAPS>(at, wide, layer, thick, weights_z, weights_y, weights_x);
}
