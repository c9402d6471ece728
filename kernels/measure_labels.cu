// What each slice shows of each label value; see measure_labels.py, the twin.
//
// Launch: a block a slice; grid (D, B, 1).

typedef long long Int;

#define THREADS 256
constexpr int NEVER = 1 << 30;

extern "C" __global__ void __launch_bounds__(THREADS) measure_labels(
    const LABEL_TYPE* __restrict__ label,  // (B, stride), values 0 .. K
    int* table,                            // (B, K, D, LABEL_SLICE_SIZE), out
    int K, int D, int H, int W, Int stride)
{
    __shared__ int shown[PROMPT_LABELS_MAX * LABEL_SLICE_SIZE];

    const int z = blockIdx.x, thread = threadIdx.x;
    const Int b = blockIdx.y;
    const LABEL_TYPE* plane = label + b * stride + (Int)z * H * W;
    for (int k = thread; k < K; k += THREADS) {
        int* own = shown + k * LABEL_SLICE_SIZE;
        own[LABEL_SLICE_VOXELS] = 0;
        own[LABEL_SLICE_Y_LOW] = own[LABEL_SLICE_X_LOW] = NEVER;
        own[LABEL_SLICE_Y_HIGH] = own[LABEL_SLICE_X_HIGH] = -1;
    }
    __syncthreads();
    for (int i = thread; i < H * W; i += THREADS) {
        const int value = plane[i];
        if (value == 0)
            continue;
        int* own = shown + (value - 1) * LABEL_SLICE_SIZE;
        const int y = i / W, x = i % W;
        atomicAdd(own + LABEL_SLICE_VOXELS, 1);
        atomicMin(own + LABEL_SLICE_Y_LOW, y);
        atomicMax(own + LABEL_SLICE_Y_HIGH, y);
        atomicMin(own + LABEL_SLICE_X_LOW, x);
        atomicMax(own + LABEL_SLICE_X_HIGH, x);
    }
    __syncthreads();
    for (int k = thread; k < K; k += THREADS) {
        const int* own = shown + k * LABEL_SLICE_SIZE;
        int* out = table + ((b * K + k) * D + z) * LABEL_SLICE_SIZE;
        out[LABEL_SLICE_VOXELS] = own[LABEL_SLICE_VOXELS];
        if (own[LABEL_SLICE_VOXELS] > 0)
            for (int i = LABEL_SLICE_Y_LOW; i < LABEL_SLICE_SIZE; ++i)
                out[i] = own[i];
    }
}
