/* Sweep: an element-wise update of many arrays, as one call.

An update is some loops of ufuncs, one after the other, on what lies at one place of a few arrays: a
number that is given, such as a gradient, and those that are held and written, such as a parameter
and its moments. Launched one by one, each costs a call and passes through all of an array. Here
they run on a piece of it, whose intermediate results stay in the first cache, and then on the next
piece, through one array after another; with many numbers, on all threads of the pool, each of which
takes as many pieces. The loops touch no objects of Python, and the bits are those of calling them
one by one: each element takes the same calls.

What an update may not read any more is written over, so nothing that is given may share memory with
what is held; where it does, or does not fit, nothing is written and the caller is told. */

#include "speedups.h"
#include "walk.h"

enum { MOST_REGISTERS = 64, MOST_CALLS = 64, MOST_NUMBERS = 8, LINE = 64 };

/* Bytes of intermediate results of a piece, which lie on the stack of a thread. */
enum { MOST_SCRATCH = 64 << 10 };

typedef struct {
    PyUFuncGenericFunction loop;
    void *context;
    int operands; /* with the result, which is the last */
    unsigned char registers[MOST_LOOPED];
} Call;

/* What an update is of: one array that is given at a position, and those that are held. */
typedef struct {
    Py_ssize_t position;
    npy_intp size;
    PyArrayObject *const *held;
} Row;

typedef struct {
    char *begin, *end;
} Span;

/* Registers are, in this order: what is given, what is held, numbers that are given, constants, and
intermediate results. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *kept; /* what the pointers below lead to */
    int held, numbers, constants, registers, calls;
    Py_ssize_t rows, spans;
    Row *row;
    Span *span; /* of what is held, in order */
    int types[MOST_REGISTERS];
    char *constant[MOST_REGISTERS];
    npy_intp offset[MOST_REGISTERS], item[MOST_REGISTERS]; /* of an intermediate result */
    Call program[MOST_CALLS];
} Sweep;

typedef struct {
    const Sweep *sweep;
    PyArrayObject *const *given, *const *numbers;
    npy_intp pieces;
} Launch;

/* What the loops of one row are run with. */
typedef struct {
    const Sweep *sweep;
    char *numbers[MOST_NUMBERS];
} Context;

/* Runs all calls on some elements, piece by piece; an inner loop as those of ufuncs are. */
static void run_calls(char **data, npy_intp const *count, npy_intp const *steps, void *context)
{
    const Sweep *self = ((const Context *)context)->sweep;
    char scratch[MOST_SCRATCH] __attribute__((aligned(LINE)));
    char *pointers[MOST_REGISTERS];
    npy_intp strides[MOST_REGISTERS] = {0};
    int to = self->held + 1;
    memcpy(pointers, data, sizeof *data * to);
    memcpy(strides, steps, sizeof *steps * to);
    for (int i = 0; i < self->numbers; i++)
        pointers[to++] = ((const Context *)context)->numbers[i];
    for (int i = 0; i < self->constants; i++)
        pointers[to++] = self->constant[i];
    for (; to < self->registers; to++) {
        pointers[to] = scratch + self->offset[to];
        strides[to] = self->item[to];
    }
    for (npy_intp left = *count; left > 0; left -= PIECE) {
        const npy_intp piece = left < PIECE ? left : PIECE;
        for (const Call *call = self->program; call < self->program + self->calls; call++) {
            char *operands[MOST_LOOPED];
            npy_intp stepped[MOST_LOOPED];
            for (int i = 0; i < call->operands; i++) {
                operands[i] = pointers[call->registers[i]];
                stepped[i] = strides[call->registers[i]];
            }
            call->loop(operands, &piece, stepped, call->context);
        }
        for (int i = 0; i <= self->held; i++)
            pointers[i] += piece * strides[i];
    }
}

