// Label values to those of another list of classes. Twin of relabel.py.
//
// Launch: a block of THREADS takes BLOCK_VOXELS labels; grid (blocks of a volume, B, 1).
typedef long long Int;

#define THREADS 256
#define BLOCK_VOXELS 4096

extern "C" __global__ void __launch_bounds__(THREADS) relabel(
    const LABEL_TYPE* __restrict__ values,  // (L,)
    LABEL_TYPE* label,                      // (B, voxels), changed in place
    Int voxels)
{
    label += (Int)blockIdx.y * voxels;
    const Int first = (Int)blockIdx.x * BLOCK_VOXELS, stop = min(first + BLOCK_VOXELS, voxels);
    for (Int at = first + threadIdx.x; at < stop; at += THREADS)
        label[at] = values[label[at]];
}
