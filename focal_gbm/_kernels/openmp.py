"""Loops on the threads of a booster's OpenMP runtime.

A thread pool of our own would compete with the booster's: the threads of an OpenMP
runtime spin for a while after each loop and keep their cores busy. The loop therefore
runs in the booster's runtime, by the function that GCC calls for a parallel region,
GOMP_parallel, which LLVM's runtime has too. A runtime keeps its threads only between
loops of the same number of threads, so that a loop uses all of them or one.
"""

from __future__ import annotations

import ctypes
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic, overload

_BYTES = ir.IntType(8).as_pointer()
_INT32 = ir.IntType(32)
_REGION = ir.FunctionType(ir.VoidType(), [_BYTES])
_GOMP_PARALLEL = ir.FunctionType(
    ir.VoidType(), [_REGION.as_pointer(), _BYTES, _INT32, _INT32]
)

# Runtime and number of threads of a loop on the calling thread.
ALONE = (0, 1)
# With fewer rows, waking the threads costs more than they save.
MIN_ROWS = 2**16

# Not empty if this version of Numba cannot compile the shared loop.
_UNUSABLE: list[Exception] = []


def stop_sharing(error: Exception) -> None:
    """Use one thread from now on, and warn why."""
    _UNUSABLE.append(error)
    team.cache_clear()  # its answers were for more threads
    msg = (
        f"this version of Numba cannot compile the loop that threads share, so that "
        f"one thread computes the same: {type(error).__name__}: {error}. Please report "
        "it, with the versions of numba and llvmlite"
    )
    warnings.warn(msg, UserWarning, stacklevel=4)


@lru_cache
def team(library: Any, n_jobs: int) -> tuple[int, int]:
    """Return the address of GOMP_parallel in the OpenMP runtime of a booster's library,
    and the number of threads for ``n_jobs``, where -1 means all."""
    from joblib import cpu_count  # respects the limits of a container

    # without the compiler the loop is plain Python, which has no address
    if config.DISABLE_JIT or _UNUSABLE:
        return ALONE
    try:
        function = library.GOMP_parallel
        most = min(library.omp_get_max_threads(), cpu_count())
    except AttributeError:  # the library has another compiler's runtime, or none
        return ALONE
    address = ctypes.cast(function, ctypes.c_void_p).value or 0
    return address, most if n_jobs < 0 else n_jobs


@intrinsic
def on_threads(typingctx, runtime, n_threads, worker, arguments):
    """Call ``worker(*arguments)`` in each of ``n_threads`` threads and wait for them.

    The worker is compiled code that raises no error; its result is not used.
    """
    call = worker.get_call_type(typingctx, arguments.types, {})

    def codegen(context, builder, _signature, values):
        address, number, _, packed = values
        compiled = worker.dispatcher.get_compile_result(call)
        context.add_linking_libs((compiled.library,))
        # void region(void *): the form of function that GOMP_parallel calls
        region = ir.Function(
            builder.module, _REGION, name=f"{builder.function.name}.region"
        )
        region.linkage = "internal"
        inner = ir.IRBuilder(region.append_basic_block())
        # unpack the arguments from the caller's stack, to which all threads point
        seen = inner.load(inner.bitcast(region.args[0], packed.type.as_pointer()))
        items = [inner.extract_value(seen, i) for i in range(len(arguments.types))]
        context.call_internal_no_propagate(inner, compiled.fndesc, call, items)
        inner.ret_void()
        shared = builder.alloca(packed.type)
        builder.store(packed, shared)
        builder.call(
            builder.inttoptr(address, _GOMP_PARALLEL.as_pointer()),
            [
                region,
                builder.bitcast(shared, _BYTES),
                builder.trunc(number, _INT32),
                _INT32(0),  # flags: the runtime's own binding of threads
            ],
        )
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, worker, arguments), codegen


# Dtypes of a ledger of one thread and of a shared ledger. Only the latter needs an
# atomic operation, which Numba lacks; the loop of one thread compiles without it.
OWN, SHARED = np.int64, np.uint64


def claim(ledger: Any) -> Any:
    """Return the first number of the ledger and add 1 to it there."""
    number = ledger[0]
    ledger[0] += 1
    return number


@intrinsic
def _fetch_and_add(typingctx, ledger):
    """Add 1 to the first number of the ledger, atomically, and return the old value."""

    def codegen(context, builder, signature, values):
        array = context.make_array(signature.args[0])(context, builder, values[0])
        one = ir.Constant(ir.IntType(64), 1)
        # monotonic: only the count is shared, and no other memory depends on it
        return builder.atomic_rmw("add", array.data, one, "monotonic")

    return types.int64(ledger), codegen


@overload(claim)
def _claim(ledger):
    if ledger.dtype == types.uint64:
        return lambda ledger: _fetch_and_add(ledger)

    def next_number(ledger):
        number = ledger[0]
        ledger[0] = number + 1
        return number

    return next_number
