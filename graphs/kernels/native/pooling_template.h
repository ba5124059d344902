/* Pooling over windows: the largest number, the mean, their gradients, and the tangent of the
 * largest number.
 *
 * Windows are worked on in runs of a few vectors: the channels of one place where channels stand
 * next to each other in memory, else one window after the other. Of each place in a window, the
 * numbers of a run are read where they lie or brought together; what is found of a run so far stays
 * in the first cache. A place beyond the image counts as a number that changes nothing.
 */
#include "pooling.h"

#include <math.h>
#include <string.h>

#define RUN 64 /* windows at a time */
#define EACH for (dt_int l = 0; l < r->count; l++)
#define VECTORS _Pragma("omp simd") EACH /* where numbers stand side by side */

/* Windows that are worked on together; of those along the channels of one place only the first has
 * numbers of its own. */
typedef struct {
    const dt_pool *shape;
    dt_int count, image;
    int along_channels;
    dt_int channel[RUN], top[RUN], left[RUN]; /* where they begin in the image, or before it */
    dt_int row[RUN], column[RUN];             /* which windows they are */
    dt_int least[2], most[2];                 /* of `top` and `left` */
} run;

/* Where each window of a run begins in memory. */
static void find_images(const run *r, const dt_int strides[4], dt_int *at) {
    const dt_int count = r->along_channels ? 1 : r->count, base = r->image * strides[0];
    for (dt_int l = 0; l < count; l++)
        at[l] = base + r->channel[l] * strides[1] + r->top[l] * strides[2] +
                r->left[l] * strides[3];
}

static void find_windows(const run *r, const dt_int strides[4], dt_int *at) {
    const dt_int count = r->along_channels ? 1 : r->count, base = r->image * strides[0];
    for (dt_int l = 0; l < count; l++)
        at[l] = base + r->channel[l] * strides[1] + r->row[l] * strides[2] +
                r->column[l] * strides[3];
}

/* Whether the image has what one window, and what all of a run, have at a place. */
static int is_inside(const run *r, dt_int l, dt_int i, dt_int j) {
    const dt_pool *s = r->shape;
    const dt_int down = r->top[l] + i * s->dilation[0], right = r->left[l] + j * s->dilation[1];
    return down >= 0 && down < s->size[0] && right >= 0 && right < s->size[1];
}

static int are_inside(const run *r, dt_int i, dt_int j) {
    const dt_pool *s = r->shape;
    const dt_int down = i * s->dilation[0], right = j * s->dilation[1];
    return r->least[0] + down >= 0 && r->least[1] + right >= 0 &&
           r->most[0] + down < s->size[0] && r->most[1] + right < s->size[1];
}

/* The numbers of a run at one place of its windows, where `at` says that these begin. */
static const REAL *bring(const run *r, const REAL *x, const dt_int strides[4], const dt_int *at,
                         dt_int i, dt_int j, REAL beyond, REAL *room) {
    const dt_pool *s = r->shape;
    x += i * s->dilation[0] * strides[2] + j * s->dilation[1] * strides[3];
    const int inside = are_inside(r, i, j);
    if (r->along_channels) {
        if (inside && strides[1] == 1) return x + at[0];
        EACH room[l] = inside ? x[at[0] + l * strides[1]] : beyond;
    } else if (inside) {
        EACH room[l] = x[at[l]];
    } else {
        VECTORS room[l] = is_inside(r, l, i, j) ? x[at[l]] : beyond;
    }
    return room;
}

static const REAL *bring_windows(const run *r, const REAL *y, const dt_int strides[4], REAL *room) {
    dt_int at[RUN];
    find_windows(r, strides, at);
    if (r->along_channels && strides[1] == 1) return y + at[0];
    EACH room[l] = y[r->along_channels ? at[0] + l * strides[1] : at[l]];
    return room;
}

static void store(const run *r, const REAL *found, REAL *y, const dt_int strides[4]) {
    dt_int at[RUN];
    find_windows(r, strides, at);
    if (r->along_channels && strides[1] == 1)
        memcpy(y + at[0], found, sizeof(REAL) * (size_t)r->count);
    else
        EACH y[r->along_channels ? at[0] + l * strides[1] : at[l]] = found[l];
}

