/* An evaluation context into the bytes of a canonical Request: the plain cases of ../encode.py, byte for byte the same.
 *
 * Plain is what costs no call of Python code: exact dicts, lists, tuples, str, bool, int within 64 bits, float and None;
 * and, at their own price, the readers that ../views/ has for everything that is not one attribute. All the rest - other
 * mappings, numbers, dates, errors of any kind - is declined, and encode.py does it from the beginning. Here
 * values are found; values.h writes them.
 */
#include "native.h"
#include "values.h"

/* ---------------------------------------------------------------- finding values */

#define FIRST_MISSES 4
#define MOST_LOOKED_AT 64

/* Looks for the place of a key that is there, the first few times and then now and then. */
static void note_place(Step *step, PyObject *dict)
{
    PyObject *key;
    Py_ssize_t position = 0, here = 0;
    if (++step->missed > FIRST_MISSES && (step->missed & 63) != 0)
        return;
    for (int i = 0; i < MOST_LOOKED_AT && PyDict_Next(dict, &position, &key, NULL); i++, here = position)
        if (key == step->key)
            step->hint = here;
}

/* What `get` of an exact dict gives; NULL if there is nothing, with or without an exception of the key's `__eq__`. */
static inline PyObject *find(Step *step, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t position = step->hint;
    if (LIKELY(PyDict_Next(dict, &position, &key, &value)) && LIKELY(key == step->key))
        return value;
    value = PyDict_GetItemWithError(dict, step->key);
    if (value != NULL)
        note_place(step, dict);
    return value;
}

/* Something was raised: 0 after clearing an Exception, which encode.py will meet again, or PLAN_FAILED. */
static int cleared(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return PLAN_FAILED;
    PyErr_Clear();
    return PLAN_DECLINED;
}

/* As `look`, by the reader. */
static int ask(Step *step, PyObject *context, int64_t now_us, PyObject **value, PyObject **owned)
{
    PyObject *now = PyLong_FromLongLong(now_us);
    PyObject *whole = context != NULL ? Py_NewRef(context) : PyDict_New();
    PyObject *args[2] = {whole, now};
    PyObject *found = now == NULL || whole == NULL ? NULL : PyObject_Vectorcall(step->read, args, 2, NULL);
    Py_XDECREF(now);
    Py_XDECREF(whole);
    if (found == NULL)
        return cleared();
    *owned = *value = found;
    return found != words.missing;
}

/* The bit of the value's kind, or of none that there is; NULL is Missing. */
static inline uint32_t kind_bit(PyObject *value)
{
    if (value == NULL || value == words.missing)
        return 1u << ABI_KIND_MISSING;
    if (value == Py_None)
        return 1u << ABI_KIND_NULL;
    PyTypeObject *type = Py_TYPE(value);
    return type == &PyUnicode_Type  ? 1u << ABI_KIND_TEXT
           : type == &PyBool_Type   ? 1u << ABI_KIND_BOOL
           : type == &PyLong_Type   ? 1u << ABI_KIND_INT
           : type == &PyFloat_Type  ? 1u << ABI_KIND_FLOAT
           : type == &PyList_Type || type == &PyTuple_Type ? 1u << ABI_KIND_LIST
           : type == &PyDict_Type   ? 1u << ABI_KIND_OBJECT
                                    : 0;
}

/* The slot's value, borrowed or in `owned`: 1, 0 for Missing, or a PLAN_ code. */
static inline int look(Step *step, PyObject *context, int64_t now_us, PyObject **value, PyObject **owned)
{
    PyObject *found;
    if (UNLIKELY(step->key == NULL))
        return ask(step, context, now_us, value, owned);
    if (context == NULL)
        return step->taken & kind_bit(NULL) ? 0 : ask(step, context, now_us, value, owned);
    found = find(step, context);
    if (found == NULL && UNLIKELY(step->also != NULL || PyErr_Occurred())) {
        if (PyErr_Occurred())
            return cleared();
        found = PyDict_GetItemWithError(context, step->also);
    }
    if (step->rest != NULL) {
        Py_XINCREF(found); /* the code of a key may take it out of the context while it is looked at */
        for (Py_ssize_t i = 0; found != NULL && i < PyTuple_GET_SIZE(step->rest); i++) {
            PyObject *outer = found;
            if (!PyDict_CheckExact(outer)) {
                Py_DECREF(outer);
                return PLAN_DECLINED;
            }
            found = PyDict_GetItemWithError(outer, PyTuple_GET_ITEM(step->rest, i));
            Py_XINCREF(found);
            Py_DECREF(outer);
        }
        *owned = found;
    }
    if (found == NULL && UNLIKELY(PyErr_Occurred() != NULL))
        return cleared();
    if (UNLIKELY(step->taken != PLAN_TAKES_ALL) && !(kind_bit(found) & step->taken)) {
        Py_CLEAR(*owned);
        return ask(step, context, now_us, value, owned);
    }
    if (found == NULL)
        return 0;
    *value = found;
    return found != words.missing;
}

Py_ssize_t plan_write(Plan *self, PyObject *context, uint8_t *request, int64_t now_us)
{
    Py_ssize_t prefix = PyBytes_GET_SIZE(self->prefix);
    memcpy(request, PyBytes_AS_STRING(self->prefix), (size_t)prefix);
    memcpy(request + ABI_REQUEST_NOW_US, &now_us, 8);
    Heap heap = {request + prefix, 0, self->room};
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Step *step = &self->steps[i];
        PyObject *value = NULL, *owned = NULL;
        int found = look(step, context, now_us, &value, &owned);
        if (found > 0)
            found = LIKELY(Py_TYPE(value) == &PyUnicode_Type)
                        ? put_text(&heap, request + step->at, value)
                        : put_any(&heap, request + step->at, value, ABI_LIMITS_VALUE_DEPTH);
        Py_XDECREF(owned);
        if (UNLIKELY(found < 0))
            return found;
    }
    if (heap.size)
        memcpy(heap.heap - 4, &heap.size, 4);
    return prefix + (Py_ssize_t)heap.size;
}

