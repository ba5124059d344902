/* Order of lines. Each number becomes a key, an unsigned one that orders alike; keys of few numbers
 * are inserted one by one, those of many are sorted by their bytes, the last one first. Both leave
 * equal keys in their order. */
#include "lines.h"

#include <string.h>

#define INSERTED 48 /* as many keys as are rather inserted than counted */

typedef struct {
    uint64_t key;
    uint32_t from; /* where in the line the number is */
} item;

/* The key of a number: a float's bits order as those of an integer do, but for the sign. */
static inline uint64_t key_of(const dt_order *s, uint64_t bits, int width) {
    const uint64_t sign = (uint64_t)1 << (width - 1), all = sign - 1 + sign;
    if (s->kind == DT_FLOATING) {
        const uint64_t infinity = width == 64 ? 0x7ff0000000000000u : 0x7f800000u;
        const uint64_t magnitude = bits & ~sign;
        if (magnitude > infinity) return all; /* NaN is last in either order */
        if (magnitude == 0) bits = 0;         /* both zeros are one */
        bits = bits & sign ? ~bits & all : bits | sign;
    } else if (s->kind == DT_SIGNED) {
        bits ^= sign;
    }
    return s->descending ? ~bits & all : bits;
}

/* Keep the first `kept` of some keys in order, each put where it belongs. */
static void insert(item *items, dt_int count, dt_int kept) {
    for (dt_int i = 1; i < count; i++) {
        const item one = items[i];
        dt_int at = i < kept ? i : kept;
        if (at == kept && one.key >= items[kept - 1].key) continue;
        for (at -= at == kept; at > 0 && items[at - 1].key > one.key; at--)
            items[at] = items[at - 1];
        items[at] = one;
    }
}

/* Sort by one byte after the other; where all are equal, nothing moves. Returns where the result
 * is, one of the two. */
static item *sort_bytes(item *items, item *other, dt_int count, int bytes) {
    uint32_t counts[8][256];
    memset(counts, 0, sizeof(counts[0]) * (size_t)bytes);
    for (dt_int i = 0; i < count; i++)
        for (int b = 0; b < bytes; b++) counts[b][items[i].key >> (8 * b) & 255]++;
    for (int b = 0; b < bytes; b++) {
        uint32_t *places = counts[b], next = 0;
        if (places[items[0].key >> (8 * b) & 255] == count) continue;
        for (int v = 0; v < 256; v++) {
            const uint32_t here = places[v];
            places[v] = next;
            next += here;
        }
        for (dt_int i = 0; i < count; i++)
            other[places[items[i].key >> (8 * b) & 255]++] = items[i];
        item *sorted = other;
        other = items;
        items = sorted;
    }
    return items;
}

#define SORT(bits) \
    void dt_sort_##bits(dt_team *team, int thread, const dt_order *shape, const void *x, void *y, \
                        int64_t *z, char *scratch) { \
        typedef uint##bits##_t number; \
        const dt_lines *s = &shape->lines; \
        const dt_int length = s->length, kept = shape->count; \
        item *const room = (item *)(scratch + thread * shape->room); \
        dt_int begin, end = dt_share(team, thread, dt_count_lines(s), &begin); \
        for (; begin < end; begin++) { \
            const dt_line l = dt_line_of(s, begin); \
            const number *from = (const number *)x + l.x; \
            item *items = room; \
            for (dt_int i = 0; i < length; i++) \
                items[i] = (item){key_of(shape, from[i * s->x_step], bits), (uint32_t)i}; \
            if (length <= INSERTED || kept <= INSERTED / 4) \
                insert(items, length, kept); \
            else \
                items = sort_bytes(items, room + length, length, bits / 8); \
            for (dt_int i = 0; y && i < kept; i++) \
                ((number *)y)[l.y + i * s->y_step] = from[items[i].from * s->x_step]; \
            for (dt_int i = 0; z && i < kept; i++) z[l.z + i * s->z_step] = items[i].from; \
        } \
    }
SORT(8)
SORT(16)
SORT(32)
SORT(64)
