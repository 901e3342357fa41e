"""Arguments that a careless writer of YAML or shell scripts would break."""

from __future__ import annotations

import pytest


@pytest.fixture
def hostile() -> list[str]:
    """Returns what training may be given: quotes, expansions, line ends, and what YAML takes for something else."""
    return [
        "--data=digits", "--a=two words", "--b='single' \"double\"", "--c=line\nline\r\n\ttab", "--d=$(touch pwned)",
        "--e=`touch pwned`; touch pwned & | > pwned < #", "--f=$HOME ${HOME} $$ $$$(HOME) $", "--g=\\n \\ \\\\",
        "--h=*?[a]{b,c}~!", "--i=深度 é 😀 \u2028 \x85 \x7f \x01", "1e3", "0o17", "yes", "null", "2026-01-01",
        "- x: y", "", " ", "--j=%s %d {x}", "#SBATCH --nodes=9", "\n#SBATCH --nodes=9\n", "'", '"',
        "!!python/object:os.system", "EOF", "--k=a,b", "@x", "|",
    ]  # fmt: skip
