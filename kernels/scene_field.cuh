// An object's field at a voxel: where the voxel lies in the object's frame, and the distance there.
// What each function means is in scene_field.py, the twin.
#pragma once
#include "sdf.cuh"
#include "sdf_grid.cuh"

constexpr float SURFACE = 0x1p-20f;  // inside: a distance of at most this

struct ObjectPoint { float x, y, z; };

// One component, from a row of MATRIX.
REAL_FUNCTION float object_component(const float* row, float x, float y, float z)
{
    return fused(row[0], x, fused(row[1], y, fused(row[2], z, row[3])));
}

// Of the voxel with indices x, y, z.
REAL_FUNCTION ObjectPoint object_point(const float* object, float x, float y, float z)
{
    const float* matrix = object + SCENE_OBJECT_MATRIX;
    return ObjectPoint{object_component(matrix, x, y, z), object_component(matrix + 4, x, y, z),
                       object_component(matrix + 8, x, y, z)};
}

// A point of the object's frame in the second part's.
REAL_FUNCTION ObjectPoint shifted(const float* object, ObjectPoint p)
{
    const float* shift = object + SCENE_OBJECT_SHIFT;
    return ObjectPoint{p.x - shift[0], p.y - shift[1], p.z - shift[2]};
}

REAL_FUNCTION float blended(float a, float b, float width)
{
    const float depth = most(width - magnitude(a - b), 0.0f);
    return least(a, b) - depth * depth / (4.0f * width);
}

REAL_FUNCTION float part_distance(const float* part, const float* grids, int side, ObjectPoint p)
{
    if ((int)part[SDF_ROW_LIFT] == SDF_LIFT_GRID)
        return grid_distance(grids, side, part, p.x, p.y, p.z);
    return distance(part, p.x, p.y, p.z);
}

// One loop, so that `distance` is there once: its code twice would cost registers and cache.
REAL_FUNCTION float object_distance(const float* object, const float* parts, const float* grids,
                                    int side, ObjectPoint p)
{
    float found = 1e30f;
#pragma unroll 1
    for (int part = 0; part < (int)object[SCENE_OBJECT_PARTS]; ++part) {
        if (part > 0)
            p = shifted(object, p);
        const float own = part_distance(parts + part * SDF_ROW_SIZE, grids, side, p);
        found = part == 0 ? own : blended(found, own, object[SCENE_OBJECT_BLEND]);
    }
    return found;
}
