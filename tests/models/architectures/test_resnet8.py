"""ResNet-8 as MLPerf Tiny has it, layer by layer."""

from __future__ import annotations

import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import ModelConfig, building

PROBLEM = Problem("classification", "image", (28, 28, 1), 10, tuple("0123456789"))
# (filters, kernel, strides, output side): a stem, then two convolutions a stack and 1x1 shortcuts where it halves.
CONVOLUTIONS = {
    "stem_conv": (16, 3, 1, 28),
    "stack_1_conv_1": (16, 3, 1, 28),
    "stack_1_conv_2": (16, 3, 1, 28),
    "stack_2_conv_1": (32, 3, 2, 14),
    "stack_2_conv_2": (32, 3, 1, 14),
    "stack_2_shortcut": (32, 1, 2, 14),
    "stack_3_conv_1": (64, 3, 2, 7),
    "stack_3_conv_2": (64, 3, 1, 7),
    "stack_3_shortcut": (64, 1, 2, 7),
}


def test_nine_convolutions_as_published() -> None:
    model = building.build(ModelConfig(model="resnet8"), PROBLEM)
    found = {
        layer.name: (layer.filters, layer.kernel_size[0], layer.strides[0], layer.output.shape[1])
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert found == CONVOLUTIONS
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("BatchNormalization") == 7  # After every 3x3 convolution, not on the shortcuts.
    assert kinds.count("Add") == 3
    assert kinds.count("ReLU") == 7
    assert kinds[-2:] == ["GlobalAveragePooling2D", "Dense"]


def test_it_has_78378_parameters() -> None:
    stem = 3 * 3 * 1 * 16 + 16
    stack_1 = 2 * (3 * 3 * 16 * 16 + 16)
    stack_2 = (3 * 3 * 16 * 32 + 32) + (3 * 3 * 32 * 32 + 32) + (16 * 32 + 32)
    stack_3 = (3 * 3 * 32 * 64 + 64) + (3 * 3 * 64 * 64 + 64) + (32 * 64 + 64)
    normalization = 4 * (16 + 2 * 16 + 2 * 32 + 2 * 64)
    logits = 64 * 10 + 10
    model = building.build(ModelConfig(model="resnet8"), PROBLEM)
    assert model.count_params() == stem + stack_1 + stack_2 + stack_3 + normalization + logits == 78_378


def test_the_shortcut_adds_the_blocks_input_to_its_output() -> None:
    model = building.build(ModelConfig(model="resnet8", width=4), PROBLEM)
    first = model.get_layer("stack_1_add").input
    assert [tensor.node.layer.name for tensor in first] == ["stack_1_2_norm", "stem_relu"]
    second = model.get_layer("stack_2_add").input
    assert [tensor.node.layer.name for tensor in second] == ["stack_2_2_norm", "stack_2_shortcut"]
    assert model.get_layer("stack_2_shortcut").input.node.layer.name == "stack_1_relu_2"


def test_depth_is_the_number_of_stacks() -> None:
    model = building.build(ModelConfig(model="resnet8", width=4, depth=4), PROBLEM)
    assert model.get_layer("stack_4_conv_2").output.shape[1:] == (4, 4, 4 * 2**3)
    with pytest.raises(UserError, match="--width=16 and --depth=100"):
        building.build(ModelConfig(model="resnet8", depth=100), PROBLEM)
