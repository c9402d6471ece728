// Random structures of an anatomical scene: the view, shapes, poses, displacements, proposed places
// and boxes. One warp an object; the rules are in sample_anatomy.py, the twin.
#include "philox.cuh"
#include "quantiles.cuh"
#include "scene.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr int HEAD_DRAWS = 3, CONTROL_DRAW = 16;
constexpr unsigned int ALL_LANES = 0xFFFFFFFFu;
constexpr int CONTROL_VALUES = 3 * CONTROLS * CONTROLS * CONTROLS;
constexpr float THIRD = (float)(1.0 / 3), CLIP = 3.0f, LOG2_E = 1.442695f;
constexpr float LARGE = 0x1p30f, FAR = 0x1p20f;
constexpr float INJECTIVE = 0.4f, SLACK = 0.125f;

struct View { float voxel[3], origin[3]; int level; };
struct Stand { float turn[3][3], stretch[3], mean; };
struct Reach { float middles[3], extents[3], slopes[3]; };
struct Places { int least[3], most[3]; };
struct Expected { float middle[3], factor[6]; };

REAL_FUNCTION float unit_normal(unsigned int word)
{
    return (float)normal(word) * 0x1p-12f;
}

REAL_FUNCTION float clipped_normal(unsigned int word)
{
    return clamped(unit_normal(word), -CLIP, CLIP);
}

// Nearest whole number, within 2^30 of 0.
REAL_FUNCTION int rounded(float x)
{
    return (int)floor_of(clamped(x, -LARGE, LARGE) + 0.5f);
}

REAL_FUNCTION float cube_root(float x)
{
    float found = 1.0f;
#pragma unroll 1
    for (int i = 0; i < 40; ++i)
        found = found - THIRD * (found - x / (found * found));
    return found;
}

REAL_FUNCTION unsigned int word_of(const Words& w, int axis)
{
    return axis == 0 ? w.x : axis == 1 ? w.y : w.z;
}

// The words that a lane has drawn.
REAL_FUNCTION Words words_of(const Words& own, int lane)
{
    return Words{__shfl_sync(ALL_LANES, own.x, lane), __shfl_sync(ALL_LANES, own.y, lane),
                 __shfl_sync(ALL_LANES, own.z, lane), __shfl_sync(ALL_LANES, own.w, lane)};
}

REAL_FUNCTION View view_of(const float* settings, const float* structures, int N, const Words& head,
                           const Words& away)
{
    const float zoom = uniform(head.x, settings[ANATOMY_SAMPLING_ZOOM_LOW],
                               settings[ANATOMY_SAMPLING_ZOOM_HIGH]);
    const float* about = structures + bounded(head.y, 0, N - 1) * BANK_STRUCTURE_SIZE;
    View view;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        view.voxel[axis] = settings[ANATOMY_SAMPLING_SPACING + axis] * zoom;
        const float sd = settings[ANATOMY_SAMPLING_WANDER] * settings[ANATOMY_SAMPLING_BODY + axis];
        const float middle =
            fused(sd, unit_normal(word_of(away, axis)), about[BANK_STRUCTURE_MEAN + axis]);
        const float half = -0.5f * (settings[ANATOMY_SAMPLING_SHAPE + axis] - 1.0f);
        view.origin[axis] = fused(half, view.voxel[axis], middle);
    }
    const float smallest = least(least(view.voxel[0], view.voxel[1]), view.voxel[2]);
    float coarser = settings[ANATOMY_SAMPLING_BANK_SPACING] + settings[ANATOMY_SAMPLING_BANK_SPACING];
    view.level = 0;
    while (view.level + 1 < (int)settings[ANATOMY_SAMPLING_LEVELS] && smallest >= coarser) {
        ++view.level;
        coarser = coarser + coarser;
    }
    return view;
}

REAL_FUNCTION bool is_in_view(const float* settings, const float* structure, const View& view)
{
    bool found = true;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const float half = 0.5f * settings[ANATOMY_SAMPLING_SHAPE + axis];
        const float middle = fused(half - 0.5f, view.voxel[axis], view.origin[axis]);
        const float away = magnitude(structure[BANK_STRUCTURE_MEAN + axis] - middle);
        found = found
            && away <= fused(half, view.voxel[axis], structure[BANK_STRUCTURE_REACH + axis]);
    }
    return found;
}

