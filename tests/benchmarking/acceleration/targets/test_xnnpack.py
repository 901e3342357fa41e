"""The rules for XNNPACK against XNNPACK itself, which tells here what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarking.acceleration.operator_samples import many, operator, tensor
from exporting.tflite_samples import converted, sample

from tfday7.benchmarking.acceleration import TARGETS, Judgement
from tfday7.benchmarking.acceleration.targets import xnnpack
from tfday7.benchmarking.acceleration.targets.xnnpack_here import taken_nodes
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.exporting.tflite_file import read


def judged(target: str, content: bytes, folder: Path) -> Judgement:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return TARGETS.get(target)(path, read(path))


def taken(found: Judgement) -> list[tuple[int, int, str]]:
    return [(verdict.subgraph, verdict.index, verdict.op) for verdict in found.accelerated]


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_the_rules_say_what_is_taken_of_forty_operators(kind: str, tmp_path: Path) -> None:
    content = many(kind)
    by_rule, here = judged("xnnpack", content, tmp_path), judged("xnnpack_here", content, tmp_path)
    assert taken(by_rule) == taken(here)
    assert len({verdict.op for verdict in here.accelerated}) > 15
    assert len({verdict.op for verdict in here.not_accelerated}) > 10
    assert (by_rule.measured, here.measured) == (False, True)
    assert "reason.not_taken" not in here.by_reason()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("conv", "float32"),
        ("conv", "int8"),
        ("conv", "float16"),
        ("dense", "dynamic"),
        ("lstm", "int8"),
        ("gru", "float32"),
    ],
)
def test_the_rules_say_what_is_taken_of_models(name: str, kind: str, tmp_path: Path) -> None:
    content = sample(name, kind)
    assert taken(judged("xnnpack", content, tmp_path)) == taken(judged("xnnpack_here", content, tmp_path))


def test_an_int8_model_is_taken_whole_and_a_fused_lstm_is_not(tmp_path: Path) -> None:
    assert judged("xnnpack_here", sample("conv", "int8"), tmp_path).share_of_macs == 1.0
    found = judged("xnnpack_here", sample("lstm", "int8"), tmp_path)
    lstm = next(verdict for verdict in found.not_accelerated if verdict.op == "UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert lstm.reason is not None
    assert lstm.reason.text() == "XNNPACK has no UNIDIRECTIONAL_SEQUENCE_LSTM."
    assert found.share_of_macs == pytest.approx(2 * 8 / (2 * 8 + 6 * 4 * (4 * 8 + 8 * 8)))


def test_depthwise_weights_of_int8_beside_float_activations_have_no_kernel(tmp_path: Path) -> None:
    from benchmarking.acceleration.operator_samples import weights

    spec = tf.TensorSpec((1, 4, 4, 128), tf.float32, name="input")  # 3 * 3 * 128 elements: enough to be quantized.
    content = converted(
        lambda x: {"output": tf.nn.depthwise_conv2d(x, weights(3, 3, 128, 1), (1, 1, 1, 1), "SAME")}, spec, "dynamic"
    )
    assert taken_nodes(content) == set()
    (verdict,) = judged("xnnpack", content, tmp_path).not_accelerated
    assert verdict.reason is not None
    assert verdict.reason.id == "reason.dynamic_range"


def test_flex_operators_are_named_and_cannot_be_measured(tmp_path: Path) -> None:
    spec = tf.TensorSpec((1, 4), tf.float32, name="input")
    content = converted(lambda x: {"output": tf.math.erf(x)}, spec)
    (verdict,) = judged("xnnpack", content, tmp_path).not_accelerated
    assert verdict.reason is not None
    assert verdict.reason.id == "reason.flex"
    with pytest.raises(UserError, match="LiteRT cannot load it"):
        judged("xnnpack_here", content, tmp_path)


def test_conditions_beside_the_type_have_reasons_of_their_own() -> None:
    given, made = tensor(0, (1, 4)), tensor(1, (1, 4))
    computed = operator("FULLY_CONNECTED", [given, tensor(2, (4, 4))], [made])
    fused = operator("ADD", [given, given], [made], fusedActivationFunction=4)
    open_batch = operator("ADD", [tensor(0, (1, 4), signature=(-1, 4)), given], [made])
    softer = operator("SOFTMAX", [given], [made], beta=2.0)
    reasons = [xnnpack.rule(entry) for entry in (computed, fused, open_batch, softer)]
    assert [found.id if found else None for found in reasons] == [
        "reason.not_constant", "reason.activation", "reason.open_size", "reason.option",
    ]  # fmt: skip
    assert "TANH" in reasons[1].text() if reasons[1] else False
    assert "beta=2" in reasons[3].text() if reasons[3] else False
