/* Direct convolution: the channels are the columns of a tile, neighbouring outputs its rows.
 *
 * Images lie in memory with the channels last and zeros around them, so that the numbers under one
 * row of a window stand next to each other: they are the depth of a product, and the rows of the
 * window its segments. One call of a tile thus computes a block of outputs whole, and no window is
 * copied. An image that lies otherwise is copied first, a band of rows at a time.
 *
 * The transpose of a convolution that steps by s computes each s-th output from taps of its own;
 * taken by themselves these outputs are a convolution that does not step. A forward convolution is
 * the case of one such part.
 */
#include "convolution_copies.h"
#include "convolution_depthwise.h"

static void product(dt_int width, dt_int rows, dt_int depth, const REAL *a, dt_int a_row,
                    dt_int a_depth, const REAL *b, dt_int b_depth, REAL *c, dt_int c_row,
                    int accumulate, dt_int segments, dt_int a_segment, dt_int b_segment) {
    (width == WIDTH ? OF(dt_tile) : OF(dt_half_tile))((int)rows, depth, a, a_row, a_depth, b,
                                                      b_depth, c, c_row, accumulate, segments,
                                                      a_segment, b_segment);
}

/* What flows through a convolution, or backwards through its transpose. */
typedef struct {
    int lone;           /* each channel has one filter of its own; it counts as one group */
    dt_int groups;
    dt_int depth;       /* numbers of a group's pixel that are added up */
    dt_int columns;     /* and of one of its results */
    dt_int taps, panel; /* weights of a group that meet a pixel; numbers of a packed tap */
} dt_flow;

static dt_flow flow_of(const dt_conv *shape, int transposed) {
    dt_flow flow = {.lone = is_depthwise(shape)};
    flow.groups = flow.lone ? 1 : shape->groups;
    flow.depth = (transposed ? shape->filters : shape->channels) / flow.groups;
    flow.columns = (transposed ? shape->channels : shape->filters) / flow.groups;
    flow.taps = shape->kernel[0] * shape->kernel[1];
    flow.panel = (flow.lone ? 1 : flow.depth) * room(flow.columns);
    return flow;
}

/* Panels of weights in the order in which `compute` reads them: for each group, each part, each
 * tile of columns, each tap, the depth. */
static void pack_weights(dt_team *team, int thread, const dt_conv *shape, int transposed,
                         const REAL *w, REAL *panels) {
    const dt_flow flow = flow_of(shape, transposed);
    const dt_int depth = flow.depth, columns = flow.columns, *strides = shape->w;
    if (flow.lone) {
        pack_depthwise(team, thread, shape, transposed, w, panels);
        return;
    }
    dt_int column_stride = strides[transposed ? 1 : 0], depth_stride = strides[transposed ? 0 : 1];
    dt_int tiles = (columns + WIDTH - 1) / WIDTH, begin, panel = 0;
    dt_int end = dt_share(team, thread, flow.groups * tiles * flow.taps, &begin);
    for (dt_int g = 0; g < shape->groups; g++, w += shape->filters / shape->groups * strides[0])
        for (dt_int r = 0; r < part_count(shape, 0, transposed); r++)
            for (dt_int s = 0; s < part_count(shape, 1, transposed); s++) {
                dt_part h = part_of(shape, 0, transposed, r);
                dt_part v = part_of(shape, 1, transposed, s);
                REAL *to = panels;
                for (dt_int o = 0; o < columns; o += WIDTH) {
                    dt_int width = tile_width(columns, o, WIDTH);
                    const REAL *first =
                        w + o * column_stride + h.tap * strides[2] + v.tap * strides[3];
                    for (dt_int i = 0; i < h.count; i++)
                        for (dt_int j = 0; j < v.count; j++, panel++, to += depth * width)
                            if (begin <= panel && panel < end)
                                OF(dt_pack)(depth, at_most(columns - o, width),
                                            first + i * h.tap_step * strides[2] +
                                                j * v.tap_step * strides[3],
                                            depth_stride, column_stride, to, width);
                }
                panels += h.count * v.count * depth * room(columns);
            }
}

