"""Every optimizer by name: on toy problems, and single steps against NumPy."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.optimizers import OptimizerConfig, catalog, state, tfa

# Name -> learning rate with which 200 steps solve both toy problems.
RATES = {
    "adabelief": 0.1, "adadelta": 50.0, "adafactor": 0.1, "adagrad": 1.0, "adam": 0.1, "adamax": 0.2, "adamw": 0.1,
    "ftrl": 2.0, "lamb": 0.03, "lars": 10.0, "lion": 0.02, "lookahead": 0.2, "muon": 0.1, "nadam": 0.1,
    "novograd": 0.02, "radam": 0.1, "rmsprop": 0.05, "schedule_free_adamw": 0.5, "sgd": 0.1, "yogi": 0.2,
    "tfa_adabelief": 0.1, "tfa_lamb": 0.03, "tfa_novograd": 0.02, "tfa_radam": 0.1, "tfa_yogi": 0.2,
}  # fmt: skip
HERE = [name for name in sorted(RATES) if not name.startswith("tfa_") or tfa.is_installed()]
DECAYING = [name for name in HERE if "weight_decay" in catalog.OPTIMIZERS[name].takes]


def _layer(kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    """A model of one Dense layer with these weights."""
    inputs = keras.Input((kernel.shape[0],))
    layer = keras.layers.Dense(kernel.shape[1])
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel, bias])
    return model


def _config(name: str, learning_rate: float, weight_decay: float | None) -> OptimizerConfig:
    """These settings, without a decay for those that have none."""
    decay = weight_decay if name in DECAYING else None
    return OptimizerConfig(optimizer=name, learning_rate=learning_rate, weight_decay=decay)


def _step(optimizer: keras.optimizers.Optimizer, model: keras.Model, *gradients: np.ndarray) -> list[np.ndarray]:
    optimizer.apply_gradients(zip(map(tf.constant, gradients), model.trainable_variables, strict=True))
    return model.get_weights()


KERNEL = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
BIAS = np.array([0.25, -4.0], np.float32)
GRADIENTS = [np.array([[3.0, 0.0], [0.0, -4.0]], np.float32), np.array([0.0, 12.0], np.float32)]
NOTHING = [np.zeros((2, 2), np.float32), np.zeros(2, np.float32)]


def test_the_table_holds_every_optimizer_of_tf_keras() -> None:
    classes = {
        name
        for name, member in inspect.getmembers(keras.optimizers, inspect.isclass)
        if issubclass(member, keras.optimizers.Optimizer) and name != "Optimizer"
    }
    specs = catalog.OPTIMIZERS.values()  # But for two that are wrong there, as their rules say.
    assert {spec.class_name for spec in specs if spec.origin == "tf_keras"} == classes - {"Adafactor", "Nadam"}
    assert {name.lower() for name in classes} <= set(catalog.OPTIMIZERS)
    assert set(RATES) == set(catalog.OPTIMIZERS)


@pytest.mark.parametrize("name", HERE)
def test_a_quadratic_is_minimized(name: str) -> None:
    """f(w) = (w - t)' diag(1, 3) (w - t) / 2 from 5.0 or more at the start to below 0.05."""
    target, curvature = tf.constant([[2.0], [-1.0]]), tf.constant([[1.0], [3.0]])
    model = _layer(np.array([[0.0], [1.0]], np.float32), np.zeros(1, np.float32))
    variable = model.trainable_variables[0]
    optimizer = catalog.build(_config(name, RATES[name], 0.0), 200, model)

    @tf.function
    def loss_after(steps: int) -> tf.Tensor:
        for _ in tf.range(steps):
            optimizer.apply_gradients([(curvature * (variable - target), variable)])
        return 0.5 * tf.reduce_sum(curvature * (variable - target) ** 2)

    assert float(0.5 * tf.reduce_sum(curvature * (variable - target) ** 2)) == 0.5 * (1 * 2**2 + 3 * 2**2)
    state.build(optimizer, [variable])
    assert float(loss_after(200)) < 0.05


