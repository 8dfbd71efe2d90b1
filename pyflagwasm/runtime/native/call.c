/* One instance's `evaluate` and `evaluate_many`, called by address.
 *
 * The rules of the unchecked call and of fuel are in ../portable.py; that the addresses are right is guest.py's business.
 */
#include "native.h"

#define CALLS_PER_REFUEL 8

/* Raises what the frame says of an instance that must not be called any more. */
static int dead(Call *self)
{
    PyObject *none = PyObject_CallMethod(self->frame, "check", NULL);
    if (none != NULL)
        PyErr_SetString(PyExc_ValueError, "the instance is dead");
    Py_XDECREF(none);
    return -1;
}

/* Calls; 0, or -1 with the exception that frame.fail makes of what went wrong. */
static int cross(Call *self, const void *func, const char *name, uint64_t *cells, uint64_t fuel)
{
    void *trap = NULL;
    if (UNLIKELY(!self->alive))
        return dead(self);
    if (UNLIKELY(fuel != self->fuel)) {
        self->set_fuel(self->context, fuel);
        self->left = 0;
    } else {
        if (self->left == 0) {
            self->set_fuel(self->context, fuel * CALLS_PER_REFUEL);
            self->left = CALLS_PER_REFUEL;
        }
        self->left--;
    }
    void *error = self->call(self->context, func, cells, 1, &trap);
    if (LIKELY(error == NULL && trap == NULL))
        return 0;
    PyObject *none = PyObject_CallMethod(self->frame, "fail", "sKK", name, (unsigned long long)(uintptr_t)error,
                                         (unsigned long long)(uintptr_t)trap);
    Py_XDECREF(none);
    if (none != NULL)
        PyErr_SetString(PyExc_SystemError, "Frame.fail returned");
    return -1;
}

int call_evaluate(Call *self, uint32_t flag, uint64_t *packed)
{
    uint64_t cells[2] = {flag, 0};
    if (UNLIKELY(cross(self, self->evaluate, "evaluate", cells, self->fuel) < 0))
        return -1;
    *packed = cells[0];
    return 0;
}

int call_evaluate_many(Call *self, uint32_t count)
{
    uint64_t cells[2] = {count, 0};
    if (cross(self, self->evaluate_many, "evaluate_many", cells, self->fuel * (count ? count : 1)) < 0)
        return -1;
    if ((uint32_t)cells[0] != count) {
        PyErr_Format(PyExc_SystemError, "evaluate_many(%u) decided %u", count, (uint32_t)cells[0]);
        return -1;
    }
    return 0;
}

static PyObject *call_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Call *self = (Call *)callable;
    if (PyVectorcall_NARGS(nargsf) != 1 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "evaluate takes the index of a flag");
        return NULL;
    }
    if (!self->alive) {
        dead(self);
        return NULL;
    }
    unsigned long long flag = PyLong_AsUnsignedLongLong(args[0]);
    if (flag > UINT32_MAX) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "evaluate: %llu is not an unsigned 32-bit number", flag);
        return NULL;
    }
    uint64_t packed;
    if (call_evaluate(self, (uint32_t)flag, &packed) < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(packed);
}

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"call", "set_fuel", "context", "evaluate", "evaluate_many", "scratch", "fuel", "frame", NULL};
    unsigned long long call, set_fuel, context, evaluate, evaluate_many, scratch, fuel;
    PyObject *frame;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KKKKKKKO", names, &call, &set_fuel, &context, &evaluate,
                                     &evaluate_many, &scratch, &fuel, &frame))
        return NULL;
    Call *self = (Call *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = call_vectorcall;
    self->call = (UncheckedCall)(uintptr_t)call;
    self->set_fuel = (SetFuel)(uintptr_t)set_fuel;
    self->context = (void *)(uintptr_t)context;
    self->evaluate = (const void *)(uintptr_t)evaluate;
    self->evaluate_many = (const void *)(uintptr_t)evaluate_many;
    self->scratch = (uint8_t *)(uintptr_t)scratch;
    self->fuel = fuel;
    self->frame = Py_NewRef(frame);
    self->alive = 1;
    return (PyObject *)self;
}

static PyObject *call_kill(Call *self, PyObject *Py_UNUSED(ignored))
{
    self->alive = 0;
    Py_RETURN_NONE;
}

static void call_dealloc(Call *self)
{
    Py_CLEAR(self->frame);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef call_methods[] = {
    {"kill", (PyCFunction)call_kill, METH_NOARGS, "From now on calling raises what the frame says, and does not call."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject CallType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyflagwasm.runtime._native.Call",
    .tp_basicsize = sizeof(Call),
    .tp_dealloc = (destructor)call_dealloc,
    .tp_vectorcall_offset = offsetof(Call, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "`(flag) -> packed decision` of one instance, for the request in its scratch. As portable.bind_one.",
    .tp_methods = call_methods,
    .tp_new = call_new,
};
