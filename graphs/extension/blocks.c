/* Blocks: memory of large arrays, kept when they die and handed to the next ones.

Getting the pages of a large array from the system costs more than a kernel takes to fill them. So
large arrays are made over blocks of sizes that differ by an eighth, and the block of one that dies
waits for the next of its size. NumPy asks for them by its own protocol (NEP 49): the arrays are
ordinary ones, which own their memory.

Little more waits than was ever in use at once, nor more than a quarter of the machine's memory, nor
for longer than some seconds; and nothing that waits stands in the way of an allocation. */

#include "speedups.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Sizes from 2^16 bytes on: below, the C library has pages at hand. */
enum { LARGE = 1 << 16, STEPS = 8, CLASSES = 64 * STEPS, PATIENCE = 10 /* seconds */ };
enum { TRACED = 389047 }; /* NumPy's domain of tracemalloc */
#define LITTLE ((size_t)1 << 26)
#define HUGE_PAGES ((size_t)1 << 22) /* from here on, as NumPy does */

/* Lies before the elements, which begin with a page, as those of large arrays of the C library all
but do: at most other distances a processor takes what a loop reads next for what it wrote last. */
typedef struct Block {
    size_t bytes; /* that the system gave; 0 where the C library did */
    size_t asked; /* by the array */
    struct Block *older, *newer; /* of those that wait */
    struct Block *below, *above; /* of those of one size */
    time_t since;
} __attribute__((aligned(64))) Block;

enum { PAGE = 4096, BEFORE = PAGE - sizeof(Block) /* bytes that the system gave before a block */ };

