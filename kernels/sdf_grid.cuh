// Signed distances from a lattice, negative inside. What each function means is in sdf_grid.py, the
// twin; rows are described in sdf_records.py.
#pragma once
#include "real.cuh"

REAL_FUNCTION void lay_grid(float* row, int number, float scale)
{
    row[SDF_ROW_LIFT] = SDF_LIFT_GRID;
    row[SDF_ROW_EDGES] = number;
    row[SDF_ROW_RADIUS] = scale;
    row[SDF_ROW_SLOPE] = 1.0f / scale;
}

REAL_FUNCTION float grid_between(float low, float high, float share)
{
    return fused(share, high - low, low);
}

REAL_FUNCTION float grid_cell(float place, float last)
{
    return least(floor_of(place), last - 1.0f);
}

REAL_FUNCTION float grid_row(const float* at, float share)
{
    return grid_between(at[0], at[1], share);
}

REAL_FUNCTION float grid_distance(const float* grids, int side, const float* row, float x, float y,
                                  float z)
{
    const float per = row[SDF_ROW_SLOPE];
    const float px = x * per, py = y * per, pz = z * per;
    const float qx = clamped(px, -1.0f, 1.0f), qy = clamped(py, -1.0f, 1.0f);
    const float qz = clamped(pz, -1.0f, 1.0f);
    const float count = (float)side, last = count - 1.0f, half = 0.5f * last;
    const float ux = fused(qx, half, half), uy = fused(qy, half, half), uz = fused(qz, half, half);
    const float ix = grid_cell(ux, last), iy = grid_cell(uy, last), iz = grid_cell(uz, last);
    const float share = ux - ix;
    const int layer = side * side;
    const long long start = (long long)(int)row[SDF_ROW_EDGES] * layer * side;
    const float* at = grids + start + (int)fused(fused(iz, count, iy), count, ix);
    const float front = grid_between(grid_row(at, share), grid_row(at + side, share), uy - iy);
    at += layer;
    const float back = grid_between(grid_row(at, share), grid_row(at + side, share), uy - iy);
    const float ex = px - qx, ey = py - qy, ez = pz - qz;
    const float beyond = root(fused(ex, ex, fused(ey, ey, ez * ez)));
    return row[SDF_ROW_RADIUS] * (grid_between(front, back, uz - iz) + beyond);
}
