// One label a task for a whole volume: what its first object is. A thread an object; LABEL_TYPE is an
// unsigned integer. The rules are in label_volume.py, the twin.
#include "real.cuh"

typedef long long Int;

extern "C" __global__ void label_volume(
    const float* objects,  // (B, N, SCENE_OBJECT_SIZE)
    const Int* tasks,      // (T,)
    LABEL_TYPE* label,     // (B, T), out
    int* placed,           // (B, N, PLACED_SIZE), out
    int B, int N, int T)
{
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= (Int)B * N)
        return;
    const int n = (int)(thread % N);
    const float* item = objects + thread * SCENE_OBJECT_SIZE;
    if (n == 0)
        for (int task = 0; task < T; ++task)
            label[thread / N * T + task] = (LABEL_TYPE)((int)item[tasks[task]]);
    int* row = placed + thread * PLACED_SIZE;
    row[PLACED_OBJECT] = n;
    row[PLACED_VARIANT] = n;
    row[PLACED_Z] = (int)floor_of(item[SCENE_OBJECT_CENTRE + 2]);
    row[PLACED_Y] = (int)floor_of(item[SCENE_OBJECT_CENTRE + 1]);
    row[PLACED_X] = (int)floor_of(item[SCENE_OBJECT_CENTRE]);
    row[PLACED_ACCEPTED] = 1;
    row[PLACED_PROPOSALS] = 1;
}
