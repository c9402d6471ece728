// Objects of a scene to where they were placed, one thread an object. The rules are in move_sdf.py,
// the twin.
#include "scene.cuh"

typedef long long Int;

extern "C" __global__ void move_sdf(
    const int* placed,   // (B, N, PLACED_SIZE)
    const int* origins,  // (B, N, 3)
    float* objects,      // (B, N, SCENE_OBJECT_SIZE), in and out
    int B, int N)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const int* place = placed + thread * PLACED_SIZE;
    const Int at = thread / N * N + place[PLACED_OBJECT];
    float* item = objects + at * SCENE_OBJECT_SIZE;
    for (int axis = 0; axis < 3; ++axis) {
        const int moved = place[PLACED_Z + axis] - origins[3 * at + axis];
        item[SCENE_OBJECT_CENTRE + 2 - axis] = item[SCENE_OBJECT_CENTRE + 2 - axis] + (float)moved;
    }
    if (place[PLACED_ACCEPTED] == 0)
        item[SCENE_OBJECT_PARTS] = 0.0f;
    lay_matrix(item);
}
