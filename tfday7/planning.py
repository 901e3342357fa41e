"""What a run is to be: its settings, and whether they go together with each other and with the data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.data.config import DataConfig
from tfday7.data.dataset import Dataset
from tfday7.diagnosis.config import DiagnosisConfig
from tfday7.distribution import DistributionConfig, checking, parameter_servers
from tfday7.distribution.config import ON_A_MESH
from tfday7.exporting.config import ExportConfig
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig

Say = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The settings of a run."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    diagnosis: DiagnosisConfig = dataclasses.field(default_factory=DiagnosisConfig)
    export: ExportConfig = dataclasses.field(default_factory=ExportConfig)
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def implied_data(self) -> DataConfig:
        """Returns the data's settings with the task that the model implies."""
        from tfday7.models import building

        return dataclasses.replace(self.data, task=building.implied_task(self.model, self.data.task))

    def check_names(self) -> None:
        """Checks every name without reading data or loading TensorFlow. Raises UserError for the first unknown one."""
        from tfday7.data import augmentation
        from tfday7.data.source import find_source
        from tfday7.models import building
        from tfday7.optimizers import advisor
        from tfday7.training import config

        find_source(self.data)
        building.check_name(self.model)
        advisor.check(self.optimizer)
        building.implied_task(self.model, self.data.task)
        config.check_flags(self.training, self.model)
        checking.check(self.distribution, self.training.batch_size, self.training.accumulate_steps, os.environ)
        if self.distribution.strategy == parameter_servers.NAME:
            parameter_servers.check_training(self.training)
        checking.check_on_a_mesh(self.distribution, self.optimizer, self.training.precision)
        if self.training.micro_batch_size and self.distribution.strategy in ON_A_MESH:
            raise UserError(
                f"--micro_batch_size=auto has no meaning for --strategy={self.distribution.strategy}",
                "give --accumulate_steps; python -m tfday7.advise --topic=distribution says how many",
            )
        augmentation.parse(self.training.augment)
        self.export.check()

    def check(self, dataset: Dataset, is_new: bool = True) -> None:
        """Checks the settings against the data. Raises UserError for the first contradiction.

        Args:
            dataset: the data.
            is_new: whether nothing has trained so: what only harms is then refused too, and else for a repair to find.
        """
        from tfday7.data import augmentation
        from tfday7.models import building
        from tfday7.training import config

        building.check(self.model, dataset.problem)
        if self.distribution.strategy == parameter_servers.NAME:
            parameter_servers.check_data(dataset)
        augmentation.check(self.training.augment, dataset.problem)
        if is_new:
            building.check_inputs(self.model, dataset.train.x)
            augmentation.check_inputs(self.training.augment, dataset.train.x)
        config.check(self.training, self.optimizer, dataset.problem.task, len(dataset.train))

    def check_exports(self, folder: RunFolder, overwrite: bool) -> None:
        """Checks that the artefacts of this run can be written and are not those of another one. Raises UserError."""
        from tfday7.exporting import exporting

        if not self.export.formats():
            return
        target = self.export.folder(folder.name)
        files.check_writable(target, "export_dir")
        exporting.check_free(target, str(folder.path.resolve()), folder.name, self.export.wanted(), overwrite)

    def default_name(self) -> str:
        """Returns the run's name when nothing else gives one: <data>_<model>."""
        return f"{self.data.name()}_{Path(self.model.model.replace(':', '_')).stem}"


def load(plan: Plan, say: Say, is_new: bool = True) -> Dataset:
    """Returns the data of a plan, checked against its settings (see `Plan.check`), and says what they are."""
    from tfday7 import data

    dataset = data.load(plan.implied_data())
    plan.check(dataset, is_new)
    sizes = f"{len(dataset.train):,} to train, {len(dataset.validation):,} to validate, {len(dataset.test):,} to test"
    say(f"data: {dataset.name}, {dataset.problem.task} of {dataset.problem.input_shape}: {sizes}")
    if dataset.problem.encoding:
        say(f"columns: {dataset.problem.encoding.summary()}")
    return dataset
