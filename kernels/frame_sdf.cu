// Boxes about objects that stand in a volume's middle, one thread an object. The rules are in
// frame_sdf.py, the twin.
#include "scene.cuh"

typedef long long Int;

constexpr float SLACK = 0.05f;

REAL_FUNCTION float inverse_element(const float* item, int i, int j)
{
    const float* turn = item + SCENE_OBJECT_TURN;
    const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
    return fused(turn[3 * a + c], turn[3 * b + d], -(turn[3 * a + d] * turn[3 * b + c]));
}

REAL_FUNCTION Extent object_extent(const float* item, const float* parts)
{
    Extent most_yet{0.0f, 0.0f, 0.0f};
    const float blend = item[SCENE_OBJECT_BLEND] * 0.25f;
    for (int part = 0; part < (int)item[SCENE_OBJECT_PARTS]; ++part) {
        const float* row = parts + part * SDF_ROW_SIZE;
        Extent own = part_extent(row, row[SDF_ROW_WALL], blend + SLACK);
        if (part > 0) {
            own.x = own.x + magnitude(item[SCENE_OBJECT_SHIFT]);
            own.y = own.y + magnitude(item[SCENE_OBJECT_SHIFT + 1]);
            own.z = own.z + magnitude(item[SCENE_OBJECT_SHIFT + 2]);
        }
        most_yet = Extent{most(most_yet.x, own.x), most(most_yet.y, own.y), most(most_yet.z, own.z)};
    }
    return most_yet;
}

extern "C" __global__ void frame_sdf(
    const float* objects,  // (B, N, SCENE_OBJECT_SIZE)
    const float* parts,    // (B, N, P, SDF_ROW_SIZE)
    int* boxes,            // (B, N, BOX_SIZE), out
    int* origins,          // (B, N, 3), out
    int B, int N, int P, int D, int H, int W)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const float* item = objects + thread * SCENE_OBJECT_SIZE;
    const float* turn = item + SCENE_OBJECT_TURN;
    int* box = boxes + thread * BOX_SIZE;
    const Extent e = object_extent(item, parts + thread * P * SDF_ROW_SIZE);
    const float determinant =
        fused(turn[0], inverse_element(item, 0, 0),
              fused(turn[1], inverse_element(item, 1, 0), turn[2] * inverse_element(item, 2, 0)));
    for (int axis = 0; axis < 3; ++axis) {
        const float reach = fused(magnitude(inverse_element(item, axis, 0)), e.x,
                                  fused(magnitude(inverse_element(item, axis, 1)), e.y,
                                        magnitude(inverse_element(item, axis, 2)) * e.z)) /
                                magnitude(determinant) +
                            SLACK;
        const float side = axis == 0 ? W : axis == 1 ? H : D;
        const float centre = item[SCENE_OBJECT_CENTRE + axis];
        const float first = most(ceiling(centre - reach), 0.0f);
        const float last = least(floor_of(centre + reach), side - 1.0f);
        origins[3 * thread + 2 - axis] = (int)first;
        box[BOX_DEPTH + 2 - axis] = (int)last - (int)first + 1;
    }
    box[BOX_STEP] = 1;
    box[BOX_VOXELS] = 0;
}