REAL_FUNCTION Stand stand_of(const float* settings, const Words& pose, const Words& angles,
                             bool mirrored)
{
    const float size = power_of_two(settings[ANATOMY_SAMPLING_SCALE_SD] * LOG2_E
                                    * clipped_normal(pose.w));
    const float scale = clamped(size, settings[ANATOMY_SAMPLING_SCALE_LOW],
                                settings[ANATOMY_SAMPLING_SCALE_HIGH]);
    Stand stand;
    stand.mean = scale;
    float cosines[3], sines[3];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const float number = clipped_normal(word_of(pose, axis));
        const float own =
            power_of_two(THIRD * (settings[ANATOMY_SAMPLING_AXIS_SD] * LOG2_E * number));
        stand.stretch[axis] = scale * (own * own * own);
        stand.mean = stand.mean * own;
        const float angle =
            settings[ANATOMY_SAMPLING_TURN_SD] * clipped_normal(word_of(angles, axis));
        cosines[axis] = cosine_of_turns(angle);
        sines[axis] = sine_of_turns(angle);
    }
    if (mirrored)
        stand.stretch[2] = -stand.stretch[2];

    const float cz = cosines[0], cy = cosines[1], cx = cosines[2];
    const float sz = sines[0], sy = sines[1], sx = sines[2];
    stand.turn[0][0] = cy * cx;
    stand.turn[0][1] = cy * sx;
    stand.turn[0][2] = -sy;
    stand.turn[1][0] = fused(sz * sy, cx, -(cz * sx));
    stand.turn[1][1] = fused(sz * sy, sx, cz * cx);
    stand.turn[1][2] = sz * cy;
    stand.turn[2][0] = fused(cz * sy, cx, sz * sx);
    stand.turn[2][1] = fused(cz * sy, sx, -(sz * cx));
    stand.turn[2][2] = cz * cy;
    return stand;
}

REAL_FUNCTION int place_of(float middle, const View& view, int axis)
{
    return rounded(clamped((middle - view.origin[axis]) / view.voxel[axis], -FAR, FAR));
}

REAL_FUNCTION int in_body(const float* settings, int place, const View& view, int axis)
{
    return rounded(fused((float)place, view.voxel[axis], view.origin[axis])
                   / settings[ANATOMY_SAMPLING_BODY + axis] * (float)BODY_UNIT);
}

// Each lane proposes its own places; all get the least and most of all.
REAL_FUNCTION Places propose(const float* settings, const Expected& expected, const View& view,
                             int tries, int sweeps, Long seed, Long index, Long draw, int lane,
                             int* proposals)
{
    const bool anywhere = settings[ANATOMY_SAMPLING_UNIFORM] != 0.0f;
    const int seconds = 2 * tries;
    Places places;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        places.least[axis] = (int)FAR;
        places.most[axis] = -(int)FAR;
    }
#pragma unroll 1
    for (int k = lane; k < seconds + sweeps; k += 32) {
        const Words w = random_words(seed, index, STREAM_ANATOMY, draw + PROPOSAL_DRAW + k);
        const float widen =
            tries <= k && k < seconds ? settings[ANATOMY_SAMPLING_WIDEN] : 1.0f;
        const float most = (float)PROPOSAL_REACH;
        const float z = clamped(widen * unit_normal(w.x), -most, most);
        const float y = clamped(widen * unit_normal(w.y), -most, most);
        const float x = clamped(widen * unit_normal(w.z), -most, most);
        int* proposal = proposals + k * PROPOSAL_SIZE;
        proposal[PROPOSAL_NOISE] = k < seconds ? gumbel(w.w) : negative_log(w.w);
        int first = 0;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            float away = expected.factor[first] * z;
            if (axis > 0)
                away = fused(expected.factor[first + 1], y, away);
            if (axis > 1)
                away = fused(expected.factor[first + 2], x, away);
            first += axis + 1;
            int place = place_of(expected.middle[axis] + away, view, axis);
            if (anywhere)
                place = bounded(word_of(w, axis), 0,
                                (int)settings[ANATOMY_SAMPLING_SHAPE + axis] - 1);
            proposal[PROPOSAL_PLACE + axis] = place;
            places.least[axis] = min(places.least[axis], place);
            places.most[axis] = max(places.most[axis], place);
            proposal[PROPOSAL_BODY + axis] = in_body(settings, place, view, axis);
        }
    }
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        places.least[axis] = __reduce_min_sync(ALL_LANES, places.least[axis]);
        places.most[axis] = __reduce_max_sync(ALL_LANES, places.most[axis]);
    }
    return places;
}

