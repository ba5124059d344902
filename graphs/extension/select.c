/* select(condition, x, y): a ufunc. NumPy's `where` and `copyto` branch at each element, and where
conditions have no order, a processor guesses every other branch wrong. Here both operands are read,
and a mask says which bits are kept. */

#include "speedups.h"

#include <stdint.h>

/* Complex numbers of two floats lie where a float may. */
typedef uint64_t __attribute__((aligned(4))) pair;

#define SELECT(type, name)                                                                       \
    static inline __attribute__((always_inline)) void name##_by(                                 \
        char **args, npy_intp count, npy_intp by_condition, npy_intp by_x, npy_intp by_y,        \
        npy_intp by_out)                                                                         \
    {                                                                                            \
        const char *condition = args[0], *x = args[1], *y = args[2];                             \
        char *out = args[3];                                                                     \
        _Pragma("GCC ivdep") for (npy_intp i = 0; i < count; i++)                                \
        {                                                                                        \
            const type kept = (type)((type)0 - (type)(condition[i * by_condition] != 0));        \
            *(type *)(out + i * by_out) = (type)((*(const type *)(x + i * by_x) & kept)          \
                                                 | (*(const type *)(y + i * by_y) & ~kept));     \
        }                                                                                        \
    }                                                                                            \
    static void name(char **args, const npy_intp *count, const npy_intp *steps, void *context)   \
    {                                                                                            \
        const npy_intp item = sizeof(type);                                                      \
        const int is_dense = steps[0] == 1 && steps[3] == item;                                  \
        if (is_dense && steps[1] == item && steps[2] == item)                                    \
            name##_by(args, *count, 1, item, item, item);                                        \
        else if (is_dense && steps[1] == item && steps[2] == 0)                                  \
            name##_by(args, *count, 1, item, 0, item);                                           \
        else if (is_dense && steps[1] == 0 && steps[2] == item)                                  \
            name##_by(args, *count, 1, 0, item, item);                                           \
        else                                                                                     \
            name##_by(args, *count, steps[0], steps[1], steps[2], steps[3]);                     \
    }

SELECT(uint8_t, select_1)
SELECT(uint16_t, select_2)
SELECT(uint32_t, select_4)
SELECT(pair, select_8)

static const char kinds[] = {
    NPY_BOOL, NPY_BYTE,  NPY_UBYTE,    NPY_SHORT,     NPY_USHORT, NPY_INT,   NPY_UINT,   NPY_LONG,
    NPY_ULONG, NPY_LONGLONG, NPY_ULONGLONG, NPY_HALF, NPY_FLOAT,  NPY_DOUBLE, NPY_CFLOAT,
};
enum { KINDS = sizeof kinds };

PyObject *make_select(void)
{
    static PyUFuncGenericFunction functions[KINDS];
    static void *contexts[KINDS];
    static char types[4 * KINDS];
    for (int i = 0; i < KINDS; i++) {
        PyArray_Descr *dtype = PyArray_DescrFromType(kinds[i]);
        if (dtype == NULL)
            return NULL;
        const npy_intp item = PyDataType_ELSIZE(dtype);
        Py_DECREF(dtype);
        functions[i] = item == 1   ? select_1
                       : item == 2 ? select_2
                       : item == 4 ? select_4
                                   : select_8;
        types[4 * i] = NPY_BOOL;
        types[4 * i + 1] = types[4 * i + 2] = types[4 * i + 3] = kinds[i];
    }
    return PyUFunc_FromFuncAndData(functions, contexts, types, KINDS, 3, 1, PyUFunc_None, "select",
                                   "Elements of x where condition holds, of y elsewhere.", 0);
}