/* Whether no number is in two windows, so that nothing is added up. */
static int are_apart(const dt_pool *s) {
    return s->stride[0] > (s->kernel[0] - 1) * s->dilation[0] &&
           s->stride[1] > (s->kernel[1] - 1) * s->dilation[1];
}

/* Put parts in their place among the cotangents of the images, or add them to what is there. */
static void give(const run *r, const REAL *part, REAL *to, const dt_int *at, dt_int i, dt_int j) {
    const dt_pool *s = r->shape;
    const int apart = are_apart(s), inside = are_inside(r, i, j);
    to += i * s->dilation[0] * s->gx[2] + j * s->dilation[1] * s->gx[3];
    if (!r->along_channels) {
        EACH if (inside || is_inside(r, l, i, j))
            to[at[l]] = apart ? part[l] : to[at[l]] + part[l];
    } else if (inside) {
        const dt_int step = s->gx[1];
        to += at[0];
        if (step != 1)
            EACH to[l * step] = apart ? part[l] : to[l * step] + part[l];
        else if (apart)
            memcpy(to, part, sizeof(REAL) * (size_t)r->count);
        else
            VECTORS to[l] += part[l];
    }
}

#define PLACES(s) \
    for (dt_int i = 0; i < (s)->kernel[0]; i++) \
        for (dt_int j = 0; j < (s)->kernel[1]; j++)

/* -- what is done to a run -------------------------------------------------------------------- */

typedef struct {
    const REAL *x, *y, *g;
    REAL *to;
} tensors;

typedef void visitor(const run *r, const tensors *t);

static void find_largest(const run *r, const tensors *t) {
    const dt_pool *s = r->shape;
    dt_int at[RUN];
    REAL found[RUN], room[RUN];
    find_images(r, s->x, at);
    VECTORS found[l] = -(REAL)INFINITY;
    PLACES(s) {
        const REAL *x = bring(r, t->x, s->x, at, i, j, -(REAL)INFINITY, room);
        VECTORS found[l] = x[l] > found[l] || x[l] != x[l] ? x[l] : found[l];
    }
    store(r, found, t->to, s->y);
}

/* How many numbers of each window are its largest; 1 where that is NaN. */
static void count_ties(const run *r, const REAL *x, const dt_int *at, const REAL *top, REAL *ties) {
    const dt_pool *s = r->shape;
    REAL room[RUN];
    VECTORS ties[l] = 0;
    PLACES(s) {
        const REAL *n = bring(r, x, s->x, at, i, j, (REAL)NAN, room);
        VECTORS ties[l] += n[l] == top[l] ? 1 : 0;
    }
    VECTORS ties[l] = ties[l] > 1 ? ties[l] : 1;
}

static void share_maxima(const run *r, const tensors *t) {
    const dt_pool *s = r->shape;
    dt_int at[RUN], g_at[RUN];
    REAL top_room[RUN], ties[RUN], g_room[RUN], room[RUN], part[RUN];
    const REAL *top = bring_windows(r, t->y, s->y, top_room);
    const REAL *g = bring_windows(r, t->g, s->g, g_room);
    find_images(r, s->x, at);
    find_images(r, s->gx, g_at);
    count_ties(r, t->x, at, top, ties);
    VECTORS ties[l] = g[l] / ties[l];
    PLACES(s) {
        const REAL *x = bring(r, t->x, s->x, at, i, j, (REAL)NAN, room);
        VECTORS part[l] = x[l] == top[l] ? ties[l] : 0;
        give(r, part, t->to, g_at, i, j);
    }
}

static void follow_maxima(const run *r, const tensors *t) {
    const dt_pool *s = r->shape;
    dt_int at[RUN], g_at[RUN];
    REAL top_room[RUN], ties[RUN], found[RUN], room[RUN], g_room[RUN];
    const REAL *top = bring_windows(r, t->y, s->y, top_room);
    find_images(r, s->x, at);
    find_images(r, s->gx, g_at);
    count_ties(r, t->x, at, top, ties);
    VECTORS found[l] = 0;
    PLACES(s) {
        const REAL *x = bring(r, t->x, s->x, at, i, j, (REAL)NAN, room);
        const REAL *g = bring(r, t->g, s->gx, g_at, i, j, 0, g_room);
        VECTORS found[l] += x[l] == top[l] ? g[l] : 0;
    }
    VECTORS found[l] /= ties[l];
    store(r, found, t->to, s->g);
}

