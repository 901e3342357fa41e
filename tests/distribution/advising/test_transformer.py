"""The sizes of a transformer from its number of parameters, and its activations by the published formula."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.distribution.advising.transformer import TOLERANCE, Transformer, derive


def test_activations_are_those_of_the_paper() -> None:
    sizes = Transformer(layers=2, hidden_size=64, attention_heads=4, sequence_length=8)
    assert sizes.activation_bytes() == 2 * 8 * 64 * (34 + 5 * 4 * 8 / 64)
    assert sizes.activation_bytes(half=False) == 2 * sizes.activation_bytes()
    assert sizes.activation_bytes(4) == 2 * 8 * 64 * (10 + 24 / 4 + 5 * 4 * 8 / (64 * 4))
    assert sizes.share_kept(4) == (10 + 6 + 0.625) / (34 + 2.5)


def test_the_models_of_the_paper_keep_what_it_says() -> None:
    """Korthikanti et al., 2022, section 5: 5 a s / h is 80 for GPT-3 and 64 for MT-NLG, beside 34."""
    gpt3 = Transformer(layers=96, hidden_size=12288, attention_heads=96, sequence_length=2048)
    assert gpt3.activation_bytes() == 96 * 2048 * 12288 * (34 + 80)
    assert gpt3.layer_weights == pytest.approx(175e9, rel=0.01)
    mt_nlg = Transformer(layers=105, hidden_size=20480, attention_heads=128, sequence_length=2048)
    assert mt_nlg.activation_bytes() == 105 * 2048 * 20480 * (34 + 64)
    assert mt_nlg.layer_weights == pytest.approx(530e9, rel=0.01)


def test_four_exchanges_of_a_layer() -> None:
    sizes = Transformer(layers=3, hidden_size=64, attention_heads=4, sequence_length=8)
    assert sizes.exchanged_bytes(half=True) == 3 * 4 * (8 * 64) * 2
    assert sizes.exchanged_bytes(half=False) == 3 * 4 * (8 * 64) * 4


def test_sizes_of_seven_billion_are_near_those_that_people_train() -> None:
    sizes = derive(7_000_000_000, 512, None, None, None)
    assert (sizes.layers, sizes.hidden_size, sizes.attention_heads) == (34, 4096, 32)  # LLaMA: 32 layers of 4096.


def test_what_is_given_is_kept_and_the_rest_follows() -> None:
    assert derive(12 * 3 * 256**2, 8, 3, None, None).hidden_size == 256
    assert derive(12 * 3 * 256**2 + 5000, 8, None, 256, None).layers == 3
    sizes = derive(12 * 3 * 256**2, 8, 3, None, 10)
    assert (sizes.attention_heads, sizes.hidden_size) == (10, 250)


@hypothesis.given(st.integers(1, 10**12))
def test_derived_sizes_never_make_more_weights_than_there_are(parameters: int) -> None:
    try:
        sizes = derive(parameters, 8, None, None, None)
    except UserError:
        assert parameters < 12  # Not one layer of one unit.
        return
    assert sizes.layer_weights <= TOLERANCE * parameters
    assert sizes.hidden_size % sizes.attention_heads == 0


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((None, 100, 3), "--attention_heads=3 does not divide --hidden_size=100"),
        ((10, 100, None), "--layers=10 and --hidden_size=100 make 1,200,000 weights"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        derive(1_000_000, 8, *sizes)
