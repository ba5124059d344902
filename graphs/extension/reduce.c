/* Reductions over many numbers by a ufunc's own inner loop, on all threads of the pool.

A dense array is seen as outer * folds * kept * row numbers, of which folds and rows are reduced.
Each result takes the numbers in the order in which the ufunc does, so its bits are the ufunc's,
however the results are shared out. One sum of all has its row halved, as NumPy halves it. */

#include "speedups.h"

enum { OUTER, FOLDS, KEPT, ROW, SIDES };
enum {
    OUTERS = 4,       /* a thread, that are shared out as wholes */
    COLUMNS = 64,     /* kept side by side, that a thread takes together */
    BLOCK = 1 << 12,  /* that stay in a core's cache while rows are added to them */
    WIDE = 1 << 15,   /* bytes of a row for each thread, below which they take each other's lines */
    MOST_PARTS = 64,
};

typedef struct {
    npy_intp sizes[SIDES];
    npy_intp item;
    char *from, *to;
    PyUFuncGenericFunction loop;
    void *context;
    int begins_with_first; /* and not with the identity, which `to` holds */
} Reduction;

static void call(const Reduction *self, char *to, char *from, npy_intp count, npy_intp to_step)
{
    char *pointers[] = {to, from, to};
    const npy_intp steps[] = {to_step, self->item, to_step};
    if (count > 0)
        self->loop(pointers, &count, steps, self->context);
}

/* Results from `begin` to before `end` among those that are kept side by side, for one of OUTER. */
static void reduce_kept(const Reduction *self, npy_intp outer, npy_intp begin, npy_intp end)
{
    const npy_intp item = self->item, kept = self->sizes[KEPT], row = self->sizes[ROW];
    char *to = self->to + outer * kept * item;
    char *from = self->from + outer * self->sizes[FOLDS] * kept * row * item;
    for (npy_intp fold = 0; fold < self->sizes[FOLDS]; fold++, from += kept * row * item) {
        const int first = self->begins_with_first && fold == 0;
        for (npy_intp i = begin; first && i < end; i++)
            memcpy(to + i * item, from + i * row * item, item);
        if (row == 1)
            call(self, to + begin * item, from + begin * item, first ? 0 : end - begin, item);
        for (npy_intp i = begin; row != 1 && i < end; i++)
            call(self, to + i * item, from + (i * row + first) * item, row - first, 0);
    }
}

static void reduce_share(dt_team *team, int thread, char *const *pointers)
{
    const Reduction *self = (const Reduction *)pointers[0];
    const npy_intp outer = self->sizes[OUTER], kept = self->sizes[KEPT];
    dt_int begin, end;
    if (outer >= OUTERS * team->threads) {
        end = dt_share(team, thread, outer, &begin);
        for (; begin < end; begin++)
            reduce_kept(self, begin, 0, kept);
    } else {
        const npy_intp grain = self->sizes[ROW] == 1 ? COLUMNS : 1;
        end = dt_share(team, thread, (kept + grain - 1) / grain, &begin) * grain;
        end = end < kept ? end : kept;
        for (npy_intp i = 0; i < outer; i++)
            for (npy_intp from = begin * grain; from < end; from += BLOCK)
                reduce_kept(self, i, from, from + BLOCK < end ? from + BLOCK : end);
    }
}

/* -- the sum of one row ---------------------------------------------------------------------- */

typedef struct {
    const Reduction *whole;
    npy_intp parts, begins[MOST_PARTS + 1];
    double sums[MOST_PARTS]; /* of any dtype that is no longer */
} Halves;

static void sum_share(dt_team *team, int thread, char *const *pointers)
{
    Halves *halves = (Halves *)pointers[0];
    const Reduction *whole = halves->whole;
    dt_int part, end = dt_share(team, thread, halves->parts, &part);
    for (; part < end; part++)
        call(whole, (char *)&halves->sums[part], whole->from + halves->begins[part] * whole->item,
             halves->begins[part + 1] - halves->begins[part], 0);
}

