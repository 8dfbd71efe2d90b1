/* An evaluation context into the bytes of a canonical Request: the plain cases of ../encode.py, byte for byte the same.
 *
 * Plain is what costs no call of Python code: exact dicts, lists, tuples, str, bool, int within 64 bits, float and None;
 * and, at their own price, the readers that views.py has for everything that is not one attribute. All the rest - other
 * mappings, numbers, dates, errors of any kind - is declined, and encode.py does it from the beginning.
 */
#include "native.h"

typedef struct {
    uint8_t *heap;
    uint32_t size, room;
} Heap;

static inline void put_value(uint8_t *at, uint32_t kind, uint32_t len, uint64_t bits)
{
    uint64_t head = kind | (uint64_t)len << 32;
    memcpy(at, &head, 8);
    memcpy(at + 8, &bits, 8);
}

/* memcpy of what is mostly shorter than 16 bytes, without a call. */
static inline void copy(uint8_t *to, const char *from, size_t len)
{
    uint64_t first, last;
    if (LIKELY(len >= 8 && len <= 16)) {
        memcpy(&first, from, 8);
        memcpy(&last, from + len - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + len - 8, &last, 8);
    } else if (len < 8) {
        for (size_t i = 0; i < len; i++)
            to[i] = (uint8_t)from[i];
    } else {
        memcpy(to, from, len);
    }
}

/* Copies a text to the heap and its Value to `at`; 0 or PLAN_DECLINED. */
static inline int put_text(Heap *heap, uint8_t *at, PyObject *text)
{
    const char *data;
    Py_ssize_t len;
    if (LIKELY(PyUnicode_IS_COMPACT_ASCII(text))) {
        data = (const char *)PyUnicode_1BYTE_DATA(text);
        len = PyUnicode_GET_LENGTH(text);
    } else {
        data = PyUnicode_AsUTF8AndSize(text, &len);
        if (data == NULL) {
            PyErr_Clear(); /* a lone surrogate, or no memory: encode.py will say */
            return PLAN_DECLINED;
        }
    }
    if (UNLIKELY((size_t)len > heap->room - heap->size))
        return PLAN_DECLINED;
    put_value(at, ABI_KIND_TEXT, (uint32_t)len, heap->size);
    copy(heap->heap + heap->size, data, (size_t)len);
    heap->size += (uint32_t)len;
    return 0;
}

/* Room for `count` members at the next multiple of 8, zeros before it; their offset, or PLAN_DECLINED. */
static int64_t put_members(Heap *heap, Py_ssize_t count, uint32_t each)
{
    uint32_t start = (heap->size + 7) & ~7u;
    if (start > heap->room || (size_t)count > (heap->room - start) / each)
        return PLAN_DECLINED;
    memset(heap->heap + heap->size, 0, start - heap->size);
    heap->size = start + (uint32_t)count * each;
    return start;
}

static int put_any(Heap *heap, uint8_t *at, PyObject *value, int depth);

static int put_list(Heap *heap, uint8_t *at, PyObject *const *items, Py_ssize_t count, int depth)
{
    int64_t start = put_members(heap, count, ABI_VALUE_SIZE);
    if (start < 0)
        return PLAN_DECLINED;
    put_value(at, ABI_KIND_LIST, (uint32_t)count, (uint64_t)start);
    for (Py_ssize_t i = 0; i < count; i++)
        if (put_any(heap, heap->heap + start + i * ABI_VALUE_SIZE, items[i], depth) < 0)
            return PLAN_DECLINED;
    return 0;
}

static int put_dict(Heap *heap, uint8_t *at, PyObject *dict, int depth)
{
    Py_ssize_t position = 0, number = 0, count = PyDict_GET_SIZE(dict);
    PyObject *key, *member;
    int64_t start = put_members(heap, count, 2 * ABI_VALUE_SIZE);
    if (start < 0)
        return PLAN_DECLINED;
    put_value(at, ABI_KIND_OBJECT, (uint32_t)count, (uint64_t)start);
    while (PyDict_Next(dict, &position, &key, &member)) {
        uint8_t *pair = heap->heap + start + number++ * 2 * ABI_VALUE_SIZE;
        if (!PyUnicode_CheckExact(key) || put_text(heap, pair, key) < 0 ||
            put_any(heap, pair + ABI_VALUE_SIZE, member, depth) < 0)
            return PLAN_DECLINED;
    }
    return 0;
}

/* depth: how many levels of lists and objects are still allowed. No Python code runs in here. */
static int put_any(Heap *heap, uint8_t *at, PyObject *value, int depth)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type)
        return put_text(heap, at, value);
    if (type == &PyBool_Type) {
        put_value(at, ABI_KIND_BOOL, 0, value == Py_True);
        return 0;
    }
    if (type == &PyFloat_Type) {
        double number = PyFloat_AS_DOUBLE(value);
        uint64_t bits;
        memcpy(&bits, &number, 8);
        put_value(at, ABI_KIND_FLOAT, 0, bits);
        return 0;
    }
    if (type == &PyLong_Type) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow)
            return PLAN_DECLINED;
        put_value(at, ABI_KIND_INT, 0, (uint64_t)number);
        return 0;
    }
    if (value == Py_None) {
        put_value(at, ABI_KIND_NULL, 0, 0);
        return 0;
    }
    if (depth == 0)
        return PLAN_DECLINED;
    if (type == &PyList_Type)
        return put_list(heap, at, ((PyListObject *)value)->ob_item, PyList_GET_SIZE(value), depth - 1);
    if (type == &PyTuple_Type)
        return put_list(heap, at, ((PyTupleObject *)value)->ob_item, PyTuple_GET_SIZE(value), depth - 1);
    if (type == &PyDict_Type)
        return put_dict(heap, at, value, depth - 1);
    return PLAN_DECLINED;
}

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
