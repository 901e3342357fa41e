"""The examples of docs/keras3_door.md run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from models.door.conftest import ROOT


def test_the_examples_of_the_page_run(tmp_path: Path, plain_python: Callable[[str], str]) -> None:
    text = (ROOT / "docs" / "keras3_door.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    model = "import keras; i = keras.Input((4,)); keras.Model(i, keras.layers.Dense(2)(i)).save('model.keras')\n"
    for before, block in zip((model, ""), blocks, strict=True):
        plain_python(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{before}{block}")
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras", "smaller.keras", "mine.keras", "back.keras"}