/* How many places of a window count along an axis. */
static dt_int counted(const dt_pool *s, int axis, dt_int begin) {
    const dt_int end = begin + s->kernel[axis], low = s->low[axis], high = s->high[axis];
    return (end < high ? end : high) - (begin > low ? begin : low);
}

/* Numbers of windows, each divided by how many it is the mean of. */
static void divide(const run *r, const REAL *sums, REAL *means) {
    const dt_pool *s = r->shape;
    REAL counts[RUN];
    EACH {
        const dt_int own = r->along_channels ? 0 : l;
        counts[l] = (REAL)(counted(s, 0, r->top[own]) * counted(s, 1, r->left[own]));
    }
    VECTORS means[l] = sums[l] / counts[l];
}

static void average(const run *r, const tensors *t) {
    const dt_pool *s = r->shape;
    dt_int at[RUN];
    REAL found[RUN], room[RUN];
    find_images(r, s->x, at);
    VECTORS found[l] = -(REAL)0; /* it leaves the sign of every number */
    PLACES(s) {
        const REAL *x = bring(r, t->x, s->x, at, i, j, 0, room);
        VECTORS found[l] += x[l];
    }
    divide(r, found, found);
    store(r, found, t->to, s->y);
}

static void share_means(const run *r, const tensors *t) {
    const dt_pool *s = r->shape;
    dt_int at[RUN];
    REAL part[RUN], room[RUN];
    divide(r, bring_windows(r, t->g, s->g, room), part);
    find_images(r, s->gx, at);
    PLACES(s) give(r, part, t->to, at, i, j);
}

/* -- how windows are shared out --------------------------------------------------------------- */

/* Some channels, and some rows of windows, of an image. */
typedef struct {
    dt_int image, channel, channels, row, rows; /* from the first to before the last */
} part;

static void place(run *r, dt_int l, dt_int channel, dt_int row, dt_int column) {
    const dt_pool *s = r->shape;
    r->channel[l] = channel;
    r->row[l] = row;
    r->column[l] = column;
    r->top[l] = row * s->stride[0] - s->before[0];
    r->left[l] = column * s->stride[1] - s->before[1];
}

/* Find how far the windows of a run reach. */
static void bound(run *r) {
    dt_int top = r->top[0], low = top, left = r->left[0], right = left;
#pragma omp simd reduction(min : top, left) reduction(max : low, right)
    for (dt_int l = 0; l < r->count; l++) {
        top = r->top[l] < top ? r->top[l] : top;
        low = r->top[l] > low ? r->top[l] : low;
        left = r->left[l] < left ? r->left[l] : left;
        right = r->left[l] > right ? r->left[l] : right;
    }
    r->least[0] = top, r->least[1] = left;
    r->most[0] = low, r->most[1] = right;
}

static void walk_channels(run *r, const part *p, visitor *visit, const tensors *t) {
    for (dt_int row = p->row; row < p->rows; row++)
        for (dt_int column = 0; column < r->shape->windows[1]; column++)
            for (dt_int channel = p->channel; channel < p->channels; channel += RUN) {
                r->count = p->channels - channel < RUN ? p->channels - channel : RUN;
                place(r, 0, channel, row, column);
                r->least[0] = r->most[0] = r->top[0];
                r->least[1] = r->most[1] = r->left[0];
                visit(r, t);
            }
}

static void walk_windows(run *r, const part *p, visitor *visit, const tensors *t) {
    r->count = 0;
    for (dt_int channel = p->channel; channel < p->channels; channel++)
        for (dt_int row = p->row; row < p->rows; row++)
            for (dt_int column = 0; column < r->shape->windows[1]; column++) {
                place(r, r->count++, channel, row, column);
                if (r->count < RUN) continue;
                bound(r);
                visit(r, t);
                r->count = 0;
            }
    if (!r->count) return;
    bound(r);
    visit(r, t);
}