/* Runs a row from piece `begin` to before `end`. */
static void run_row(const Launch *launch, const Row *row, npy_intp begin, npy_intp end)
{
    const Sweep *self = launch->sweep;
    PyArrayObject *given = launch->given[row->position];
    Context context = {.sweep = self};
    for (int i = 0; i < self->numbers; i++) {
        PyArrayObject *number = launch->numbers[i];
        const npy_intp step = PyArray_NDIM(number) ? PyArray_STRIDE(number, 0) : 0;
        context.numbers[i] = PyArray_BYTES(number) + row->position * step;
    }
    Walk walk; /* most of which is not needed */
    walk.ndim = PyArray_NDIM(given);
    walk.operands = self->held + 1;
    memcpy(walk.shape, PyArray_DIMS(given), sizeof(npy_intp) * walk.ndim);
    walk.loop = run_calls;
    walk.context = &context;
    place(&walk, 0, given);
    for (int i = 0; i < self->held; i++)
        place(&walk, i + 1, row->held[i]);
    coalesce(&walk);
    const npy_intp rows = rows_of(&walk), columns = walk.shape[walk.ndim - 1];
    const npy_intp pieces = (row->size + PIECE - 1) / PIECE;
    if (rows == 1)
        run_rows(&walk, 0, 1, begin * PIECE, end < pieces ? end * PIECE : columns);
    else
        run_rows(&walk, rows * begin / pieces, rows * end / pieces - rows * begin / pieces, 0,
                 columns);
}

/* Runs pieces of all rows, counted through. */
static void run_pieces(const Launch *launch, npy_intp begin, npy_intp end)
{
    const Sweep *self = launch->sweep;
    for (const Row *row = self->row; row < self->row + self->rows && end > 0; row++) {
        if ((PyObject *)launch->given[row->position] == Py_None || row->size == 0)
            continue;
        const npy_intp pieces = (row->size + PIECE - 1) / PIECE;
        if (begin < pieces)
            run_row(launch, row, begin > 0 ? begin : 0, end < pieces ? end : pieces);
        begin -= pieces;
        end -= pieces;
    }
}

static void run_share(dt_team *team, int thread, char *const *pointers)
{
    const Launch *launch = (const Launch *)pointers[0];
    dt_int begin;
    const dt_int end = dt_share(team, thread, launch->pieces, &begin);
    run_pieces(launch, begin, end);
}

