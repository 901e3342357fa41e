"""Where each sentence of advice on distribution comes from. What we measured names its command."""

from __future__ import annotations

from tfday7.core.texts import text

ACTIVATIONS = "Korthikanti et al., 2022, arXiv:2205.05198, section 4, table 2"
ALL_REDUCE = "Patarasuk & Yuan, 2009, Bandwidth optimal all-reduce algorithms, JPDC 69:117"
DATA_PARALLEL = "Goyal et al., 2017, arXiv:1706.02677, section 4"
INSIDE = "Narayanan et al., 2021, arXiv:2104.04473, section 3.2, takeaway 1"
MEGATRON = "Shoeybi et al., 2019, arXiv:1909.08053, section 3"
MIXED = "Micikevicius et al., 2018, arXiv:1710.03740, section 3.1"
OPERATIONS = "Kaplan et al., 2020, arXiv:2001.08361, section 2.1"
RATES = "Narayanan et al., 2021, arXiv:2104.04473, table 1; Chowdhery et al., 2022, arXiv:2204.02311, section 4.1"
SIZES = "Brown et al., 2020, arXiv:2005.14165, table 2.1"
STATE = "Rajbhandari et al., 2020, arXiv:1910.02054, section 3.1"
# Our own.
DOCS = "docs/distribution_advice.md"
OPTIMIZERS = "docs/optimizers.md"
TESTED = "tests/distribution/advising/test_weights.py"
KEPT = "tests/distribution/advising/test_measuring.py"
ARITHMETIC, MEASURED, RULE = (
    "{arithmetic}",
    "{measured}",
    "{rule}",
)  # In words, which `of` puts in the reader's language.

SOURCES: dict[str, tuple[str, ...]] = {
    "why.one_device": (ARITHMETIC,),
    "why.alone": (ARITHMETIC,),
    "why.data": (DATA_PARALLEL, ARITHMETIC),
    "why.not_whole": (ARITHMETIC,),
    "why.batch": (ARITHMETIC,),
    "why.split": (MEGATRON,),
    "why.hybrid": (MEGATRON, INSIDE),
    "why.inside": (INSIDE,),
    "why.binds": (ARITHMETIC,),
    "why.replicated": (STATE,),
    "accumulate.none": (ARITHMETIC,),
    "accumulate.steps": (ARITHMETIC,),
    "accumulate.example": (ARITHMETIC,),
    "accumulate.unknown": (RULE,),
    "accumulate.loops": (RULE,),
    "left_out.tpu": (DOCS,),
    "left_out.kind": (MEGATRON,),
    "left_out.refused": (DOCS,),
    "left_out.heads": (MEGATRON,),
    "left_out.batch": (ARITHMETIC,),
    "left_out.optimizer": (OPTIMIZERS,),
    "left_out.float16": (RULE,),
    "relax.optimizer": (ARITHMETIC,),
    "relax.devices": (MEGATRON, ARITHMETIC),
    "relax.precision": (MIXED, ARITHMETIC),
    "relax.sequence": (ACTIVATIONS, ARITHMETIC),
    "relax.together": (ARITHMETIC,),
    "relax.memory": (ARITHMETIC,),
    "formula.weights": (MIXED,),
    "formula.casts": (MIXED, KEPT),
    "formula.accumulated": (RULE,),
    "formula.optimizer": (TESTED,),
    "formula.activations.formula": (ACTIVATIONS,),
    "formula.activations.kept": (MEASURED,),
    "formula.activations.layer_outputs": (MEASURED,),
    "formula.activations.split": (ACTIVATIONS,),
    "formula.activations.whole": (RULE,),
    "formula.reserve": (RULE,),
    "formula.compute.words": (OPERATIONS,),
    "formula.compute.layers": (MEASURED,),
    "formula.utilization": (RATES,),
    "formula.ring": (ALL_REDUCE,),
    "formula.tensor.megatron": (MEGATRON,),
    "formula.tensor.layers": (MEASURED,),
    "formula.efficiency": (RULE,),
    "note.sizes": (SIZES,),
    "note.no_rate": (RULE,),
    "note.no_flops": (RULE,),
    "note.no_link": (RULE,),
    "note.no_network": (RULE,),
    "note.faster": (ARITHMETIC,),
    "note.slow_links": (ARITHMETIC,),
    "note.machines": (DOCS,),
    "note.batch": (ARITHMETIC,),
}


def of(identifier: str, lang: str) -> str:
    """Returns the sources of a sentence in one line, in "en" or "zh"."""
    separator = text("distribution.label.source_separator", lang)
    return separator.join(_spoken(source, lang) for source in SOURCES[identifier])


def _spoken(source: str, lang: str) -> str:
    return text(f"distribution.source.{source[1:-1]}", lang) if source.startswith("{") else source
