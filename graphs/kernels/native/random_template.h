/* Random numbers: Philox (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011),
 * 4 words of 64 bits in ten rounds, drawn in the order in which NumPy's generator draws them. Key
 * and counter alone decide a number, so threads draw their shares of an array on their own. */
#include "operators.h"
#include "vector_math.h"

enum { PER_BLOCK = 32 / sizeof(REAL) }; /* numbers from the words of one counter */

typedef unsigned __int128 dt_wide;

/* Block number `block` of a draw: the generator counts up before it draws. */
static void draw(const uint64_t *key, uint64_t offset, dt_int block, uint64_t words[4]) {
    uint64_t a = (uint64_t)block + 1, b = 0, c = offset, d = 0, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const dt_wide x = (dt_wide)0xD2E7470EE14C6C93u * a, y = (dt_wide)0xCA5A826395121157u * c;
        a = (uint64_t)(y >> 64) ^ b ^ k0;
        b = (uint64_t)y;
        c = (uint64_t)(x >> 64) ^ d ^ k1;
        d = (uint64_t)x;
        k0 += 0x9E3779B97F4A7C15u;
        k1 += 0xBB67AE8584CAA73Bu;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

static REAL unit(const uint64_t words[4], int i) {
    if (sizeof(REAL) == 8) return (REAL)((double)(words[i] >> 11) * 0x1p-53);
    const uint32_t half = (uint32_t)(words[i / 2] >> (32 * (i % 2)));
    return (REAL)((float)(half >> 8) * 0x1p-24f);
}

/* Numbers `begin` to before `end` of a draw. */
static void fill(const uint64_t *key, uint64_t offset, dt_int begin, dt_int end, REAL *y) {
    uint64_t words[4] = {0, 0, 0, 0};
    for (dt_int i = begin; i < end; ++i) {
        const int at = (int)(i % PER_BLOCK);
        if (at == 0 || i == begin) draw(key, offset, i / PER_BLOCK, words);
        y[i - begin] = unit(words, at);
    }
}

/* The thread's numbers, in whole lines of the cache; none where the offset is refused. */
static dt_int share(dt_team *team, int thread, const dt_draw *shape, int64_t offset,
                    dt_int *begin) {
    if (offset < 0) {
        dt_fail(team);
        return *begin = 0;
    }
    const dt_int end = dt_share(team, thread, (shape->count + 15) / 16, begin) * 16;
    *begin *= 16;
    return end < shape->count ? end : shape->count;
}

void OF(dt_uniform)(dt_team *team, int thread, const dt_draw *shape, const uint64_t *key,
                      const int64_t *offset, REAL *y) {
    dt_int begin, end = share(team, thread, shape, *offset, &begin);
    if (begin < end) fill(key, (uint64_t)*offset, begin, end, y + begin);
}

void OF(dt_normal)(dt_team *team, int thread, const dt_draw *shape, const uint64_t *key,
                     const int64_t *offset, REAL *y) {
    enum { PIECE = 256 };
    dt_int begin, end = share(team, thread, shape, *offset, &begin);
    for (dt_int from = begin; from < end; from += PIECE) {
        const dt_int to = from + PIECE < end ? from + PIECE : end;
        REAL radius[PIECE], angle[PIECE];
        fill(key, (uint64_t)*offset, from, to, radius);
        fill(key, (uint64_t)*offset, shape->count + from, shape->count + to, angle);
        for (dt_int i = 0; i < to - from; ++i) {
            const REAL size = OF(dt_sqrt)(-2 * OF(dt_log1p)(-radius[i]));
            y[from + i] = size * OF(dt_cos)((REAL)6.283185307179586 * angle[i]);
        }
    }
}