static struct {
    pthread_mutex_t lock;
    Block *waiting[CLASSES]; /* by size, the last to come on top: its lines may still be cached */
    Block *oldest, *newest;
    size_t idle;            /* bytes of blocks that wait */
    size_t used, most_used; /* of blocks that arrays hold; most since all was given back */
    size_t most_idle;       /* whatever was in use */
    MemoryCounts counts;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -- sizes --------------------------------------------------------------------------------- */

/* The size of a block of at least `bytes`, and which one of all sizes it is. */
static size_t round_up(size_t bytes, int *class)
{
    int shift = 63 - __builtin_clzll(bytes) - 3; /* an eighth of the power of two below */
    const size_t eighths = (bytes + ((size_t)1 << shift) - 1) >> shift; /* 8 to 16 */
    *class = shift * STEPS + (int)(eighths - STEPS);
    return eighths << shift;
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

/* -- blocks that wait (all with the lock held) ----------------------------------------------- */

static void leave(Block *block)
{
    int class;
    round_up(block->bytes, &class);
    *(block->newer ? &block->newer->older : &pool.newest) = block->older;
    *(block->older ? &block->older->newer : &pool.oldest) = block->newer;
    *(block->above ? &block->above->below : &pool.waiting[class]) = block->below;
    if (block->below)
        block->below->above = block->above;
    pool.idle -= block->bytes;
}

static void enter(Block *block)
{
    int class;
    round_up(block->bytes, &class);
    block->newer = block->above = NULL;
    block->older = pool.newest;
    block->below = pool.waiting[class];
    *(pool.newest ? &pool.newest->newer : &pool.oldest) = block;
    if (block->below)
        block->below->above = block;
    pool.newest = pool.waiting[class] = block;
    pool.idle += block->bytes;
}

/* Takes the oldest out until no more than so much waits, none longer than since then; as a list. */
static Block *leave_oldest(size_t most, time_t since)
{
    Block *list = NULL;
    while (pool.oldest != NULL && (pool.idle > most || pool.oldest->since < since)) {
        Block *block = pool.oldest;
        leave(block);
        block->below = list;
        list = block;
    }
    return list;
}

static void count(size_t *now, size_t *peak, size_t more)
{
    *now += more;
    if (*now > *peak)
        *peak = *now;
}

/* -- the system ------------------------------------------------------------------------------ */

static void unmap(Block *list)
{
    while (list != NULL) {
        Block *next = list->below;
        const size_t bytes = list->bytes;
        munmap((char *)list - BEFORE, bytes);
        pthread_mutex_lock(&pool.lock);
        pool.counts.reserved -= bytes;
        pthread_mutex_unlock(&pool.lock);
        list = next;
    }
}

static Block *map(size_t bytes)
{
    char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_PAGES)
        madvise(pages, bytes, MADV_HUGEPAGE);
#endif
    Block *block = (Block *)(pages + BEFORE);
    block->bytes = bytes;
    return block;
}

void give_back_blocks(void)
{
    pthread_mutex_lock(&pool.lock);
    Block *list = leave_oldest(0, 0);
    pool.most_used = pool.used;
    pthread_mutex_unlock(&pool.lock);
    unmap(list);
}

/* -- blocks that arrays hold ----------------------------------------------------------------- */

/* A block that the system has just given is zeros. */
static Block *take(size_t asked, int *is_fresh)
{
    if (asked > SIZE_MAX / 4)
        return NULL;
    int class;
    const size_t bytes = round_up(asked + PAGE, &class);
    const time_t time = now();
    pthread_mutex_lock(&pool.lock);
    Block *block = pool.waiting[class];
    if (block != NULL)
        leave(block);
    Block *old = leave_oldest(SIZE_MAX, time - PATIENCE);
    pthread_mutex_unlock(&pool.lock);
    unmap(old);
    *is_fresh = block == NULL;
    if (*is_fresh)
        block = map(bytes);
    if (block == NULL) { /* what waits may be what lacks */
        give_back_blocks();
        block = map(bytes);
    }
    if (block == NULL)
        return NULL;
    block->asked = asked;
    pthread_mutex_lock(&pool.lock);
    if (*is_fresh)
        count(&pool.counts.reserved, &pool.counts.peak_reserved, bytes);
    else
        pool.counts.reused++;
    pool.counts.taken++;
    count(&pool.counts.allocated, &pool.counts.peak_allocated, asked);
    count(&pool.used, &pool.most_used, bytes);
    pthread_mutex_unlock(&pool.lock);
    return block;
}

static void give(Block *block)
{
    const time_t time = block->since = now();
    pthread_mutex_lock(&pool.lock);
    pool.counts.allocated -= block->asked;
    pool.used -= block->bytes;
    enter(block);
    /* Sizes change, and blocks of others wait in vain. */
    const size_t most = pool.most_used + LITTLE;
    Block *old = leave_oldest(most < pool.most_idle ? most : pool.most_idle, time - PATIENCE);
    pthread_mutex_unlock(&pool.lock);
    unmap(old);
}

MemoryCounts memory_counts(int resets_peaks)
{
    pthread_mutex_lock(&pool.lock);
    const MemoryCounts counts = pool.counts;
    if (resets_peaks) {
        pool.counts.peak_allocated = counts.allocated;
        pool.counts.peak_reserved = counts.reserved;
    }
    pthread_mutex_unlock(&pool.lock);
    return counts;
}

/* -- what NumPy calls ------------------------------------------------------------------------ */

static Block *block_of(void *data) { return (Block *)data - 1; }

static void *allocate(void *context, size_t size)
{
    (void)context;
    int is_fresh;
    Block *block;
    if (size >= LARGE) {
        block = take(size, &is_fresh);
    } else if ((block = malloc(size + sizeof(Block))) != NULL) {
        block->bytes = 0;
        block->asked = size;
    }
    return block == NULL ? NULL : block + 1;
}

static void *allocate_zeros(void *context, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    const size_t bytes = count * size;
    int is_fresh = 0;
    void *data;
    if (bytes >= LARGE) {
        Block *block = take(bytes, &is_fresh);
        data = block == NULL ? NULL : block + 1;
    } else {
        data = allocate(context, bytes);
    }
    if (data != NULL && !is_fresh)
        memset(data, 0, bytes);
    return data;
}

static void release(void *context, void *data, size_t size)
{
    (void)context, (void)size; /* which may be another by now */
    if (data == NULL)
        return;
    Block *block = block_of(data);
    if (block->bytes)
        give(block);
    else
        free(block);
}

static void *reallocate(void *context, void *data, size_t size)
{
    void *moved = allocate(context, size);
    if (moved != NULL && data != NULL) {
        const size_t before = block_of(data)->asked;
        memcpy(moved, data, before < size ? before : size);
        release(context, data, before);
    }
    return moved;
}

static PyDataMem_Handler handler = {
    .name = "diptych",
    .version = 1,
    .allocator = {.malloc = allocate,
                  .calloc = allocate_zeros,
                  .realloc = reallocate,
                  .free = release},
};

PyObject *memory_handler;

static void lock(void) { pthread_mutex_lock(&pool.lock); }

static void unlock(void) { pthread_mutex_unlock(&pool.lock); }

int start_blocks(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    pool.most_idle = pages > 0 && page > 0 ? (size_t)pages * page / 4 : SIZE_MAX;
    if (pthread_atfork(lock, unlock, unlock) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    memory_handler = PyCapsule_New(&handler, "mem_handler", NULL);
    return memory_handler == NULL ? -1 : 0;
}

/* -- arrays ---------------------------------------------------------------------------------- */

/* As PyArray_SimpleNew; asking for a block here, and not by NumPy, saves it the search for whom to
ask, which is an object per thread of its own. */
PyObject *new_array(int type, int ndim, npy_intp *shape)
{
    PyArray_Descr *dtype = PyArray_DescrFromType(type);
    if (dtype == NULL)
        return NULL;
    npy_intp bytes = PyDataType_ELSIZE(dtype);
    int overflows = 0, is_fresh;
    for (int axis = 0; axis < ndim; axis++)
        overflows |= __builtin_mul_overflow(bytes, shape[axis], &bytes);
    Block *block = bytes >= LARGE && !overflows ? take(bytes, &is_fresh) : NULL;
    if (block == NULL) /* small, or NumPy says what cannot be had */
        return PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, shape, NULL, NULL, 0, NULL);
    PyObject *array = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, shape, NULL, block + 1,
                                           NPY_ARRAY_CARRAY, NULL);
    if (array == NULL) {
        give(block);
        return NULL;
    }
    ((PyArrayObject_fields *)array)->mem_handler = Py_NewRef(memory_handler);
    PyArray_ENABLEFLAGS((PyArrayObject *)array, NPY_ARRAY_OWNDATA);
    PyTraceMalloc_Track(TRACED, (uintptr_t)(block + 1), bytes);
    return array;
}