REAL_FUNCTION Reach reach_of(const float* box, const Stand& stand, const View& view, float spacing,
                             float wider)
{
    Reach reach;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        float middle = 0.0f, extent = 0.0f, slope = 0.0f, square = 0.0f;
#pragma unroll
        for (int own = 0; own < 3; ++own) {
            const float step = stand.turn[axis][own] * stand.stretch[own] / view.voxel[axis];
            middle = fused(step, 0.5f * (box[3 + own] + box[own]), middle);
            extent = fused(magnitude(step), 0.5f * (box[3 + own] - box[own]), extent);
            slope = slope + magnitude(step);
            square = fused(step, step, square);
        }
        reach.middles[axis] = middle;
        reach.slopes[axis] = slope * spacing;
        reach.extents[axis] = fused(wider * spacing, root(square), extent);
    }
    return reach;
}

// Every lane finds the sides, the first writes them.
REAL_FUNCTION void lay_box(const float* settings, const Reach& reach, float most_moved,
                           const Places& places, const int* cap, int lane, int sides[3], int* pose)
{
    int lows[3];
    bool empty = false, clipped = false;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const float extent = fused(reach.slopes[axis], most_moved, reach.extents[axis]) + 1.0f;
        int low = rounded(floor_of(reach.middles[axis] - extent));
        int high = rounded(ceiling(reach.middles[axis] + extent));
        const int first = -places.most[axis];
        const int last = (int)settings[ANATOMY_SAMPLING_SHAPE + axis] - 1 - places.least[axis];
        if (low < first || high > last) {
            low = max(low, first);
            high = min(high, last);
            clipped = true;
        }
        int side = (max(high - low + 1, 0) + TILE - 1) / TILE * TILE;
        empty = empty || side == 0;
        if (side > cap[axis]) {
            low += (side - cap[axis]) / 2;
            side = cap[axis];
            clipped = true;
        }
        lows[axis] = low;
        sides[axis] = side;
    }
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        if (empty)
            lows[axis] = sides[axis] = 0;
        if (lane == 0) {
            pose[POSE_BOX + axis] = lows[axis];
            pose[POSE_DEPTH + axis] = sides[axis];
        }
    }
    if (lane == 0)
        pose[POSE_CLIPPED] = clipped;
}

REAL_FUNCTION float injective_bound(float side, float slope)
{
    return INJECTIVE * side * THIRD / slope;
}

REAL_FUNCTION void lay_controls(float sd, float bound, Long seed, Long index, Long draw, int lane,
                                int* controls)
{
    static_assert(CONTROL_VALUES % 4 == 0, "a draw gives four");
#pragma unroll 1
    for (int i = lane; i < CONTROL_VALUES / 4; i += 32) {
        const Words w = random_words(seed, index, STREAM_ANATOMY, draw + CONTROL_DRAW + i);
        const unsigned int words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int j = 0; j < 4; ++j)
            controls[4 * i + j] =
                rounded(clamped(sd * unit_normal(words[j]), -bound, bound) * 4096.0f);
    }
}

REAL_FUNCTION void lay_points(const float* surface, const Stand& stand, const View& view, int lane,
                              int* points)
{
#pragma unroll 1
    for (int i = lane; i < BANK_POINTS; i += 32) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            float at = 0.0f;
#pragma unroll
            for (int source = 0; source < 3; ++source)
                at = fused(stand.turn[axis][source] * stand.stretch[source],
                           surface[3 * i + source], at);
            points[3 * i + axis] = rounded(at / view.voxel[axis] * 16.0f);
        }
    }
}

REAL_FUNCTION void lay_zeros(int* values, int count, int lane)
{
    for (int i = lane; i < count; i += 32)
        values[i] = 0;
}

REAL_FUNCTION bool is_drawn(const float* settings, const float* structure, unsigned int word,
                            const View& view)
{
    return structure[BANK_STRUCTURE_SUBJECTS] > 0.0f
        && unit_float(word) < settings[ANATOMY_SAMPLING_KEEP]
        && is_in_view(settings, structure, view);
}

REAL_FUNCTION int shape_taken(const float* settings, const float* structures, int n,
                              unsigned int word)
{
    const int partner = (int)structures[n * BANK_STRUCTURE_SIZE + BANK_STRUCTURE_MIRROR];
    const bool taken = structures[partner * BANK_STRUCTURE_SIZE + BANK_STRUCTURE_SUBJECTS] > 0.0f
        && unit_float(word) < settings[ANATOMY_SAMPLING_MIRROR];
    return taken ? partner : n;
}

