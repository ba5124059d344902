/* One pool of threads in a process: `dt_run` launches steps on it, `dt_wait` is their barrier.
 *
 * Each worker has a mailbox of its own cache line: whoever launches puts the call in and flips
 * its state, the worker flips it back when its part is done. So a launch costs one line on its
 * way there and one back, and a syscall only for a worker that has gone to sleep.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#include "runtime.h"

enum { IDLE, CALLED, ASLEEP };

typedef struct {
    int state;
    int thread;
    dt_step step;
    char *const *pointers;
    dt_team *team;
    pthread_t id;
} __attribute__((aligned(128))) worker; /* lines are fetched in pairs */

static worker workers[DT_THREADS]; /* from 1 on: 0 is whoever calls */

static struct {
    pthread_mutex_t turn;   /* one team at a time: each has as many threads as it asked for */
    int threads;            /* that exist, the caller among them */
    int cpus;               /* that the process may use, 0 where nobody tells */
    int here;               /* where the last caller ran */
    int places[DT_THREADS]; /* the cpus: the caller's first, then the workers' */
} pool = {.turn = PTHREAD_MUTEX_INITIALIZER};

/* -- waiting ------------------------------------------------------------------------------- */

#define IDLE_NANOSECONDS 200000 /* that a worker looks out for work before it sleeps */
#define PATIENCE 4000           /* looks before a thread that waits lets others have its cpu */
#define NO_PATIENCE 16          /* the same where there are more threads than cpus */

