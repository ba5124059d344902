/* Elements of an array at indices: read, written, and added up.
 *
 * Values go along axes of their own. Each has an index, or one for each of several axes of the
 * array, and these say where in the array its partner stands; along other axes the two go together.
 * Each thread of a team calls these functions. An index out of range is refused.
 */
#ifndef DIPTYCH_PLACES_H
#define DIPTYCH_PLACES_H

#include "operators.h"

#define DT_PLACE_AXES 6 /* of values; more are as good as these where they follow each other */
#define DT_KEYS 8       /* axes of the array that have indices */

typedef struct dt_places {
    dt_int size[DT_PLACE_AXES];
    dt_int width; /* elements that follow each other in the values and in the array */
    /* Strides in elements: of the array 0 along what indices alone go along, of the indices 0 along
     * what they are the same for. */
    dt_int values[DT_PLACE_AXES], array[DT_PLACE_AXES], indices[DT_PLACE_AXES];
    dt_index_type type;
    dt_int keys, apart;    /* indices of a value, and how far they are apart */
    dt_int length[DT_KEYS]; /* of the axis of the array that each goes along */
    dt_int step[DT_KEYS];   /* stride of that axis */
    int counts_back;        /* whether -1 is the last */
    dt_int ignored;         /* an index whose values are not added; -1 for none */
    dt_int count;           /* elements of the array, which follow each other; if it is written */
} dt_places;

/* Values from an array. Elements have 8 to 64 bits, whatever they are; longer ones are several. */
#define DT_DECLARE_TAKE(bits) \
    void dt_take_##bits(dt_team *team, int thread, const dt_places *shape, const void *array, \
                        const void *indices, void *values);
DT_DECLARE_TAKE(8) DT_DECLARE_TAKE(16) DT_DECLARE_TAKE(32) DT_DECLARE_TAKE(64)

/* A copy of `array`, or zeros where that is NULL, with values put in. Of several values for one
 * place the last one stays. */
#define DT_DECLARE_PUT(bits) \
    void dt_put_##bits(dt_team *team, int thread, const dt_places *shape, const void *array, \
                       const void *indices, const void *values, void *result);
DT_DECLARE_PUT(8) DT_DECLARE_PUT(16) DT_DECLARE_PUT(32) DT_DECLARE_PUT(64)

/* Zeros to which values are added, in their order. Integers of either sign wrap around. */
#define DT_DECLARE_ADD(type) \
    void dt_add_##type(dt_team *team, int thread, const dt_places *shape, const void *values, \
                       const void *indices, void *result);
DT_DECLARE_ADD(8) DT_DECLARE_ADD(16) DT_DECLARE_ADD(32) DT_DECLARE_ADD(64)
DT_DECLARE_ADD(float) DT_DECLARE_ADD(double)

#endif
