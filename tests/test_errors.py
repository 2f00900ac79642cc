"""The errors of the public functions, one call each, and the page that lists them."""

from __future__ import annotations

import inspect
import warnings

import pytest
from errors import PAGE, cases, names, page
from surface import public_callables

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_call_raises_the_error(case, request):
    if case.function.startswith("plotting"):
        pytest.importorskip("matplotlib", reason="needs matplotlib")
        request.getfixturevalue("closed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as raised:  # noqa: PT011 - compared below
            eval(case.call, names())
    assert type(raised.value).__name__ == case.error
    assert case.matches(str(raised.value)), str(raised.value)


def test_the_page_is_that_of_the_cases():
    """Write it again by ``python tests/errors.py --write``."""
    assert page() == PAGE.read_text()


def test_every_function_that_documents_errors_has_a_case():
    documented = {
        name
        for name, value in public_callables()
        if "\nRaises\n------" in (inspect.getdoc(value) or "")
    }
    # they fail without the network, or without skl2onnx, and not by an argument
    documented -= {"datasets.fetch_credit_card_fraud", "export.register_onnx"}
    covered = {case.function for case in CASES}
    assert len(CASES) > 250
    assert covered <= {name for name, _ in public_callables()}
    assert documented - covered == set()
