"""What holds of every registered architecture, on every kind of data."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import ModelConfig, building
from tfday7.models.architecture import ARCHITECTURES

SHAPES = {"tabular": (5,), "array": (6, 5, 2, 1), "image": (8, 8, 1), "series": (6, 5), "text": (6,)}
FITTING = {
    "tabular": "linear, mlp",
    "array": "linear, mlp",
    "image": "cnn, ds_cnn, linear, mlp, mobilenet_v2, resnet8",
    "series": "ds_cnn, gru, linear, lstm, mlp",
    "text": "gru, linear, lstm, mlp, transformer",
}
SMALL = {"width": 4, "depth": 2}
TYPICAL = [  # Every architecture whose layers the flags scale, on data that it is meant for.
    ("mlp", "tabular"), ("cnn", "image"), ("resnet8", "image"), ("ds_cnn", "image"), ("ds_cnn", "series"),
    ("mobilenet_v2", "image"), ("lstm", "series"), ("lstm", "text"), ("gru", "text"), ("transformer", "text"),
]  # fmt: skip


def _problem(kind: str, task: str = "classification") -> Problem:
    shape = SHAPES[kind]
    statistics = {}
    if kind == "text":
        statistics["vocabulary"] = ("[padding]", "[unknown]", *"abcdefg")
    if kind in ("tabular", "series"):
        statistics |= {"feature_mean": np.arange(5, dtype=np.float32), "feature_std": np.full(5, 2, np.float32)}
    if task == "regression":
        statistics |= {"target_mean": np.array([3.0, 70.0], np.float32), "target_std": np.array([0.5, 9.0], np.float32)}
        return Problem(task, kind, shape, 2, **statistics)
    return Problem(task, kind, shape, 3, ("a", "b", "c"), **statistics)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("kind", sorted(SHAPES))
@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_an_architecture_builds_or_lists_those_that_fit(name: str, kind: str, task: str) -> None:
    problem, config = _problem(kind, task), ModelConfig(model=name, **({} if name == "linear" else SMALL))
    if ARCHITECTURES.get(name).task:
        with pytest.raises(UserError, match=f"--task={task} contradicts --model={name}"):
            building.check(config, problem)
        return
    kinds = ARCHITECTURES.get(name).kinds
    if kinds and kind not in kinds:
        with pytest.raises(UserError, match=rf"--model={name} takes .* data.*\({kind}\)") as caught:
            building.check(config, problem)
        assert caught.value.hint == f"models for such data: {FITTING[kind]}"
        assert name not in FITTING[kind].split(", ")
        return
    model = building.build(config, problem)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4, *problem.input_shape)).astype(np.float32)
    if kind == "text":
        x = generator.integers(0, len(problem.vocabulary), (4, *problem.input_shape)).astype(np.int32)
    y = model(x).numpy()
    assert y.shape == (4, problem.outputs)
    assert np.isfinite(y).all()
    if task == "regression":
        inner = keras.Model(model.input, model.get_layer("standardized_output").output)
        np.testing.assert_allclose(y, inner(x).numpy() * problem.target_std + problem.target_mean, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("name", "kind"), TYPICAL)
def test_under_a_mixed_policy_both_ends_are_float32_and_variables_too(name: str, kind: str, policy: str) -> None:
    model = building.build(ModelConfig(model=name, **SMALL), _problem(kind), policy)
    assert model.layers[-1].compute_dtype == "float32"
    assert model.output.dtype == "float32"
    assert {variable.dtype.name for variable in model.weights} <= {"float32", "int64"}
    half = policy.removeprefix("mixed_")
    inner = ("hidden", "conv", "stack", "stem", "block", "lstm", "gru")
    assert {layer.compute_dtype for layer in model.layers if layer.name.startswith(inner)} == {half}
    assert keras.mixed_precision.global_policy().name == "float32"  # As it was before.


@pytest.mark.parametrize(("name", "kind"), TYPICAL)
def test_l2_is_on_every_kernel_but_the_last(name: str, kind: str) -> None:
    model = building.build(ModelConfig(model=name, l2=0.01, **SMALL), _problem(kind))
    names = ("/kernel:0", "/depthwise_kernel:0")  # What recurrent layers multiply their states by is not punished.
    kernels = [weight.numpy() for weight in model.weights if weight.name.endswith(names)]
    expected = 0.01 * sum(float(np.sum(kernel.astype(np.float64) ** 2)) for kernel in kernels[:-1])
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert not building.build(ModelConfig(model=name, **SMALL), _problem(kind)).losses


@pytest.mark.parametrize(("name", "kind"), TYPICAL)
def test_dropout_is_there_when_asked_for(name: str, kind: str) -> None:
    def rates(dropout: float) -> list[float]:
        model = building.build(ModelConfig(model=name, dropout=dropout, **SMALL), _problem(kind))
        return [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]

    assert rates(0.0) == []
    assert set(rates(0.3)) == {0.3}