/* Rows `begin` to before `end` of the outputs of one part; `line` is room for one row. */
static void compute(dt_image image, dt_part h, dt_part v, dt_int begin, dt_int end, dt_int depth,
                    dt_int columns, const REAL *panels, REAL *to, const dt_int *strides,
                    REAL *line) {
    dt_int taps = h.count * v.count, count = v.end - v.begin;
    /* Without gaps between the taps of a row they are one deep product. */
    int joined = v.count == 1 || v.apart * image.pixel == depth;
    dt_int pieces = joined ? 1 : h.count, segments = joined ? h.count : v.count;
    dt_int deep = joined ? v.count * depth : depth;
    dt_int apart = joined ? h.apart * image.row : v.apart * image.pixel;
    for (dt_int o = 0; o < columns; o += WIDTH) {
        dt_int width = tile_width(columns, o, WIDTH), kept = at_most(columns - o, width);
        dt_int blocks = taps ? block_count(count, width == WIDTH) : 0;
        int direct = taps && strides[1] == 1 && kept == width;
        for (dt_int u = at_least(begin, h.begin); u < at_most(end, h.end); u++) {
            REAL *result = to + (h.to + u * h.to_step) * strides[2] + o * strides[1] +
                           (v.to + v.begin * v.to_step) * strides[3];
            REAL *c = direct ? result : line;
            dt_int c_row = direct ? v.to_step * strides[3] : width;
            if (!taps) zero(line, count * width);
            for (dt_int k = 0; k < blocks; k++) {
                dt_int first = count * k / blocks, rows = count * (k + 1) / blocks - first;
                for (dt_int piece = 0; piece < pieces; piece++)
                    product(width, rows, deep,
                            place(image, u * h.step + h.from + piece * h.apart,
                                  (v.begin + first) * v.step + v.from),
                            v.step * image.pixel, 1, panels + piece * segments * deep * width,
                            width, c + first * c_row, c_row, piece > 0, segments, apart,
                            deep * width);
            }
            if (!direct)
                copy_pixels(count, kept, line, width, 1, result, v.to_step * strides[3],
                            strides[1]);
        }
        panels += taps * depth * width;
    }
}

static void correlate(dt_team *team, int thread, const dt_conv *shape, int transposed,
                      const REAL *from, const REAL *panels, REAL *to, char *scratch) {
    const dt_int *from_strides = transposed ? shape->y : shape->x;
    const dt_int *to_strides = transposed ? shape->x : shape->y;
    const dt_int *size = transposed ? shape->windows : shape->size;
    const dt_flow flow = flow_of(shape, transposed);
    const int lone = flow.lone;
    dt_int groups = flow.groups, depth = flow.depth, columns = flow.columns, tap = flow.panel;
    dt_int pixel = lone ? room(depth) : depth;

    dt_axis h = axis_of(shape, 0, transposed), v = axis_of(shape, 1, transposed);
    dt_int across = reached(v, v.end - v.begin), bytes = across * pixel * (dt_int)sizeof(REAL);
    dt_int units = h.end - h.begin, all = groups * shape->images * units;
    dt_int most = at_least(1, (all + team->threads - 1) / team->threads); /* of a thread */
    dt_int band = at_most(band_rows(h, h.step * bytes), most);
    dt_int band_bytes = aligned(reached(h, band) * bytes);
    /* A tile's columns are at most 128 bytes. */
    dt_int line_bytes =
        (v.end - v.begin) * at_least(lone ? room(columns) * (dt_int)sizeof(REAL) : 0, 128);
    scratch += thread * (band_bytes + line_bytes);
    REAL *line = (REAL *)(scratch + band_bytes);

    int in_place = (from_strides[1] == 1 || depth == 1) && (!lone || pixel == depth) &&
                   is_inside(h) && is_inside(v);
    dt_int begin, end = dt_share(team, thread, all, &begin);
    for (dt_int next; begin < end; begin = next) {
        dt_int which = begin / units, g = which / shape->images, n = which % shape->images;
        dt_int first = h.begin + begin % units;
        dt_int rows = at_most(at_most(end - begin, h.end - first), band);
        next = begin + rows;
        const REAL *source = from + n * from_strides[0] + g * depth * from_strides[1];
        REAL *target = to + n * to_strides[0] + g * columns * to_strides[1];
        dt_image image = {source, 0, 0, from_strides[2], from_strides[3]};
        if (!in_place)
            image = gather(depth, pixel, size, source, from_strides, first * h.step - h.before,
                           reached(h, rows), v.begin * v.step - v.before, across,
                           (REAL *)scratch);
        const REAL *panel = panels + g * flow.taps * tap;
        for (dt_int r = 0; r < part_count(shape, 0, transposed); r++)
            for (dt_int s = 0; s < part_count(shape, 1, transposed); s++) {
                dt_part down = part_of(shape, 0, transposed, r);
                dt_part right = part_of(shape, 1, transposed, s);
                if (lone)
                    compute_depthwise(image, down, right, first, first + rows, columns, panel,
                                      target, to_strides, line);
                else
                    compute(image, down, right, first, first + rows, depth, columns, panel,
                            target, to_strides, line);
                panel += down.count * right.count * tap;
            }
    }
}

void OF(dt_conv2d_pack)(dt_team *team, int thread, const dt_conv *shape, const REAL *w,
                        REAL *panels) {
    pack_weights(team, thread, shape, 0, w, panels);
}

void OF(dt_conv2d)(dt_team *team, int thread, const dt_conv *shape, const REAL *x,
                   const REAL *panels, REAL *y, char *scratch) {
    correlate(team, thread, shape, 0, x, panels, y, scratch);
}

void OF(dt_conv2d_transpose_pack)(dt_team *team, int thread, const dt_conv *shape, const REAL *w,
                                  REAL *panels) {
    pack_weights(team, thread, shape, 1, w, panels);
}

void OF(dt_conv2d_transpose)(dt_team *team, int thread, const dt_conv *shape, const REAL *y,
                             const REAL *panels, REAL *x, char *scratch) {
    correlate(team, thread, shape, 1, y, panels, x, scratch);
}
