"""Every layer that both Kerases have goes in and comes back with the same outputs, compared with Keras 3's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from tfday7.core.frameworks import keras3

IMAGE, SEQUENCE, VOLUME = (8, 8, 3), (6, 4), (4, 4, 4, 2)


def application_layer(module: str, name: str) -> Any:
    """Returns a class that keras.applications defines for itself."""
    return getattr(importlib.import_module(f"keras.src.applications.{module}"), name)


# Name of the test -> (maker of the layer, input shape[, dtype]). The outputs must be the same bits.
SAME_BITS: dict[str, tuple[Any, ...]] = {
    "dense": (lambda n: n.Dense(3, activation="relu"), SEQUENCE),
    "conv2d": (lambda n: n.Conv2D(4, 3, strides=2, activation="gelu"), IMAGE),
    "conv2d grouped": (lambda n: n.Conv2D(6, 3, groups=3), IMAGE),
    "conv2d dilated": (lambda n: n.Conv2D(4, 3, dilation_rate=2, padding="same"), IMAGE),
    "conv1d causal": (lambda n: n.Conv1D(3, 2, padding="causal"), SEQUENCE),
    "conv3d": (lambda n: n.Conv3D(2, 2), VOLUME),
    "conv1d transposed": (lambda n: n.Conv1DTranspose(2, 3, strides=2), SEQUENCE),
    "conv2d transposed": (lambda n: n.Conv2DTranspose(3, 3, strides=2, padding="same"), IMAGE),
    "conv2d transposed, output padding": (lambda n: n.Conv2DTranspose(2, 3, strides=2, output_padding=1), IMAGE),
    "conv3d transposed": (lambda n: n.Conv3DTranspose(2, 3, strides=2, padding="same"), VOLUME),
    "depthwise1d": (lambda n: n.DepthwiseConv1D(3), SEQUENCE),
    "depthwise2d": (lambda n: n.DepthwiseConv2D(3, padding="same", depth_multiplier=2), IMAGE),
    "separable1d": (lambda n: n.SeparableConv1D(2, 3), SEQUENCE),
    "separable2d": (lambda n: n.SeparableConv2D(3, 2, depth_multiplier=2), IMAGE),
    "einsum dense": (lambda n: n.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d"), SEQUENCE),
    "batch normalization": (lambda n: n.BatchNormalization(), IMAGE),
    "batch normalization, axis 1": (lambda n: n.BatchNormalization(axis=1, scale=False), IMAGE),
    "group normalization": (lambda n: n.GroupNormalization(3), IMAGE),
    "unit normalization": (lambda n: n.UnitNormalization(), SEQUENCE),
    "spectral normalization": (lambda n: n.SpectralNormalization(n.Dense(3)), SEQUENCE),
    "RMS normalization": (lambda n: n.RMSNormalization(), SEQUENCE),
    "normalization with given statistics": (lambda n: n.Normalization(mean=[1.0, 2, 3], variance=[1.0, 2, 3]), IMAGE),
    "normalization, adapted": (lambda n: n.Normalization(), IMAGE),
    "rescaling": (lambda n: n.Rescaling([1.0, 2, 3], [0.0, 1, 0]), IMAGE),
    "max pooling": (lambda n: n.MaxPooling2D(padding="same"), IMAGE),
    "average pooling": (lambda n: n.AveragePooling2D(3, 2, padding="same"), IMAGE),
    "pooling 1d": (lambda n: n.AveragePooling1D(2), SEQUENCE),
    "pooling 3d": (lambda n: n.MaxPooling3D(), VOLUME),
    "adaptive pooling": (lambda n: n.AdaptiveAveragePooling2D(2), IMAGE),
    "global average": (lambda n: n.GlobalAveragePooling2D(keepdims=True), IMAGE),
    "global max": (lambda n: n.GlobalMaxPooling1D(), SEQUENCE),
    "relu": (lambda n: n.ReLU(6.0, 0.1), IMAGE),
    "leaky relu": (lambda n: n.LeakyReLU(0.2), IMAGE),
    "elu": (lambda n: n.ELU(0.7), IMAGE),
    "prelu": (lambda n: n.PReLU(shared_axes=[1]), SEQUENCE),
    "softmax": (lambda n: n.Softmax(axis=1), SEQUENCE),
    "activation": (lambda n: n.Activation("hard_silu"), IMAGE),
    "dropout": (lambda n: n.SpatialDropout2D(0.5), IMAGE),
    "noise": (lambda n: n.GaussianNoise(0.5), SEQUENCE),
    "activity regularization": (lambda n: n.ActivityRegularization(l2=0.1), SEQUENCE),
    "flatten": (lambda n: n.Flatten(), IMAGE),
    "reshape": (lambda n: n.Reshape((-1, 2)), SEQUENCE),
    "permute": (lambda n: n.Permute((2, 1)), SEQUENCE),
    "repeat": (lambda n: n.RepeatVector(3), (4,)),
    "cropping": (lambda n: n.Cropping2D(((1, 2), (0, 1))), IMAGE),
    "zero padding": (lambda n: n.ZeroPadding2D(((1, 2), (0, 1))), IMAGE),
    "upsampling": (lambda n: n.UpSampling2D(interpolation="bilinear"), IMAGE),
    "resizing": (lambda n: n.Resizing(5, 6), IMAGE),
    "resizing, antialiased": (lambda n: n.Resizing(5, 6, antialias=True), IMAGE),
    "center crop": (lambda n: n.CenterCrop(4, 4), IMAGE),
    "random flip": (lambda n: n.RandomFlip(), IMAGE),
    "random rotation": (lambda n: n.RandomRotation(0.1), IMAGE),
    "random contrast": (lambda n: n.RandomContrast(0.1), IMAGE),
    "random hue, of Keras 3 only": (lambda n: n.RandomHue(0.1, value_range=(0, 1)), IMAGE),
    "embedding": (lambda n: n.Embedding(5, 3), (6,), "int32"),
    "category encoding": (lambda n: n.CategoryEncoding(5), (4,), "int32"),
    "discretization": (lambda n: n.Discretization([0.0, 1.0]), (4,)),
    "lstm": (lambda n: n.LSTM(4, return_sequences=True, return_state=True), SEQUENCE),
    "gru": (lambda n: n.GRU(4, reset_after=False), SEQUENCE),
    "bidirectional": (lambda n: n.Bidirectional(n.LSTM(3, return_sequences=True), merge_mode="sum"), SEQUENCE),
    "bidirectional, unlike halves": (
        lambda n: n.Bidirectional(n.GRU(3), backward_layer=n.GRU(3, go_backwards=True, activation="relu")),
        SEQUENCE,
    ),
    "time distributed": (lambda n: n.TimeDistributed(n.Dense(3)), SEQUENCE),
    "attention": (lambda n: lambda x: n.Attention(use_scale=True)([x, x]), SEQUENCE),
    "additive attention": (lambda n: lambda x: n.AdditiveAttention()([x, x]), SEQUENCE),
    "attention scores": (lambda n: lambda x: n.MultiHeadAttention(2, 2)(x, x, return_attention_scores=True), SEQUENCE),
    "layer scale of ConvNeXt": (lambda n: application_layer("convnext", "LayerScale")(1e-6, 3), IMAGE),
    "stochastic depth of ConvNeXt": (lambda n: application_layer("convnext", "StochasticDepth")(0.5), IMAGE),
    "scaled addition of Inception-ResNet": (
        lambda n: lambda x: application_layer("inception_resnet_v2", "CustomScaleLayer")(0.2)([x, x]),
        IMAGE,
    ),
    "an initializer with a layer's name": (lambda n: n.Dense(4, kernel_initializer="identity"), (4,)),
    "grouped query attention": (lambda n: lambda x: n.GroupQueryAttention(4, 4, 2)(x, x), SEQUENCE),
}

# The two Kerases add or scale in another order here; 1e-6 of outputs around 1.
SAME_BUT_ROUNDING: dict[str, tuple[Any, ...]] = {
    "layer normalization": (lambda n: n.LayerNormalization(), SEQUENCE),
    "layer normalization over two axes": (lambda n: n.LayerNormalization(axis=[1, 2]), SEQUENCE),
    "simple rnn": (lambda n: n.SimpleRNN(3), SEQUENCE),
    "cells": (lambda n: n.RNN([n.GRUCell(3), n.LSTMCell(2)]), SEQUENCE),
    "convolutional lstm": (lambda n: n.ConvLSTM1D(2, 3), (3, 6, 2)),
    "recurrent dropout": (lambda n: n.GRU(3, dropout=0.1, recurrent_dropout=0.1), SEQUENCE),
    "multi-head attention": (lambda n: lambda x: n.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True), SEQUENCE),
}


@pytest.mark.parametrize("name", SAME_BITS)
def test_a_layer_goes_in_and_out_with_the_same_bits(
    name: str, both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    make, shape, *dtype = SAME_BITS[name]
    trip = both_ways(functional(make(keras3.layers), shape, dtype=dtype[0] if dtype else "float32"))
    assert (trip.gap_in, trip.gap_out) == (0, 0)


@pytest.mark.parametrize("name", SAME_BUT_ROUNDING)
def test_a_layer_whose_additions_are_ordered_otherwise_differs_by_rounding_only(
    name: str, both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    make, shape = SAME_BUT_ROUNDING[name]
    trip = both_ways(functional(make(keras3.layers), shape))
    assert trip.gap_in < 2e-6
    assert trip.gap_out == 0


ACTIVATIONS = (
    *("elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "log_softmax"),
    *("mish", "relu6", "selu", "silu", "softplus", "tanh"),
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_inside_a_layer_is_the_same_function(
    name: str, both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    trip = both_ways(functional(keras3.layers.Dense(4, activation=name), (4,)))
    assert (trip.gap_in, trip.gap_out) == (0, 0)