@pytest.mark.parametrize("name", HERE)
def test_a_logistic_regression_is_fitted(name: str) -> None:
    """From log 2 = 0.693 to below 0.12; the Bayes loss of these two clouds is about 0.01."""
    generator = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], 100).astype(np.float32)[:, np.newaxis]
    x = (generator.normal(size=(200, 2)) + np.array([3.0, -2.0]) * (2 * y - 1)).astype(np.float32)
    model = _layer(np.zeros((2, 1), np.float32), np.zeros(1, np.float32))
    model.compile(
        catalog.build(_config(name, RATES[name], 0.0), 200, model), keras.losses.BinaryCrossentropy(from_logits=True)
    )
    assert model.evaluate(x, y, verbose=0) == pytest.approx(np.log(2))
    model.fit(x, y, batch_size=200, epochs=200, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.12


def test_two_steps_of_sgd_are_heavy_ball_momentum() -> None:
    model = _layer(KERNEL, BIAS)
    optimizer = catalog.build(OptimizerConfig(optimizer="sgd", learning_rate=0.1), 10, model)
    expected, velocity = KERNEL.astype(np.float64), np.zeros((2, 2))
    for _ in range(2):
        velocity = 0.9 * velocity - 0.1 * GRADIENTS[0]
        expected = expected + velocity
        kernel, _ = _step(optimizer, model, *GRADIENTS)
    np.testing.assert_allclose(kernel, expected, rtol=1e-6)


def test_three_steps_of_adam_are_the_papers() -> None:
    model = _layer(KERNEL, BIAS)
    optimizer = catalog.build(OptimizerConfig(optimizer="adam", learning_rate=0.01), 10, model)
    expected, first, second = KERNEL.astype(np.float64), 0.0, 0.0
    for step in range(1, 4):
        gradient = GRADIENTS[0].astype(np.float64) * step
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
        expected = expected - 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-7)
        kernel, _ = _step(optimizer, model, gradient.astype(np.float32), GRADIENTS[1])
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_decoupled_weight_decay_shrinks_kernels_and_spares_vectors(name: str) -> None:
    model = _layer(KERNEL, BIAS)
    config = OptimizerConfig(optimizer=name, learning_rate=0.1, weight_decay=0.5)
    kernel, bias = _step(catalog.build(config, 10, model), model, *NOTHING)
    np.testing.assert_allclose(kernel, KERNEL * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(bias, BIAS)


def test_weight_decay_is_added_to_the_step_not_to_the_gradient() -> None:
    model = _layer(KERNEL, BIAS)
    config = OptimizerConfig(optimizer="sgd", learning_rate=0.1, weight_decay=0.5)
    kernel, bias = _step(catalog.build(config, 10, model), model, *GRADIENTS)
    np.testing.assert_allclose(kernel, KERNEL * (1 - 0.1 * 0.5) - 0.1 * GRADIENTS[0], rtol=1e-6)
    np.testing.assert_allclose(bias, BIAS - 0.1 * GRADIENTS[1], rtol=1e-6)


def test_weight_decay_follows_the_schedule() -> None:
    model = _layer(KERNEL, BIAS)
    config = OptimizerConfig(optimizer="sgd", learning_rate=0.1, weight_decay=0.5, warmup_steps=4)
    kernel, _ = _step(catalog.build(config, 10, model), model, *NOTHING)
    np.testing.assert_allclose(kernel, KERNEL * (1 - 0.1 / 4 * 0.5), rtol=1e-6)


@pytest.mark.parametrize("name", DECAYING)
def test_weight_decay_works_with_every_optimizer_and_zero_switches_it_off(name: str) -> None:
    def stepped(decay: float | None) -> list[np.ndarray]:
        model = _layer(KERNEL, BIAS)
        config = _config(name, 0.01, decay)
        return _step(catalog.build(config, 10, model), model, *GRADIENTS)

    (plain, plain_bias), (decayed, decayed_bias) = stepped(0.0), stepped(0.1)
    assert not np.array_equal(plain, decayed)
    np.testing.assert_array_equal(plain_bias, decayed_bias)
    if name != "adamw":  # Only AdamW decays by itself.
        np.testing.assert_array_equal(plain, stepped(None)[0])
    else:
        np.testing.assert_allclose(stepped(None)[0], plain - 0.01 * 0.004 * KERNEL, rtol=1e-5)


@pytest.mark.parametrize(("limit", "factor"), [(6.5, 0.5), (13.0, 1.0), (100.0, 1.0), (1.3, 0.1)])
def test_all_gradients_are_scaled_together(limit: float, factor: float) -> None:
    """Their common norm is sqrt(3² + 4² + 12²) = 13."""
    model = _layer(KERNEL, BIAS)
    config = OptimizerConfig(optimizer="sgd", learning_rate=0.1, global_clipnorm=limit)
    kernel, bias = _step(catalog.build(config, 10, model), model, *GRADIENTS)
    np.testing.assert_allclose(kernel, KERNEL - 0.1 * factor * GRADIENTS[0], rtol=1e-5)
    np.testing.assert_allclose(bias, BIAS - 0.1 * factor * GRADIENTS[1], rtol=1e-5)


@pytest.mark.parametrize("name", HERE)
def test_without_a_rate_the_optimizers_own_is_taken(name: str) -> None:
    optimizer = catalog.build(OptimizerConfig(optimizer=name), 10, _layer(KERNEL, BIAS))
    assert float(optimizer.learning_rate) == pytest.approx(catalog.OPTIMIZERS[name].learning_rate)


@pytest.mark.parametrize(("schedule", "expected"), [("constant", 0.1), ("cosine", 0.05), ("linear", 0.05)])
def test_the_schedule_spans_the_run(schedule: str, expected: float) -> None:
    model = _layer(KERNEL, BIAS)
    optimizer = catalog.build(OptimizerConfig(optimizer="sgd", learning_rate=0.1, schedule=schedule), 8, model)
    for _ in range(5):  # `learning_rate` is that of the last step, which counts from 0: 4 of 8.
        _step(optimizer, model, *GRADIENTS)
    assert float(optimizer.learning_rate) == pytest.approx(expected)


def test_an_unknown_optimizer_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown optimizer 'adamm'") as caught:
        catalog.check(OptimizerConfig(optimizer="adamm"))
    assert caught.value.hint.startswith("did you mean adam? known: adabelief, adadelta, ")


def test_what_ftrl_undoes_is_said(caplog: pytest.LogCaptureFixture) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    catalog.build(OptimizerConfig(optimizer="ftrl"), 10, model)
    assert caplog.text == ""
    catalog.build(OptimizerConfig(optimizer="ftrl", weight_decay=0.1, lookahead_steps=5), 10, model)
    assert "--weight_decay=0.1 and --lookahead_steps=5: next to no effect with --optimizer=ftrl" in caplog.text
