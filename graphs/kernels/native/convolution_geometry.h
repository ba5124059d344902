/* Which numbers of its operands a convolution brings together, whatever their type. */
#include "convolution.h"

/* A band should stay in the second cache next to the weights. */
#define BAND_BYTES (256 << 10)

/* A thread's own sums for the gradient of weights, at most, and a block of images for all. */
#define SUMS_BYTES (1 << 20)
#define BLOCK_BYTES (1 << 20)

/* Along an axis: what the units [begin, end) of the outputs read of a source. Unit u reads
 * `reach` places from u * step - before on. */
typedef struct {
    dt_int begin, end, step, before, reach, length;
} dt_axis;

/* Along an axis: the outputs to + u * to_step, begin <= u < end, that the same taps reach. These
 * read the source from u * step + from on, each `apart` from the one before; the first of them is
 * weight number `tap`, and the others are `tap_step` apart. */
typedef struct {
    dt_int begin, end, to, to_step;
    dt_int step, from, count, apart, tap, tap_step;
} dt_part;

static inline dt_int floor_divide(dt_int a, dt_int b) { return a / b - (a % b < 0); }

static inline dt_int at_most(dt_int a, dt_int b) { return a < b ? a : b; }

static inline dt_int at_least(dt_int a, dt_int b) { return a > b ? a : b; }

static inline dt_int round_up(dt_int a, dt_int b) { return (a + b - 1) / b * b; }

static inline dt_int aligned(dt_int bytes) { return round_up(bytes, 64); }

static inline dt_int common_divisor(dt_int a, dt_int b) {
    while (b) {
        dt_int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static inline dt_axis axis_of(const dt_conv *shape, int i, int transposed) {
    dt_int s = shape->stride[i], before = shape->before[i];
    dt_int last = (shape->kernel[i] - 1) * shape->dilation[i];
    if (!transposed)
        return (dt_axis){0, shape->windows[i], s, before, last + 1, shape->size[i]};
    dt_int begin = floor_divide(before, s);
    dt_int end = floor_divide(before + shape->size[i] - 1, s) + 1;
    return (dt_axis){begin, end, 1, last / s, last / s + 1, shape->windows[i]};
}

static inline dt_int part_count(const dt_conv *shape, int i, int transposed) {
    return transposed ? shape->stride[i] : 1;
}

/* Part r of a transposed convolution: the outputs whose place, padding counted, leaves r over. */
static inline dt_part part_of(const dt_conv *shape, int i, int transposed, dt_int r) {
    dt_int s = shape->stride[i], d = shape->dilation[i], k = shape->kernel[i];
    dt_int before = shape->before[i];
    if (!transposed) return (dt_part){0, shape->windows[i], 0, 1, s, -before, k, d, 0, 1};
    dt_part part = {.begin = -floor_divide(r - before, s),
                    .end = floor_divide(before + shape->size[i] - 1 - r, s) + 1,
                    .to = r - before,
                    .to_step = s,
                    .step = 1};
    dt_int divisor = common_divisor(s, d), every = s / divisor, first = 0;
    while (first < at_most(every, k) && first * d % s != r) first++;
    if (first == at_most(every, k)) return part;
    part.count = (k - 1 - first) / every + 1;
    part.tap = first + (part.count - 1) * every;
    part.tap_step = -every;
    part.from = -(part.tap * d - r) / s;
    part.apart = d / divisor;
    return part;
}

/* How many rows of outputs a band holds, if each takes so many bytes of sources. */
static inline dt_int band_rows(dt_axis h, dt_int bytes) {
    return at_least(1, at_most(BAND_BYTES / at_least(bytes, 1), h.end - h.begin));
}

/* Places of the source that so many units reach. */
static inline dt_int reached(dt_axis axis, dt_int units) {
    return (units - 1) * axis.step + axis.reach;
}

/* Whether no unit reads outside the source. */
static inline int is_inside(dt_axis axis) {
    return axis.begin * axis.step >= axis.before &&
           (axis.end - 1) * axis.step - axis.before + axis.reach <= axis.length;
}

/* Whether each channel has one filter of its own. */
static inline int is_depthwise(const dt_conv *shape) {
    return shape->groups > 1 && shape->channels == shape->groups &&
           shape->filters == shape->groups;
}

/* The tile for the columns from `column` on: a half one where the rest fits into it. */
static inline dt_int tile_width(dt_int columns, dt_int column, dt_int width) {
    return columns - column <= width / 2 ? width / 2 : width;
}

/* Blocks of rows of nearly one size. */
static inline dt_int block_count(dt_int rows, int is_whole) {
    dt_int most = is_whole ? DT_ROWS : 2 * DT_ROWS;
    return (rows + most - 1) / most;
}
