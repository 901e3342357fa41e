"""Arguments as JSON come back as they were; what a file writes in their place is numbers, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.models.door.template import filled, taken_apart


def is_symbolic(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("t")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"])
def test_arguments_come_back(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    template, tensors = taken_apart([("t1", 2.0), {"key": slice(1, None), "more": [..., "t2"]}, array], is_symbolic)
    assert tensors == ["t1", "t2"]
    *plain, again = filled(template, ["new1", "new2"])
    assert plain == [("new1", 2.0), {"key": slice(1, None), "more": [..., "new2"]}]
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


@pytest.mark.parametrize("dtype", ["U2000000000", "O", "V8", "datetime64[s]", ["f4"]])
def test_an_array_is_of_numbers(dtype: Any) -> None:
    with pytest.raises(UserError, match="contain an array of"):
        filled({"array": [1], "dtype": dtype, "shape": [1]}, [])