REAL_FUNCTION int subject_of(const float* structures, const int* choices, int S, int which,
                             unsigned int word)
{
    const int subjects = (int)structures[which * BANK_STRUCTURE_SIZE + BANK_STRUCTURE_SUBJECTS];
    return choices[which * S + bounded(word, 0, subjects - 1)];
}

REAL_FUNCTION Expected expected_of(const float* structure)
{
    Expected expected;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        expected.middle[axis] = structure[BANK_STRUCTURE_MEAN + axis];
#pragma unroll
    for (int i = 0; i < 6; ++i)
        expected.factor[i] = structure[BANK_STRUCTURE_FACTOR + i];
    return expected;
}

// Where the person has it in its leader, whose place is the expected one.
REAL_FUNCTION Expected following(const float* settings, const float* leader, const float* offset,
                                 const Stand& stand, const View& view)
{
    Expected expected;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const int anchor = place_of(leader[BANK_STRUCTURE_MEAN + axis], view, axis);
        expected.middle[axis] = fused((float)anchor, view.voxel[axis], view.origin[axis]);
#pragma unroll
        for (int own = 0; own < 3; ++own)
            expected.middle[axis] = fused(stand.turn[axis][own] * stand.stretch[own], offset[own],
                                          expected.middle[axis]);
    }
#pragma unroll
    for (int i = 0; i < 6; ++i)
        expected.factor[i] = i == 0 || i == 2 || i == 5 ? settings[ANATOMY_SAMPLING_JITTER] : 0.0f;
    return expected;
}