static int lie_along_channels(const dt_pool *shape) {
    return shape->channels > 1 && shape->x[1] <= shape->x[3];
}

static void walk(const dt_pool *shape, const part *p, visitor *visit, const tensors *t) {
    run r;
    r.shape = shape;
    r.image = p->image;
    r.along_channels = lie_along_channels(shape);
    if (r.along_channels)
        walk_channels(&r, p, visit, t);
    else
        walk_windows(&r, p, visit, t);
}

/* Each thread writes some rows of windows. */
static void to_windows(dt_team *team, int thread, const dt_pool *shape, visitor *visit,
                       const tensors *t) {
    const dt_int rows = shape->windows[0];
    dt_int begin, end = dt_share(team, thread, shape->images * rows, &begin);
    while (begin < end) {
        const dt_int image = begin / rows, row = begin % rows;
        const dt_int stop = end - begin < rows - row ? row + end - begin : rows;
        walk(shape, &(part){image, 0, shape->channels, row, stop}, visit, t);
        begin += stop - row;
    }
}

/* Whether every number of the images is in just one window. */
static int are_tiles(const dt_pool *s) {
    for (int axis = 0; axis < 2; axis++) {
        const dt_int end = s->windows[axis] * s->stride[axis] - s->before[axis];
        if (s->stride[axis] != s->kernel[axis] || end < s->size[axis]) return 0;
    }
    return are_apart(s);
}

static void clear(const dt_pool *shape, const part *p, REAL *to) {
    const dt_int *strides = shape->gx, height = shape->size[0], width = shape->size[1];
    const dt_int channels = p->channels - p->channel;
    to += p->image * strides[0] + p->channel * strides[1];
    const int across = strides[1] == 1;
    const dt_int rows = across ? height * width : channels * height;
    const dt_int count = across ? channels : width, step = across ? 1 : strides[3];
    for (dt_int i = 0; i < rows; i++) {
        REAL *row = to + (across ? i / width * strides[2] + i % width * strides[3]
                                 : i / height * strides[1] + i % height * strides[2]);
        if (step == 1)
            memset(row, 0, sizeof(REAL) * (size_t)count);
        else
            for (dt_int l = 0; l < count; l++) row[l * step] = 0;
    }
}

/* Each thread adds to some channels of the images, for windows overlap. */
static void to_images(dt_team *team, int thread, const dt_pool *shape, visitor *visit,
                      const tensors *t) {
    const dt_int all = shape->channels, line = 64 / (dt_int)sizeof(REAL);
    const dt_int strip = shape->images >= team->threads ? all : line;
    const dt_int strips = (all + strip - 1) / strip;
    dt_int begin, end = dt_share(team, thread, shape->images * strips, &begin);
    for (; begin < end; begin++) {
        const dt_int first = begin % strips * strip, last = first + strip;
        const part p = {begin / strips, first, last < all ? last : all, 0, shape->windows[0]};
        if (!are_tiles(shape)) clear(shape, &p, t->to);
        walk(shape, &p, visit, t);
    }
}

void OF(dt_max_pool)(dt_team *team, int thread, const dt_pool *shape, const REAL *x, REAL *y) {
    to_windows(team, thread, shape, find_largest, &(tensors){.x = x, .to = y});
}

void OF(dt_max_pool_grad)(dt_team *team, int thread, const dt_pool *shape, const REAL *x,
                          const REAL *y, const REAL *g, REAL *gx) {
    to_images(team, thread, shape, share_maxima, &(tensors){x, y, g, gx});
}

void OF(dt_max_pool_tangent)(dt_team *team, int thread, const dt_pool *shape, const REAL *x,
                             const REAL *y, const REAL *gx, REAL *g) {
    to_windows(team, thread, shape, follow_maxima, &(tensors){x, y, gx, g});
}

void OF(dt_avg_pool)(dt_team *team, int thread, const dt_pool *shape, const REAL *x, REAL *y) {
    to_windows(team, thread, shape, average, &(tensors){.x = x, .to = y});
}

void OF(dt_avg_pool_grad)(dt_team *team, int thread, const dt_pool *shape, const REAL *g,
                          REAL *gx) {
    to_images(team, thread, shape, share_means, &(tensors){.g = g, .to = gx});
}
