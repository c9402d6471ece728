// Random pose of a whole subject: which one, flip, affine, middle of the view, displacement. One
// warp a volume; the rules are in sample_subject.py, the twin.
//
// Launch: a block of one warp for each volume.
#include "philox.cuh"
#include "quantiles.cuh"
#include "scene.cuh"

typedef unsigned long long Long;

constexpr int HEAD_DRAWS = 6, CONTROL_DRAW = 16;
constexpr int CONTROL_VALUES = 3 * CONTROLS * CONTROLS * CONTROLS;
constexpr float CLIP = 3.0f, THIRD = (float)(1.0 / 3), INJECTIVE = 0.4f, LARGE = 0x1p30f;
constexpr float CONTROL_MOST = 120.0f, LEAST_DETERMINANT = 1e-12f;

struct Matrix { float at[3][3]; };

REAL_FUNCTION float unit_normal(unsigned int word)
{
    return (float)normal(word) * 0x1p-12f;
}

// Nearest whole number, within 2^30 of 0.
REAL_FUNCTION int rounded(float x)
{
    return (int)floor_of(clamped(x, -LARGE, LARGE) + 0.5f);
}

REAL_FUNCTION Matrix rotation(float z, float y, float x)
{
    const float cz = cosine_of_turns(z), sz = sine_of_turns(z);
    const float cy = cosine_of_turns(y), sy = sine_of_turns(y);
    const float cx = cosine_of_turns(x), sx = sine_of_turns(x);
    Matrix turn;
    turn.at[2][2] = cy * cz;
    turn.at[2][1] = -(cy * sz);
    turn.at[2][0] = sy;
    turn.at[1][2] = fused(sx * sy, cz, cx * sz);
    turn.at[1][1] = fused(-(sx * sy), sz, cx * cz);
    turn.at[1][0] = -(sx * cy);
    turn.at[0][2] = fused(-(cx * sy), cz, sx * sz);
    turn.at[0][1] = fused(cx * sy, sz, sx * cz);
    turn.at[0][0] = cx * cy;
    return turn;
}

// Sum of the magnitudes of a row of the inverse.
REAL_FUNCTION float reach_of(const Matrix& matrix, int axis)
{
    const int b = (axis + 1) % 3, c = (axis + 2) % 3;
    float total = 0.0f, determinant = 0.0f;
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        const int i = (k + 1) % 3, j = (k + 2) % 3;
        const float cofactor =
            fused(matrix.at[i][b], matrix.at[j][c], -(matrix.at[i][c] * matrix.at[j][b]));
        determinant = fused(matrix.at[k][axis], cofactor, determinant);
        total = total + magnitude(cofactor);
    }
    return total / most(magnitude(determinant), LEAST_DETERMINANT);
}

// Source voxels a voxel, without the mirror.
REAL_FUNCTION Matrix affine(const float* settings, const unsigned int (&words)[4 * HEAD_DRAWS])
{
    float low = settings[SUBJECT_SAMPLING_TURN_LOW], high = settings[SUBJECT_SAMPLING_TURN_HIGH];
    const Matrix turn = rotation(uniform(words[8], low, high), uniform(words[9], low, high),
                                 uniform(words[10], low, high));
    const float zoom = uniform(words[2], settings[SUBJECT_SAMPLING_ZOOM_LOW],
                               settings[SUBJECT_SAMPLING_ZOOM_HIGH]);
    low = settings[SUBJECT_SAMPLING_SHEAR_LOW];
    high = settings[SUBJECT_SAMPLING_SHEAR_HIGH];
    Matrix matrix;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const float scale = uniform(words[4 + axis], settings[SUBJECT_SAMPLING_SCALE_LOW],
                                    settings[SUBJECT_SAMPLING_SCALE_HIGH]);
        const float first = uniform(words[12 + 2 * axis], low, high);
        const float second = uniform(words[13 + 2 * axis], low, high);
#pragma unroll
        for (int to = 0; to < 3; ++to) {
            float own = turn.at[axis][to];
            own = fused(first, turn.at[(axis + 1) % 3][to], own);
            own = fused(second, turn.at[(axis + 2) % 3][to], own);
            const float voxel = settings[SUBJECT_SAMPLING_SPACING + to] * zoom
                / settings[SUBJECT_SAMPLING_BANK_SPACING];
            matrix.at[axis][to] = scale * own * voxel;
        }
    }
    return matrix;
}

