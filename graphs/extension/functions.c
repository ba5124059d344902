/* sigmoid(x) and relu(x): ufuncs made of NumPy's own inner loops. Called one after another on a
piece that stays in a core's cache, they give the bits that they give on whole arrays. */

#include "walk.h"

enum { KINDS = 2, NEGATIVE = 0, EXP, ADD, RECIPROCAL, MAXIMUM, LOOPS };

typedef struct {
    PyUFuncGenericFunction loop;
    void *context;
} Inner;

typedef struct {
    Inner inner[LOOPS];
    const void *zero, *one;
} Kind;

static const char *const loop_names[] = {"negative", "exp", "add", "reciprocal", "maximum"};
static const char type_numbers[] = {NPY_FLOAT, NPY_FLOAT, NPY_DOUBLE, NPY_DOUBLE};
static const float floats[] = {0, 1};
static const double doubles[] = {0, 1};
static Kind kinds[KINDS] = {{.zero = &floats[0], .one = &floats[1]},
                            {.zero = &doubles[0], .one = &doubles[1]}};

static void call(const Inner *inner, char *x, npy_intp x_step, char *out, npy_intp step,
                 npy_intp count)
{
    char *pointers[] = {x, out};
    const npy_intp steps[] = {x_step, step};
    inner->loop(pointers, &count, steps, inner->context);
}

static void call_with(const Inner *inner, char *x, npy_intp x_step, const void *number, char *out,
                      npy_intp step, npy_intp count)
{
    char *pointers[] = {x, (char *)number, out};
    const npy_intp steps[] = {x_step, 0, step};
    inner->loop(pointers, &count, steps, inner->context);
}

static void run_sigmoid(char **args, const npy_intp *count, const npy_intp *steps, void *context)
{
    const Kind *kind = context;
    const npy_intp step = steps[1];
    for (npy_intp at = 0; at < *count; at += PIECE) {
        const npy_intp n = *count - at < PIECE ? *count - at : PIECE;
        char *out = args[1] + at * step;
        call(&kind->inner[NEGATIVE], args[0] + at * steps[0], steps[0], out, step, n);
        call(&kind->inner[EXP], out, step, out, step, n);
        call_with(&kind->inner[ADD], out, step, kind->one, out, step, n);
        call(&kind->inner[RECIPROCAL], out, step, out, step, n);
    }
}

static void run_relu(char **args, const npy_intp *count, const npy_intp *steps, void *context)
{
    const Kind *kind = context;
    call_with(&kind->inner[MAXIMUM], args[0], steps[0], kind->zero, args[1], steps[1], *count);
}

/* NumPy's loops of one function, for each kind of number; -1 with an error. */
static int find_loops(PyObject *numpy, int name)
{
    PyUFuncObject *ufunc = (PyUFuncObject *)PyObject_GetAttrString(numpy, loop_names[name]);
    if (ufunc == NULL)
        return -1;
    for (int kind = 0; kind < KINDS; kind++) {
        Inner *inner = &kinds[kind].inner[name];
        const int type = type_numbers[2 * kind], types[] = {type, type, type};
        inner->loop = loop_of(ufunc, ufunc->nargs, types, &inner->context);
    }
    Py_DECREF(ufunc); /* NumPy keeps it, and its loops, for ever */
    if (kinds[0].inner[name].loop != NULL && kinds[1].inner[name].loop != NULL)
        return 0;
    PyErr_Format(PyExc_ImportError, "speedups: NumPy must have loops of %s", loop_names[name]);
    return -1;
}

int find_functions(void)
{
    PyObject *numpy = PyImport_ImportModule("numpy");
    int failed = numpy == NULL ? -1 : 0;
    for (int name = 0; name < LOOPS && !failed; name++)
        failed = find_loops(numpy, name);
    Py_XDECREF(numpy);
    return failed;
}

static PyObject *make(PyUFuncGenericFunction function, PyUFuncGenericFunction *functions,
                      const char *name, const char *doc)
{
    static void *contexts[] = {&kinds[0], &kinds[1]};
    functions[0] = functions[1] = function;
    return PyUFunc_FromFuncAndData(functions, contexts, type_numbers, KINDS, 1, 1, PyUFunc_None,
                                   name, doc, 0);
}

PyObject *make_sigmoid(void)
{
    static PyUFuncGenericFunction functions[KINDS];
    return make(run_sigmoid, functions, "sigmoid", "1 / (1 + exp(-x)).");
}

PyObject *make_relu(void)
{
    static PyUFuncGenericFunction functions[KINDS];
    return make(run_relu, functions, "relu", "The larger of x and 0.");
}