/* ---------------------------------------------------------------- the type */

/* What encode.py gives for a context that is not empty: an exact dict or None; else 0 and PLAN_DECLINED. */
static int plain_context(PyObject **context)
{
    if (*context == Py_None)
        *context = NULL;
    return *context == NULL || PyDict_CheckExact(*context);
}

static PyObject *plan_write_method(Plan *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer buffer;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "write(context, buffer, now_us)");
        return NULL;
    }
    PyObject *context = args[0];
    if (!plain_context(&context))
        Py_RETURN_NONE;
    long long now_us = PyLong_AsLongLong(args[2]);
    if ((now_us == -1 && PyErr_Occurred()) || PyObject_GetBuffer(args[1], &buffer, PyBUF_WRITABLE) < 0)
        return NULL;
    Py_ssize_t size = PLAN_DECLINED;
    if (buffer.len >= PyBytes_GET_SIZE(self->prefix) + (Py_ssize_t)self->room)
        size = plan_write(self, context, buffer.buf, now_us);
    PyBuffer_Release(&buffer);
    if (size == PLAN_FAILED)
        return NULL;
    if (size < 0)
        Py_RETURN_NONE;
    return PyLong_FromSsize_t(size);
}

PyObject *plan_request(Plan *self, PyObject *context, int64_t now_us)
{
    if (!plain_context(&context))
        Py_RETURN_NONE;
    /* One buffer for all, but for who comes while it is used: Python code of a reader, or another thread meanwhile. */
    static uint8_t shared[ABI_SCRATCH_REQUEST_SIZE];
    static int in_use;
    uint8_t *buffer = in_use ? PyMem_Malloc(sizeof shared) : shared;
    if (buffer == NULL)
        return PyErr_NoMemory();
    if (buffer == shared)
        in_use = 1;
    Py_ssize_t size = plan_write(self, context, buffer, now_us);
    PyObject *made = size >= 0 ? PyBytes_FromStringAndSize((char *)buffer, size)
                     : size == PLAN_FAILED ? NULL : Py_NewRef(Py_None);
    if (buffer == shared)
        in_use = 0;
    else
        PyMem_Free(buffer);
    return made;
}

static PyObject *plan_request_method(Plan *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "request(context, now_us)");
        return NULL;
    }
    long long now_us = PyLong_AsLongLong(args[1]);
    if (now_us == -1 && PyErr_Occurred())
        return NULL;
    return plan_request(self, args[0], now_us);
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"prefix", "room", "steps", "reads_now", NULL};
    PyObject *prefix, *steps;
    unsigned int room;
    int reads_now;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SIO!p", names, &prefix, &room, &PyTuple_Type, &steps, &reads_now))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(steps), size = PyBytes_GET_SIZE(prefix);
    if (size < ABI_REQUEST_SLOTS || size + (Py_ssize_t)room > ABI_SCRATCH_REQUEST_SIZE) {
        PyErr_SetString(PyExc_ValueError, "prefix and room do not fit the request area");
        return NULL;
    }
    Plan *self = (Plan *)type->tp_alloc(type, count);
    if (self == NULL)
        return NULL;
    self->prefix = Py_NewRef(prefix);
    self->room = room;
    self->reads_now = reads_now;
    for (Py_ssize_t i = 0; i < count; i++) {
        Step *step = &self->steps[i];
        PyObject *key, *also, *rest, *read;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(steps, i), "IOOOOI", &step->at, &key, &also, &rest, &read, &step->taken))
            goto wrong;
        if ((Py_ssize_t)step->at + ABI_VALUE_SIZE > size ||
            ((key == Py_None || step->taken != PLAN_TAKES_ALL) && !PyCallable_Check(read)) ||
            (rest != Py_None && !PyTuple_CheckExact(rest))) {
            PyErr_SetString(PyExc_ValueError, "a step that cannot be");
            goto wrong;
        }
        step->key = key == Py_None ? NULL : Py_NewRef(key);
        step->also = also == Py_None ? NULL : Py_NewRef(also);
        step->rest = rest == Py_None ? NULL : Py_NewRef(rest);
        step->read = Py_NewRef(read);
    }
    return (PyObject *)self;
wrong:
    Py_DECREF(self);
    return NULL;
}

static void plan_dealloc(Plan *self)
{
    Py_CLEAR(self->prefix);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_CLEAR(self->steps[i].key);
        Py_CLEAR(self->steps[i].also);
        Py_CLEAR(self->steps[i].rest);
        Py_CLEAR(self->steps[i].read);
    }
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef plan_methods[] = {
    {"write", (PyCFunction)(void (*)(void))plan_write_method, METH_FASTCALL,
     "write(context, buffer, now_us): the number of bytes written, or None if encode.py has to do it."},
    {"request", (PyCFunction)(void (*)(void))plan_request_method, METH_FASTCALL,
     "request(context, now_us): the request as bytes, or None if encode.py has to do it."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject PlanType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyflagwasm.runtime._native.Plan",
    .tp_basicsize = offsetof(Plan, steps),
    .tp_itemsize = sizeof(Step),
    .tp_dealloc = (destructor)plan_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Plan(prefix, room, steps, reads_now): how contexts are encoded for one set of slots. Immutable.",
    .tp_methods = plan_methods,
    .tp_new = plan_new,
};