extern "C" __global__ void sample_subject(
    const float* __restrict__ settings,  // (SUBJECT_SAMPLING_SIZE,)
    const float* __restrict__ bodies,    // (S, 6)
    Long seed,
    const Long* __restrict__ indices,    // (B,)
    int* poses,                          // (B, 1, POSE_SIZE), out
    int* controls,                       // (B, 1, 3, CONTROLS, CONTROLS, CONTROLS), out
    int* placed,                         // (B, 1, PLACED_SIZE), out
    int S)
{
    const Long b = blockIdx.x, index = indices[b];
    const int lane = threadIdx.x, lanes = blockDim.x;
    unsigned int words[4 * HEAD_DRAWS];
#pragma unroll
    for (int draw = 0; draw < HEAD_DRAWS; ++draw) {
        const Words w = random_words(seed, index, STREAM_LABEL_MAP, draw);
        words[4 * draw] = w.x;
        words[4 * draw + 1] = w.y;
        words[4 * draw + 2] = w.z;
        words[4 * draw + 3] = w.w;
    }
    const int subject = bounded(words[0], 0, S - 1);
    const bool mirrored = unit_float(words[1]) < settings[SUBJECT_SAMPLING_FLIP];
    const float* body = bodies + 6 * subject;
    const float spacing = settings[SUBJECT_SAMPLING_BANK_SPACING];
    Matrix matrix = affine(settings, words);

    float middle[3];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        float view = 0.0f;
#pragma unroll
        for (int to = 0; to < 3; ++to)
            view = fused(magnitude(matrix.at[axis][to]), settings[SUBJECT_SAMPLING_SHAPE + to], view);
        const float room = 0.5f * most(body[3 + axis] - view, 0.0f);
        float away = settings[SUBJECT_SAMPLING_WANDER] * room * uniform(words[18 + axis], -1.0f, 1.0f);
        const float shift = settings[SUBJECT_SAMPLING_SHIFT] / spacing;
        away = fused(shift, uniform(words[21 + axis], -1.0f, 1.0f), away);
        middle[axis] = body[axis] + away;
    }
    if (mirrored) {
#pragma unroll
        for (int to = 0; to < 3; ++to)
            matrix.at[2][to] = -matrix.at[2][to];
    }

    int* pose = poses + b * POSE_SIZE;
    int* row = placed + b * PLACED_SIZE;
    if (lane == 0) {
        for (int i = 0; i < POSE_SIZE; ++i)
            pose[i] = 0;
        pose[POSE_FATE] = FATE_PLACED;
        pose[POSE_SHAPE] = subject;
        pose[POSE_VALUE] = mirrored ? 1 : 0;
        row[PLACED_OBJECT] = 0;
        row[PLACED_VARIANT] = 2 * subject + (mirrored ? 1 : 0);
        row[PLACED_ACCEPTED] = 1;
        row[PLACED_PROPOSALS] = 1;
    }
    const float sd = uniform(words[3], settings[SUBJECT_SAMPLING_DISPLACEMENT_LOW],
                             settings[SUBJECT_SAMPLING_DISPLACEMENT_HIGH]) / spacing;
    float bound = least(CLIP * sd, CONTROL_MOST);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const int side = (int)settings[SUBJECT_SAMPLING_SHAPE + axis];
        const int box = (side + TILE - 1) / TILE * TILE;
        if (side > 1)
            bound = least(bound, INJECTIVE * ((float)box * THIRD) / reach_of(matrix, axis));
        float at = middle[axis];
        if (lane == 0) {
            pose[POSE_BOX + axis] = -(side / 2);
            pose[POSE_DEPTH + axis] = box;
            row[PLACED_Z + axis] = rounded(at);
        }
#pragma unroll
        for (int to = 0; to < 3; ++to) {
            const int whole = (int)settings[SUBJECT_SAMPLING_SHAPE + to];
            const float off = (float)(whole / 2) - 0.5f * (float)(whole - 1);
            if (lane == 0)
                pose[POSE_MATRIX + 3 * axis + to] = rounded(matrix.at[axis][to] * 65536.0f);
            at = fused(matrix.at[axis][to], off, at);
        }
        if (lane == 0)
            pose[POSE_CENTRE + axis] = rounded(at * 4096.0f);
    }
    int* own = controls + b * CONTROL_VALUES;
    for (int i = lane; i < CONTROL_VALUES / 4; i += lanes) {
        const Words w = random_words(seed, index, STREAM_LABEL_MAP, CONTROL_DRAW + i);
        own[4 * i] = rounded(clamped(sd * unit_normal(w.x), -bound, bound) * 4096.0f);
        own[4 * i + 1] = rounded(clamped(sd * unit_normal(w.y), -bound, bound) * 4096.0f);
        own[4 * i + 2] = rounded(clamped(sd * unit_normal(w.z), -bound, bound) * 4096.0f);
        own[4 * i + 3] = rounded(clamped(sd * unit_normal(w.w), -bound, bound) * 4096.0f);
    }
}