/* Whether an array may share memory with what is held. */
static int may_touch(const Sweep *self, PyArrayObject *array)
{
    const npy_intp bytes = extent(array);
    if (PyArray_SIZE(array) == 0 || bytes < 0)
        return bytes < 0;
    Py_ssize_t low = 0, high = self->spans;
    while (low < high) {
        const Py_ssize_t middle = (low + high) / 2;
        if (self->span[middle].begin < PyArray_BYTES(array) + bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && self->span[low - 1].end > PyArray_BYTES(array);
}

static int may_read(const Sweep *self, PyArrayObject *array, int type)
{
    return PyArray_CheckExact(array) && PyArray_TYPE(array) == type && PyArray_ISBEHAVED_RO(array)
           && !may_touch(self, array);
}

/* Whether what is given fits; how many numbers it has, in all and in pieces. */
static int fits(const Sweep *self, Launch *launch, npy_intp *size)
{
    for (int i = 0; i < self->numbers; i++) {
        PyArrayObject *number = launch->numbers[i];
        if (!may_read(self, number, self->types[self->held + 1 + i]) || PyArray_NDIM(number) > 1
            || (PyArray_NDIM(number) == 1
                && PyArray_DIM(number, 0) <= self->row[self->rows - 1].position))
            return 0;
    }
    for (const Row *row = self->row; row < self->row + self->rows; row++) {
        PyArrayObject *given = launch->given[row->position];
        if ((PyObject *)given == Py_None)
            continue;
        if (!may_read(self, given, self->types[0]) || !PyArray_SAMESHAPE(given, row->held[0]))
            return 0;
        *size += row->size;
        launch->pieces += (row->size + PIECE - 1) / PIECE;
    }
    return 1;
}

static PyObject *call_sweep(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    const Sweep *self = (const Sweep *)object;
    if (PyVectorcall_NARGS(nargsf) != 2 || names != NULL || !PyTuple_CheckExact(args[0])
        || !PyTuple_CheckExact(args[1]) || PyTuple_GET_SIZE(args[1]) != self->numbers
        || PyTuple_GET_SIZE(args[0]) <= self->row[self->rows - 1].position) {
        PyErr_SetString(PyExc_TypeError, "Sweep: takes arrays by position, and its numbers");
        return NULL;
    }
    Launch launch = {
        .sweep = self,
        .given = (PyArrayObject *const *)((PyTupleObject *)args[0])->ob_item,
        .numbers = (PyArrayObject *const *)((PyTupleObject *)args[1])->ob_item,
    };
    npy_intp size = 0;
    if (!fits(self, &launch, &size))
        Py_RETURN_FALSE;
    char *const pointers[] = {(char *)&launch};
    const int threads = threads_for(size * self->calls);
    PyThreadState *released = size < RELEASES_GIL ? NULL : PyEval_SaveThread();
    if (threads == 1 || run_on_pool(run_share, pointers, threads) != 0) /* no thread ran */
        run_pieces(&launch, 0, launch.pieces);
    if (released != NULL)
        PyEval_RestoreThread(released);
    Py_RETURN_TRUE;
}

/* -- making one: 0 with an exception where it cannot be ---------------------------------------- */

static int refuse(const char *rule)
{
    PyErr_Format(PyExc_ValueError, "Sweep: %s", rule);
    return 0;
}

static int set_registers(Sweep *self, PyObject *types, PyObject *constants)
{
    npy_intp offset = 0;
    const int results = self->held + 1 + self->numbers + self->constants;
    self->registers = (int)PyTuple_GET_SIZE(types);
    if (self->registers > MOST_REGISTERS || results > self->registers)
        return refuse("must have fewer intermediate results");
    for (int i = 0; i < self->constants; i++)
        self->constant[i] = PyArray_BYTES((PyArrayObject *)PyTuple_GET_ITEM(constants, i));
    for (int i = 0; i < self->registers; i++) {
        PyArray_Descr *dtype = (PyArray_Descr *)PyTuple_GET_ITEM(types, i);
        self->types[i] = dtype->type_num;
        self->item[i] = PyDataType_ELSIZE(dtype);
        self->offset[i] = offset;
        if (i >= results)
            offset += (PIECE * self->item[i] + LINE - 1) / LINE * LINE;
    }
    return offset <= MOST_SCRATCH || refuse("must have fewer intermediate results");
}

/* A call of the loop that a ufunc has for the types of some registers. */
static int set_call(Sweep *self, Call *call, PyUFuncObject *ufunc, PyObject *registers)
{
    int types[MOST_LOOPED];
    call->operands = (int)PyTuple_GET_SIZE(registers);
    if (call->operands != ufunc->nargs || ufunc->nargs > MOST_LOOPED || ufunc->core_enabled)
        return refuse("must call ufuncs of few operands, each in a register");
    for (int i = 0; i < call->operands; i++) {
        const long at = PyLong_AsLong(PyTuple_GET_ITEM(registers, i));
        if (at < 0 || at >= self->registers)
            return refuse("must name registers that there are");
        call->registers[i] = (unsigned char)at;
        types[i] = self->types[at];
    }
    call->loop = loop_of(ufunc, call->operands, types, &call->context);
    return call->loop != NULL || refuse("must have loops for its dtypes");
}

static int set_calls(Sweep *self, PyObject *calls)
{
    self->calls = (int)PyTuple_GET_SIZE(calls);
    if (self->calls > MOST_CALLS)
        return refuse("must have fewer calls");
    for (int i = 0; i < self->calls; i++) {
        PyObject *ufunc, *registers;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(calls, i), "O!O!", &PyUFunc_Type, &ufunc,
                              &PyTuple_Type, &registers)
            || !set_call(self, &self->program[i], (PyUFuncObject *)ufunc, registers))
            return 0;
    }
    return 1;
}