/* NumPy adds up a long row as its first half, which is of whole eights, and its second half. */
static int run_sum(const Reduction *whole, int threads)
{
    Halves halves = {.whole = whole, .parts = 1, .begins = {0, whole->sizes[ROW]}};
    for (; halves.parts < 4 * threads && halves.parts < MOST_PARTS; halves.parts *= 2)
        for (npy_intp i = halves.parts; i > 0; i--) {
            const npy_intp begin = halves.begins[i - 1], half = (halves.begins[i] - begin) / 2;
            halves.begins[2 * i] = halves.begins[i];
            halves.begins[2 * i - 1] = begin + half - half % 8;
        }
    char *const pointers[] = {(char *)&halves};
    if (run_on_pool(sum_share, pointers, threads) != 0)
        return 0;
    for (npy_intp parts = halves.parts; parts > 1; parts /= 2)
        for (npy_intp i = 0; i < parts; i += 2) {
            call(whole, (char *)&halves.sums[i], (char *)&halves.sums[i + 1], 1, whole->item);
            halves.sums[i / 2] = halves.sums[i];
        }
    call(whole, whole->to, (char *)halves.sums, 1, whole->item);
    return 1;
}

/* -- what Python calls ----------------------------------------------------------------------- */

static int can_share(const Reduction *self, int threads, int is_halved)
{
    const npy_intp outer = self->sizes[OUTER], kept = self->sizes[KEPT];
    if (threads == 1)
        return 0;
    if (outer * kept == 1)
        return is_halved;
    if (self->sizes[ROW] == 1 && outer < OUTERS * threads)
        return kept * self->item >= WIDE * threads;
    return outer * kept >= threads;
}

static int run(const Reduction *self, npy_intp results, npy_intp size, int is_halved)
{
    const int threads = threads_for(size);
    char *const pointers[] = {(char *)self};
    if (!can_share(self, threads, is_halved))
        return 0;
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = results == 1 ? run_sum(self, threads) : !run_on_pool(reduce_share, pointers, threads);
    Py_END_ALLOW_THREADS
    return done;
}

PyObject *reduce(PyObject *module, PyObject *args)
{
    PyUFuncObject *ufunc;
    PyArrayObject *x, *out;
    Reduction self = {0};
    if (!PyArg_ParseTuple(args, "O!O!O!(nnnn)", &PyUFunc_Type, &ufunc, &PyArray_Type, &x,
                          &PyArray_Type, &out, &self.sizes[OUTER], &self.sizes[FOLDS],
                          &self.sizes[KEPT], &self.sizes[ROW]))
        return NULL;
    const npy_intp results = self.sizes[OUTER] * self.sizes[KEPT];
    const int type = PyArray_TYPE(x);
    self.loop = loop_of(ufunc, 3, (int[]){type, type, type}, &self.context);
    if (self.loop == NULL || PyArray_TYPE(out) != type || !PyArray_ISCARRAY_RO(x)
        || !PyArray_ISCARRAY(out) || PyArray_SIZE(out) != results
        || PyArray_SIZE(x) != results * self.sizes[FOLDS] * self.sizes[ROW])
        Py_RETURN_FALSE;
    self.item = PyArray_ITEMSIZE(x);
    self.from = PyArray_BYTES(x);
    self.to = PyArray_BYTES(out);
    PyObject *identity = PyObject_GetAttrString((PyObject *)ufunc, "identity");
    self.begins_with_first = identity == Py_None;
    if (identity == NULL)
        return NULL;
    const int filled = self.begins_with_first ? 0 : PyArray_FillWithScalar(out, identity);
    Py_DECREF(identity);
    if (filled < 0)
        return NULL;
    const int is_halved = strcmp(ufunc->name, "add") == 0
                          && (type == NPY_FLOAT || type == NPY_DOUBLE);
    return PyBool_FromLong(run(&self, results, PyArray_SIZE(x), is_halved));
}

