"""Every optimizer by name: where it comes from, what it takes, and the values that the field starts from.

A row is data only, so that help, validation, advice and search spaces can be made of it without TensorFlow. When to use
an optimizer and what to watch is said in core/texts/optimizers.json; docs/optimizers.md is made from both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
COMMON = ("weight_decay", *CLIPPING, "use_ema", "ema_momentum", "lookahead_steps")


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """One optimizer.

    Attributes:
        origin: "tf_keras", "tfday7" (a module of `optimizers/rules`) or "tfa" (TensorFlow Addons, where it installs).
        class_name: its class in `tf_keras.optimizers` or `tensorflow_addons.optimizers`, or its module in `rules`.
        paper: where it is from.
        learning_rate: the rate to start from.
        learning_rate_range: the rates between which a search on a logarithmic scale should look.
        settings: its own settings, with their defaults.
        common: settings that most optimizers share and that this one takes too; none of them is set by default.
        same_rule: the module of `rules` with the same steps as its tf_keras class; "" if there is none.
        constant_schedule: whether the rate must not fall, because averaging takes the place of that.
        averages: whether it keeps averaged weights, which are those to validate, save and export.
    """

    origin: Literal["tf_keras", "tfday7", "tfa"]
    class_name: str
    paper: str
    learning_rate: float
    learning_rate_range: tuple[float, float]
    settings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    common: tuple[str, ...] = COMMON
    same_rule: str = ""
    constant_schedule: bool = False
    averages: bool = False

    @property
    def takes(self) -> tuple[str, ...]:
        """All settings that have a meaning for it, its own first."""
        return (*self.settings, *(name for name in self.common if name not in self.settings))

    @property
    def rule(self) -> str:
        """The module of `rules` with its steps, which a mesh needs; "" if there is none."""
        return self.class_name if self.origin == "tfday7" else self.same_rule

    @property
    def legacy(self) -> bool:
        """Whether it is written in the optimizer API of before TensorFlow 2.11, which knows no mesh and no EMA."""
        return self.origin == "tfa"


_ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_ADAM_PAPER = "Kingma & Ba, 2015, arXiv:1412.6980"
_ADAM_RATES = (1e-5, 1e-2)
_LOOKAHEAD = {"lookahead_steps": 5}

OPTIMIZERS: dict[str, OptimizerSpec] = {
    # A rate of 1 and this epsilon are the paper's own; tf_keras has 0.001 and 1e-7.
    "adadelta": OptimizerSpec(
        "tf_keras", "Adadelta", "Zeiler, 2012, arXiv:1212.5701", 1.0, (0.1, 100.0), {"rho": 0.95, "epsilon": 1e-6}
    ),
    # tf_keras's own gives NaN where a unit is dead: rules/adafactor.py.
    "adafactor": OptimizerSpec(
        "tfday7", "adafactor", "Shazeer & Stern, 2018, arXiv:1804.04235", 1e-2, (1e-3, 1.0)
    ),
    "adagrad": OptimizerSpec(
        "tf_keras", "Adagrad", "Duchi et al., 2011, JMLR 12", 1e-2, (1e-3, 1.0), {"epsilon": 1e-7}
    ),
    "adam": OptimizerSpec("tf_keras", "Adam", _ADAM_PAPER, 1e-3, _ADAM_RATES, _ADAM, same_rule="keras_adam"),
    "adamax": OptimizerSpec("tf_keras", "Adamax", f"{_ADAM_PAPER}, section 7", 2e-3, (2e-5, 2e-2), _ADAM),
    "adamw": OptimizerSpec(
        "tf_keras", "AdamW", "Loshchilov & Hutter, 2019, arXiv:1711.05101", 1e-3, _ADAM_RATES,
        {**_ADAM, "weight_decay": 0.004}, same_rule="keras_adam",
    ),
    "ftrl": OptimizerSpec("tf_keras", "Ftrl", "McMahan et al., 2013, KDD", 1e-2, (1e-3, 1.0)),
    "lion": OptimizerSpec(
        "tf_keras", "Lion", "Chen et al., 2023, arXiv:2302.06675", 1e-4, (1e-6, 1e-3), {"beta_1": 0.9, "beta_2": 0.99}
    ),
    # tf_keras's own is wrong in a graph: rules/nadam.py.
    "nadam": OptimizerSpec("tfday7", "nadam", "Dozat, 2016, ICLR workshop", 1e-3, _ADAM_RATES, _ADAM),
    "rmsprop": OptimizerSpec(
        "tf_keras", "RMSprop", "Tieleman & Hinton, 2012, Coursera lecture 6e", 1e-3, (1e-5, 1e-2),
        {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7},
    ),
    "sgd": OptimizerSpec(
        "tf_keras", "SGD", "Polyak, 1964; Nesterov's form: Sutskever et al., 2013, ICML", 1e-2, (1e-3, 1.0),
        {"momentum": 0.9, "nesterov": False}, same_rule="sgd",
    ),
    "lookahead": OptimizerSpec(
        "tf_keras", "Adam", "Zhang et al., 2019, arXiv:1907.08610", 1e-3, _ADAM_RATES, {**_ADAM, **_LOOKAHEAD},
        averages=True,
    ),
    "adabelief": OptimizerSpec(
        "tfday7", "adabelief", "Zhuang et al., 2020, arXiv:2010.07468", 1e-3, _ADAM_RATES, {**_ADAM, "epsilon": 1e-16}
    ),
    "lamb": OptimizerSpec(
        "tfday7", "lamb", "You et al., 2020, arXiv:1904.00962", 5e-3, (1e-4, 1e-1), {**_ADAM, "epsilon": 1e-6}
    ),
    # 0.3 for 256 examples a step: Chen et al., 2020 (SimCLR), arXiv:2002.05709, appendix B.6.
    "lars": OptimizerSpec(
        "tfday7", "lars", "You et al., 2017, arXiv:1708.03888", 0.3, (0.03, 30.0), {"momentum": 0.9}
    ),
    "muon": OptimizerSpec(
        "tfday7", "muon", "Jordan et al., 2024, kellerjordan.github.io/posts/muon; Liu et al., 2025, arXiv:2502.16982",
        3e-3, (3e-4, 3e-2), {"momentum": 0.95, "nesterov": True, **_ADAM},
    ),
    "novograd": OptimizerSpec(
        "tfday7", "novograd", "Ginsburg et al., 2019, arXiv:1905.11286", 1e-2, (1e-3, 1e-1),
        {"beta_1": 0.95, "beta_2": 0.98, "epsilon": 1e-8},
    ),
    "radam": OptimizerSpec("tfday7", "radam", "Liu et al., 2020, arXiv:1908.03265", 1e-3, _ADAM_RATES, _ADAM),
    "schedule_free_adamw": OptimizerSpec(
        "tfday7", "schedule_free_adamw", "Defazio et al., 2024, arXiv:2405.15682", 2.5e-3, (2.5e-4, 2.5e-2),
        {**_ADAM, "epsilon": 1e-8}, ("weight_decay", *CLIPPING), constant_schedule=True, averages=True,
    ),
    "yogi": OptimizerSpec(
        "tfday7", "yogi", "Zaheer et al., 2018, NeurIPS", 1e-2, (1e-4, 1e-1), {**_ADAM, "epsilon": 1e-3}
    ),
}  # fmt: skip

_TFA = {"adabelief": "AdaBelief", "lamb": "LAMB", "novograd": "NovoGrad", "radam": "RectifiedAdam", "yogi": "Yogi"}
for _name, _class in _TFA.items():
    # TensorFlow Addons' own, for runs that have to agree with older ones; weight decay with exclusions has LAMB alone.
    OPTIMIZERS[f"tfa_{_name}"] = dataclasses.replace(
        OPTIMIZERS[_name],
        origin="tfa",
        class_name=_class,
        common=("weight_decay", *CLIPPING) if _name == "lamb" else CLIPPING,
    )