static int begins_before(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int set_row(Sweep *self, Row *row, PyObject *held)
{
    if (PyTuple_GET_SIZE(held) != self->held)
        return refuse("must hold as many arrays in each row");
    row->held = (PyArrayObject *const *)((PyTupleObject *)held)->ob_item;
    row->size = PyArray_SIZE(row->held[0]);
    for (int i = 0; i < self->held; i++) {
        PyArrayObject *array = row->held[i];
        if (!PyArray_CheckExact(array) || !PyArray_ISCARRAY(array)
            || PyArray_TYPE(array) != self->types[i + 1] || !PyArray_SAMESHAPE(array, row->held[0]))
            return refuse("must hold dense arrays of one shape in a row");
        if (row->size)
            self->span[self->spans++] =
                (Span){PyArray_BYTES(array), PyArray_BYTES(array) + PyArray_NBYTES(array)};
    }
    return 1;
}

static int set_rows(Sweep *self, PyObject *rows)
{
    self->rows = PyTuple_GET_SIZE(rows);
    self->row = PyMem_Calloc(self->rows, sizeof(Row));
    self->span = PyMem_Calloc(self->rows * self->held, sizeof(Span));
    if (self->row == NULL || self->span == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t i = 0; i < self->rows; i++) {
        PyObject *held;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(rows, i), "nO!", &self->row[i].position,
                              &PyTuple_Type, &held)
            || !set_row(self, &self->row[i], held))
            return 0;
        if (self->row[i].position < (i ? self->row[i - 1].position + 1 : 0))
            return refuse("must have rows in order of their positions");
    }
    qsort(self->span, self->spans, sizeof(Span), begins_before);
    for (Py_ssize_t i = 1; i < self->spans; i++)
        if (self->span[i].begin < self->span[i - 1].end)
            return refuse("must hold arrays that share no memory");
    return 1;
}

static PyObject *new_sweep(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"calls", "types", "constants", "numbers", "rows", NULL};
    PyObject *calls, *types, *constants, *rows;
    int numbers;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!iO!", names, &PyTuple_Type, &calls,
                                     &PyTuple_Type, &types, &PyTuple_Type, &constants, &numbers,
                                     &PyTuple_Type, &rows))
        return NULL;
    PyObject *held = PyTuple_GET_SIZE(rows) ? PyTuple_GetItem(PyTuple_GET_ITEM(rows, 0), 1) : NULL;
    Sweep *self = (Sweep *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_sweep;
    self->kept = Py_NewRef(args);
    self->numbers = numbers;
    self->constants = (int)PyTuple_GET_SIZE(constants);
    self->held = held != NULL && PyTuple_CheckExact(held) ? (int)PyTuple_GET_SIZE(held) : 0;
    const int sized = self->held > 0 && self->held < MOST_WALKED && numbers >= 0
                      && numbers <= MOST_NUMBERS;
    if (!(sized || refuse("must have rows, and few arrays in each"))
        || !set_registers(self, types, constants) || !set_calls(self, calls)
        || !set_rows(self, rows)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void free_sweep(Sweep *self)
{
    PyMem_Free(self->row);
    PyMem_Free(self->span);
    Py_CLEAR(self->kept);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject SweepType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Sweep",
    .tp_doc = "Sweep(calls, types, constants, numbers, rows): called with arrays by position and a "
              "tuple of numbers, it updates the rows whose array is not None; whether it has.",
    .tp_basicsize = sizeof(Sweep),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Sweep, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_sweep,
    .tp_dealloc = (destructor)free_sweep,
};