extern "C" __global__ void sample_anatomy(
    const float* settings,      // (ANATOMY_SAMPLING_SIZE,)
    const float* structures,    // (N, BANK_STRUCTURE_SIZE)
    const int* choices,         // (N, S)
    const float* boxes,         // (S * N, 6)
    const float* offsets,       // (S * N, 3)
    const float* surface,       // (S * N, BANK_POINTS, 3)
    const int* shapes,          // (L * S * N, BANK_SHAPE_SIZE)
    const int* caps,            // (N, 3)
    int tries, int sweeps,
    unsigned long long seed,
    const unsigned long long* indices,  // (B,)
    int* poses,                 // (B, N, POSE_SIZE), out
    int* controls,              // (B, N, 3, CONTROLS, CONTROLS, CONTROLS), out
    int* points,                // (B, N, BANK_POINTS, 3), out
    int* proposals,             // (B, N, 2 * tries + sweeps, PROPOSAL_SIZE), out
    int* counts,                // (B, N), set to 0
    int B, int N, int S)
{
    const Int object = ((Int)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32;
    if (object >= (Int)B * N)
        return;
    const int n = (int)(object % N), count = 2 * tries + sweeps;
    const Long index = indices[object / N], draw = (Long)n * ANATOMY_DRAWS;
    int* pose = poses + object * POSE_SIZE;
    int* own_controls = controls + object * CONTROL_VALUES;
    int* own_points = points + object * (3 * BANK_POINTS);
    int* own_proposals = proposals + object * count * PROPOSAL_SIZE;

    const float* structure = structures + n * BANK_STRUCTURE_SIZE;
    // The first lanes draw the first words of the object, the next those of the volume, then those
    // of its container.
    const int container = (int)structure[BANK_STRUCTURE_CONTAINER];
    const int volume_lane = HEAD_DRAWS, container_lane = volume_lane + 2;
    Long head_draw = draw + lane;
    if (lane >= volume_lane)
        head_draw = (Long)STRUCTURES_MAX * ANATOMY_DRAWS + (lane - volume_lane);
    if (lane >= container_lane)
        head_draw = (Long)container * ANATOMY_DRAWS + (lane - container_lane);
    const Words first = random_words(seed, index, STREAM_ANATOMY, head_draw);
    const Words head = words_of(first, 0);
    const unsigned int strength = words_of(first, 2).w;  // of the displacement
    const View view = view_of(settings, structures, N, words_of(first, volume_lane),
                              words_of(first, volume_lane + 1));
    if (lane == 0)
        counts[object] = 0;
    if (!is_drawn(settings, structure, head.x, view)) {
        for (int i = lane; i < POSE_SIZE; i += 32)
            pose[i] = i == POSE_FATE ? FATE_ABSENT : 0;
        lay_zeros(own_controls, CONTROL_VALUES, lane);
        lay_zeros(own_points, 3 * BANK_POINTS, lane);
        lay_zeros(own_proposals, count * PROPOSAL_SIZE, lane);
        return;
    }
    const float* containing = structures + container * BANK_STRUCTURE_SIZE;
    const Words container_head = words_of(first, container_lane);
    int which = shape_taken(settings, structures, n, container_head.z);
    const int leading = shape_taken(settings, structures, container, container_head.z);
    int subject = subject_of(structures, choices, S, leading, container_head.y);
    const bool follows = container != n && settings[ANATOMY_SAMPLING_UNIFORM] == 0.0f
        && (int)structures[which * BANK_STRUCTURE_SIZE + BANK_STRUCTURE_CONTAINER] == leading
        && shapes[((Int)subject * N + which) * BANK_SHAPE_SIZE + BANK_SHAPE_DEPTH] != 0
        && is_drawn(settings, containing, container_head.x, view);
    const int leader = follows ? container : n, leader_lane = follows ? container_lane : 0;
    if (!follows) {
        which = shape_taken(settings, structures, n, head.z);
        subject = subject_of(structures, choices, S, which, head.y);
    }
    const Words pose_words = words_of(first, leader_lane + 1);
    const Words turn_words = words_of(first, leader_lane + 2);
    const Int own = (Int)subject * N + which, shape = (Int)view.level * S * N + own;

    const Stand stand = stand_of(settings, pose_words, turn_words, which != n);
    const float spacing = settings[ANATOMY_SAMPLING_BANK_SPACING] * (float)(1 << view.level);
    const float per_voxel =
        cube_root(view.voxel[0] * view.voxel[1] * view.voxel[2]) / (stand.mean * spacing);
    if (lane == 0) {
        pose[POSE_FATE] = FATE_PLACED;
        pose[POSE_LEADER] = follows ? leader + 1 : 0;
        pose[POSE_SHAPE] = (int)shape;
        pose[POSE_VALUE] = bounded(head.w, (int)settings[ANATOMY_SAMPLING_VALUE_LOW],
                                   (int)settings[ANATOMY_SAMPLING_VALUE_HIGH]);
        pose[POSE_VOXEL] = rounded(per_voxel * 65536.0f);
        pose[POSE_LENGTH] = rounded(stand.mean * spacing * 4096.0f);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            pose[POSE_CENTRE + axis] = shapes[shape * BANK_SHAPE_SIZE + BANK_SHAPE_CENTRE + axis];
#pragma unroll
            for (int to = 0; to < 3; ++to) {
                const float step = stand.turn[to][axis] * view.voxel[to]
                    / (stand.stretch[axis] * spacing);
                pose[POSE_MATRIX + 3 * axis + to] = rounded(step * 65536.0f);
            }
        }
    }

    Places spread = {};
    Expected expected = expected_of(structure);
    if (follows) {
        spread = propose(settings, expected_of(containing), view, tries, sweeps, seed, index,
                         (Long)leader * ANATOMY_DRAWS, lane, own_proposals);
        expected = following(settings, containing, offsets + 3 * own, stand, view);
    }
    Places places = propose(settings, expected, view, tries, sweeps, seed, index, draw, lane,
                            own_proposals);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        if (follows) {
            const int away = place_of(containing[BANK_STRUCTURE_MEAN + axis], view, axis);
            places.least[axis] += min(spread.least[axis] - away, 0);
            places.most[axis] += max(spread.most[axis] - away, 0);
        }
        const int anchor = place_of(expected.middle[axis], view, axis);
        if (lane == 0) {
            pose[POSE_ANCHOR + axis] = anchor;
            pose[POSE_ANCHOR_BODY + axis] = in_body(settings, anchor, view, axis);
        }
    }
    const float wider = fused(settings[ANATOMY_SAMPLING_MARGIN], per_voxel, SLACK);
    const Reach reach = reach_of(boxes + 6 * own, stand, view, spacing, wider);
    const float sd = uniform(strength, settings[ANATOMY_SAMPLING_DISPLACEMENT_LOW],
                             settings[ANATOMY_SAMPLING_DISPLACEMENT_HIGH]) / spacing;
    float bound = CLIP * sd;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        bound = least(bound, injective_bound(reach.extents[axis] + reach.extents[axis],
                                             reach.slopes[axis]));
    int sides[3];
    lay_box(settings, reach, bound, places, caps + 3 * n, lane, sides, pose);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        bound = least(bound, injective_bound((float)sides[axis], reach.slopes[axis]));
    if (bound > 0.0f)
        lay_controls(sd, bound, seed, index, draw, lane, own_controls);
    else
        lay_zeros(own_controls, CONTROL_VALUES, lane);
    lay_points(surface + own * (3 * BANK_POINTS), stand, view, lane, own_points);
}