static void breathe(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Threads on one cpu would wait for each other in vain if they only looked. */
static void look_again(const dt_team *team, dt_int looks) {
    if (looks < team->patience) {
        breathe();
    } else {
        sched_yield();
    }
}

void dt_wait(dt_team *team) {
    const uint64_t threads = (uint64_t)team->threads;
    const uint64_t before = __atomic_fetch_add(&team->arrived, 1, __ATOMIC_ACQ_REL);
    const uint64_t all = before - before % threads + threads;
    for (dt_int looks = 0; __atomic_load_n(&team->arrived, __ATOMIC_ACQUIRE) < all; looks++) {
        look_again(team, looks);
    }
}

#ifdef __linux__
static void sleep_while(int *word, int value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(int *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

static void make_beds(void) {}
#else
static pthread_mutex_t bed = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t morning = PTHREAD_COND_INITIALIZER;

static void sleep_while(int *word, int value) {
    pthread_mutex_lock(&bed);
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value) pthread_cond_wait(&morning, &bed);
    pthread_mutex_unlock(&bed);
}

static void wake(int *word) {
    (void)word;
    pthread_mutex_lock(&bed);
    pthread_cond_broadcast(&morning);
    pthread_mutex_unlock(&bed);
}

static void make_beds(void) {
    pthread_mutex_init(&bed, NULL);
    pthread_cond_init(&morning, NULL);
}
#endif

/* -- workers ------------------------------------------------------------------------------- */

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int is_called(worker *self) {
    return __atomic_load_n(&self->state, __ATOMIC_ACQUIRE) == CALLED;
}

static void await_call(worker *self, int patience) {
    const int64_t bedtime = nanoseconds() + (patience < PATIENCE ? 0 : IDLE_NANOSECONDS);
    do {
        for (int looks = 0; looks < 64; looks++) {
            if (is_called(self)) return;
            breathe();
        }
    } while (nanoseconds() < bedtime);
    int idle = IDLE;
    __atomic_compare_exchange_n(&self->state, &idle, ASLEEP, 0, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
    while (!is_called(self)) sleep_while(&self->state, ASLEEP);
}

static void *work(void *argument) {
    worker *self = argument;
    for (int patience = PATIENCE;;) {
        await_call(self, patience);
        patience = self->team->patience;
        self->step(self->team, self->thread, self->pointers);
        __atomic_store_n(&self->state, IDLE, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* -- places -------------------------------------------------------------------------------- */

/* Left alone, two busy threads may share one core of a virtual machine for seconds. So each
 * worker gets cpus of its own, none of them the caller's, who is never bound to one. */
#ifdef __linux__
static void find_places(void) {
    cpu_set_t mask;
    if (sched_getaffinity(getpid(), sizeof mask, &mask) != 0) CPU_ZERO(&mask);
    pool.cpus = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && pool.cpus < DT_THREADS; cpu++) {
        if (CPU_ISSET(cpu, &mask)) pool.places[pool.cpus++] = cpu;
    }
    pool.here = pool.cpus > 0 ? pool.places[0] : -1;
}

/* Bind a worker to its share of the places, if `place` is among them or below 0. */
static void put(int thread, int place) {
    const int count = pool.threads - 1, others = pool.cpus - 1;
    const int begin = 1 + (thread - 1) * others / count;
    int end = 1 + thread * others / count;
    if (end == begin) end++;
    if (others < 1 || (place >= 0 && (place < begin || place >= end))) return;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (int i = begin; i < end; i++) CPU_SET(pool.places[i], &mask);
    pthread_setaffinity_np(workers[thread].id, sizeof mask, &mask);
}

static void make_way(void) {
    const int here = sched_getcpu();
    if (here == pool.here) return;
    pool.here = here;
    for (int place = 1; place < pool.cpus; place++) {
        if (pool.places[place] != here) continue;
        pool.places[place] = pool.places[0];
        pool.places[0] = here;
        for (int thread = 1; thread < pool.threads; thread++) put(thread, place);
    }
}
#else
static void find_places(void) { pool.cpus = (int)sysconf(_SC_NPROCESSORS_ONLN); }
static void put(int thread, int place) { (void)thread, (void)place; }
static void make_way(void) {}
#endif

/* -- launches ------------------------------------------------------------------------------ */

/* A child has no workers, and whoever had the pool is not there to give it back. */
static void forget(void) {
    pool.threads = 0;
    pthread_mutex_init(&pool.turn, NULL);
    make_beds();
}

static void grow(int threads) {
    static int watching;
    if (!watching) watching = pthread_atfork(NULL, NULL, forget) == 0;
    if (pool.threads == 0) {
        find_places();
        pool.threads = 1;
    }
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t others, before; /* signals are the caller's to handle, but for a worker's own faults */
    sigfillset(&others);
    for (int i = 0; i < 4; i++) sigdelset(&others, faults[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    for (; pool.threads < threads; pool.threads++) {
        worker *next = &workers[pool.threads];
        next->thread = pool.threads;
        next->state = IDLE; /* whatever a parent's had been */
        if (pthread_create(&next->id, NULL, work, next) != 0) break;
        pthread_detach(next->id);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (int thread = 1; thread < pool.threads; thread++) put(thread, -1);
}

static void call(int thread, dt_step step, char *const *pointers, dt_team *team) {
    worker *one = &workers[thread];
    one->step = step;
    one->pointers = pointers;
    one->team = team;
    if (__atomic_exchange_n(&one->state, CALLED, __ATOMIC_ACQ_REL) == ASLEEP) wake(&one->state);
}

static void join(int thread, const dt_team *team) {
    for (dt_int looks = 0; is_called(&workers[thread]); looks++) look_again(team, looks);
}

static _Thread_local int holds_turn; /* the handler of a signal may come here amid a step */

int dt_run(dt_step step, char *const *pointers, int threads) {
    dt_team team = {.threads = threads, .patience = PATIENCE};
    if (threads == 1) {
        step(&team, 0, pointers);
        return team.failed;
    }
    if (holds_turn || threads < 1 || threads > DT_THREADS) return 1;
    pthread_mutex_lock(&pool.turn);
    if (pool.threads < threads) grow(threads);
    if (pool.threads < threads) {
        pthread_mutex_unlock(&pool.turn);
        return 1;
    }
    if (pool.cpus > 0 && threads > pool.cpus) team.patience = NO_PATIENCE;
    make_way();
    for (int thread = 1; thread < threads; thread++) call(thread, step, pointers, &team);
    holds_turn = 1;
    step(&team, 0, pointers);
    holds_turn = 0;
    for (int thread = 1; thread < threads; thread++) join(thread, &team);
    pthread_mutex_unlock(&pool.turn);
    return team.failed;
}
