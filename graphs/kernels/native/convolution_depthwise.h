/* Convolutions in which each channel has one filter of its own: channels are lanes of vectors. */

typedef REAL channels_t __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));

enum { TOGETHER = 64 / sizeof(REAL), PIXELS = 8 };

/* Weights as [tap][channel], the taps of a part after those of the part before. */
static void pack_depthwise(dt_team *team, int thread, const dt_conv *shape, int transposed,
                           const REAL *w, REAL *panel) {
    dt_int width = room(shape->channels), begin, tap = 0;
    dt_int end = dt_share(team, thread, shape->kernel[0] * shape->kernel[1], &begin);
    for (dt_int r = 0; r < part_count(shape, 0, transposed); r++)
        for (dt_int s = 0; s < part_count(shape, 1, transposed); s++) {
            dt_part h = part_of(shape, 0, transposed, r), v = part_of(shape, 1, transposed, s);
            for (dt_int i = 0; i < h.count; i++)
                for (dt_int j = 0; j < v.count; j++, tap++, panel += width) {
                    if (tap < begin || tap >= end) continue;
                    const REAL *from = w + (h.tap + i * h.tap_step) * shape->w[2] +
                                       (v.tap + j * v.tap_step) * shape->w[3];
                    zero(panel, width);
                    for (dt_int c = 0; c < shape->channels; c++) panel[c] = from[c * shape->w[0]];
                }
        }
}

/* A few neighbouring outputs of some channels. */
static inline __attribute__((always_inline)) void blend(const int count, const REAL *at,
                                                        dt_int next, dt_int row, dt_int column,
                                                        dt_int rows, dt_int columns,
                                                        const REAL *weights, dt_int width,
                                                        REAL *c, dt_int c_row) {
    channels_t sums[PIXELS] = {0};
    for (dt_int i = 0; i < rows; i++)
        for (dt_int j = 0; j < columns; j++, weights += width) {
            const channels_t weight = *(const channels_t *)weights;
            for (int k = 0; k < count; k++)
                sums[k] += weight * *(const channels_t *)(at + i * row + j * column + k * next);
        }
    for (int k = 0; k < count; k++) *(channels_t *)(c + k * c_row) = sums[k];
}

/* `compute` for such a convolution. */
static void compute_depthwise(dt_image image, dt_part h, dt_part v, dt_int begin, dt_int end,
                              dt_int channels, const REAL *weights, REAL *to,
                              const dt_int *strides, REAL *line) {
    dt_int count = v.end - v.begin, width = room(channels);
    int direct = strides[1] == 1 && channels == width;
    dt_int next = v.step * image.pixel;
    dt_int row = h.apart * image.row, column = v.apart * image.pixel;
    for (dt_int u = at_least(begin, h.begin); u < at_most(end, h.end); u++) {
        REAL *result = to + (h.to + u * h.to_step) * strides[2] +
                       (v.to + v.begin * v.to_step) * strides[3];
        const REAL *at = place(image, u * h.step + h.from, v.begin * v.step + v.from);
        REAL *c = direct ? result : line;
        dt_int c_row = direct ? v.to_step * strides[3] : width;
        for (dt_int o = 0; o < width; o += TOGETHER) {
            dt_int k = 0;
            for (; k + PIXELS <= count; k += PIXELS)
                blend(PIXELS, at + k * next + o, next, row, column, h.count, v.count, weights + o,
                      width, c + k * c_row + o, c_row);
            for (; k < count; k++)
                blend(1, at + k * next + o, next, row, column, h.count, v.count, weights + o,
                      width, c + k * c_row + o, c_row);
        }
        if (!direct)
            copy_pixels(count, channels, line, width, 1, result, v.to_step * strides[3],
                        strides[1]);
    }
}

/* The sum of the products of two rows of some channels. */
static channels_t matched(dt_int count, const REAL *a, dt_int a_next, const REAL *b,
                          dt_int b_next) {
    channels_t first = {0}, second = {0}, third = {0}, fourth = {0};
    for (; count >= 4; count -= 4, a += 4 * a_next, b += 4 * b_next) {
        first += *(const channels_t *)a * *(const channels_t *)b;
        second += *(const channels_t *)(a + a_next) * *(const channels_t *)(b + b_next);
        third += *(const channels_t *)(a + 2 * a_next) * *(const channels_t *)(b + 2 * b_next);
        fourth += *(const channels_t *)(a + 3 * a_next) * *(const channels_t *)(b + 3 * b_next);
    }
    for (; count > 0; count--, a += a_next, b += b_next)
        first += *(const channels_t *)a * *(const channels_t *)b;
    return (first + second) + (third + fourth);
}

/* Add to sums[tap][channel] what rows `begin` to before `end` of y give. */
static void add_depthwise(const dt_conv *shape, dt_image x, dt_image y, dt_int begin, dt_int end,
                          REAL *sums, int accumulate) {
    dt_int width = room(shape->channels);
    for (dt_int p = begin; p < end; p++, accumulate = 1)
        for (dt_int i = 0; i < shape->kernel[0]; i++)
            for (dt_int j = 0; j < shape->kernel[1]; j++) {
                REAL *sum = sums + (i * shape->kernel[1] + j) * width;
                const REAL *a =
                    place(x, p * shape->stride[0] - shape->before[0] + i * shape->dilation[0],
                          j * shape->dilation[1] - shape->before[1]);
                for (dt_int o = 0; o < width; o += TOGETHER) {
                    channels_t more = matched(shape->windows[1], a + o,
                                              shape->stride[1] * x.pixel, place(y, p, 0) + o,
                                              y.pixel);
                    if (accumulate) more += *(const channels_t *)(sum + o);
                    *(channels_t *)(sum + o) = more;
                }
            }
}

/* w from the sums of the threads, in their order. */
static void add_depthwise_threads(dt_team *team, int thread, const dt_conv *shape,
                                  const REAL *sums, dt_int each, REAL *w) {
    dt_int width = room(shape->channels), begin;
    dt_int end = dt_share(team, thread, shape->channels, &begin);
    for (dt_int c = begin; c < end; c++)
        for (dt_int i = 0; i < shape->kernel[0]; i++)
            for (dt_int j = 0; j < shape->kernel[1]; j++) {
                REAL total = 0;
                for (int t = 0; t < team->threads; t++) {
                    dt_int first;
                    if (dt_share(team, t, shape->images * shape->windows[0], &first) > first)
                        total += sums[t * each + (i * shape->kernel[1] + j) * width + c];
                }
                w[c * shape->w[0] + i * shape->w[2] + j * shape->w[3]] = total;
            }
}