/* -- Sum: few numbers ------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *careful;
    int ndim, new_ndim;
    npy_intp shape[MOST_AXES], new_shape[MOST_AXES], sizes[SIDES];
    Reduction of_float, of_double;
} Sum;

static int usable(const Sum *self, PyObject *object)
{
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_CheckExact(object) && PyArray_ISCARRAY_RO(array)
           && (PyArray_TYPE(array) == NPY_FLOAT || PyArray_TYPE(array) == NPY_DOUBLE)
           && PyArray_NDIM(array) == self->ndim
           && memcmp(PyArray_DIMS(array), self->shape, sizeof(npy_intp) * self->ndim) == 0;
}

static PyObject *call_sum(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Sum *self = (Sum *)object;
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL || !usable(self, args[0]))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    PyArrayObject *x = (PyArrayObject *)args[0];
    const int type = PyArray_TYPE(x);
    PyArrayObject *out = (PyArrayObject *)new_array(type, self->new_ndim, self->new_shape);
    if (out == NULL)
        return NULL;
    Reduction reduction = type == NPY_FLOAT ? self->of_float : self->of_double;
    reduction.from = PyArray_BYTES(x);
    reduction.to = PyArray_BYTES(out);
    memset(reduction.to, 0, PyArray_NBYTES(out));
    for (npy_intp outer = 0; outer < reduction.sizes[OUTER]; outer++)
        reduce_kept(&reduction, outer, 0, reduction.sizes[KEPT]);
    return (PyObject *)out;
}

static int begin_sum(Reduction *self, const PyUFuncObject *add, int type, npy_intp item,
                     const npy_intp *sizes)
{
    *self = (Reduction){.item = item};
    self->loop = loop_of(add, 3, (int[]){type, type, type}, &self->context);
    memcpy(self->sizes, sizes, sizeof self->sizes);
    return self->loop == NULL ? -1 : 0;
}

static PyObject *new_sum(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"add", "careful", "shape", "new_shape", "sizes", NULL};
    PyUFuncObject *add;
    PyObject *careful, *shape, *new_shape;
    npy_intp sizes[SIDES];
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO!O!(nnnn)", names, &PyUFunc_Type, &add,
                                     &careful, &PyTuple_Type, &shape, &PyTuple_Type, &new_shape,
                                     &sizes[OUTER], &sizes[FOLDS], &sizes[KEPT], &sizes[ROW]))
        return NULL;
    Sum *self = (Sum *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_sum;
    self->careful = Py_NewRef(careful);
    self->ndim = read_sizes(shape, self->shape, MOST_AXES);
    self->new_ndim = read_sizes(new_shape, self->new_shape, MOST_AXES);
    const npy_intp results = sizes[OUTER] * sizes[KEPT];
    if (self->ndim >= 0 && self->new_ndim >= 0 && add->nin == 2
        && results == PyArray_MultiplyList(self->new_shape, self->new_ndim)
        && results * sizes[FOLDS] * sizes[ROW] == PyArray_MultiplyList(self->shape, self->ndim)
        && begin_sum(&self->of_float, add, NPY_FLOAT, sizeof(float), sizes) == 0
        && begin_sum(&self->of_double, add, NPY_DOUBLE, sizeof(double), sizes) == 0)
        return (PyObject *)self;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "Sum: must be of add, and all elements");
    Py_DECREF(self);
    return NULL;
}

static void free_sum(Sum *self)
{
    Py_CLEAR(self->careful);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject SumType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Sum",
    .tp_doc = "Sum(add, careful, shape, new_shape, sizes): a kernel that adds up elements of an "
              "operand of a shape, which is seen as four axes, on one thread.",
    .tp_basicsize = sizeof(Sum),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Sum, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_sum,
    .tp_dealloc = (destructor)free_sum,
};
