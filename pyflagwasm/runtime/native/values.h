/* Values of Python as Values of a request, with what they refer to in its heap. For plan.c alone, which finds them:
 * everything is static, because a call costs as much as writing a short text.
 */
#ifndef PYFLAGWASM_VALUES_H
#define PYFLAGWASM_VALUES_H

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

#endif
