"""A user's rule as a native function that the compiled engine calls by its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import carray, cfunc, njit, types
from numba.core.errors import NumbaError, TypingError
from numba.extending import intrinsic

from bposim.engines.compiled import table as f
from bposim.engines.policies import View

_SIGNATURE = types.int64(types.CPointer(types.int64), types.int64, types.int64)


class NotCompilable(Exception):
    """numba does not compile the function."""


def native(rule: Callable[[View, int], int]) -> Any:
    """Return the rule as a native function of (table, length of the table, number).

    Raises
    ------
    NotCompilable
        With the first line of what numba says.
    """
    try:
        plain = getattr(rule, "py_func", rule)
        inner = njit(nogil=True, boundscheck=True, error_model="numpy")(plain)

        @cfunc(_SIGNATURE)
        def wrapped(pointer, length, number):  # type: ignore[no-untyped-def]
            m = carray(pointer, (length,))
            k, g = m[f.N_TYPES], m[f.N_GROUPS]
            at = m[f.VIEW]
            view = View(
                m[f.NOW], m[at : at + k], m[at + k : at + 2 * k], m[at + 2 * k : at + 2 * k + g],
                m[at + 2 * k + g : at + 2 * k + 2 * g], m[at + 2 * k + 2 * g : at + 2 * k + 3 * g],
                m[at + 2 * k + 3 * g : at + 2 * k + 4 * g], m[at + 2 * k + 4 * g : at + 2 * k + 4 * g + k * g].reshape((k, g)),
            )  # fmt: skip
            try:
                answer = types.int64(inner(view, number))
            except Exception:
                m[f.FAULT] = f.RAISED  # nobody above can catch it: the run ends
                answer = types.int64(-1)
            return answer

        return wrapped
    except (NumbaError, TypeError, AttributeError, NotImplementedError) as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((s for s in said if not s.startswith(("Failed in", "During:"))), type(error).__name__)
        raise NotCompilable(reason) from None


@intrinsic
def data_of(typingctx, table):  # type: ignore[no-untyped-def]
    """Return the address of a table's data.

    An index of an array may count from its end, and an array is counted wherever it is handed on; an address knows neither,
    which spares the event loop a third of its time. Who holds the array must outlive the address.
    """

    if table.layout != "C":
        raise TypingError("the address of a table needs it in one piece")

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(table.dtype)(table), codegen


@intrinsic
def call_native(typingctx, address, table, length, number):  # type: ignore[no-untyped-def]
    """Call a native function by its address with the address of a table, its length and a number."""
    signature = types.int64(types.int64, table, types.int64, types.int64)

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        from llvmlite import ir

        int64 = ir.IntType(64)
        kind = ir.FunctionType(int64, [int64.as_pointer(), int64, int64])
        function = builder.inttoptr(args[0], kind.as_pointer())
        return builder.call(function, list(args[1:]))

    return signature, codegen
