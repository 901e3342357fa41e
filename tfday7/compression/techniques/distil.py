"""distil: the model, or a smaller one built anew, learns from teachers: their answers, and their inner values."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.distillation.plan import ALPHA, TEMPERATURE, Distillation
from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.errors import UserError
from tfday7.core.settings import setting

EPOCHS = 3


@dataclasses.dataclass(frozen=True)
class DistilSettings(StepSettings):
    """The settings of a step "distil"."""

    teacher: str = setting("", "Model files (comma list); default: the run's teachers, or the original without any.")
    student: str = setting("", "An architecture to build and train anew; default: the model as it is.")
    width: int | None = setting(None, "Of a new student: units or filters of its first layer.", minimum=1)
    depth: int | None = setting(None, "Of a new student: hidden layers, blocks, stacks or stages.", minimum=1)
    temperature: float = setting(TEMPERATURE, "Divides the logits of teachers and student.", above=0)
    alpha: float = setting(ALPHA, "Share of the teachers' answers in the loss.", minimum=0, maximum=1)
    features: str = setting("none", "Inner values to learn.", choices=("none", "hint", "attention"))
    layers: str = setting("", 'Whose: "student:teacher,..." names of layers; default: matched by shape.')
    feature_weight: float | None = setting(None, "Of the features in the loss; default: the kind's own.", above=0)
    epochs: int | None = setting(
        None, f"Passes over the training data; default: {EPOCHS}, or of a new student the run's.", minimum=1
    )
    learning_rate: float | None = setting(
        None, "The peak; default: a share of the run's own, or of a new student all of it.", above=0
    )


class Distil(Technique):
    """See `compression.distillation`."""

    name = "distil"
    phase = "training"
    settings = DistilSettings

    def check(self, settings: DistilSettings) -> None:
        """Raises UserError for settings that mean nothing together."""
        from tfday7.models.architecture import ARCHITECTURES

        if settings.student:
            ARCHITECTURES.get(settings.student)
        for name in ("width", "depth"):
            if getattr(settings, name) is not None and not settings.student:
                raise UserError(f"{name}={getattr(settings, name)} needs a student to build", "for example student=cnn")
        if settings.features == "none":
            for name in ("layers", "feature_weight"):
                if getattr(settings, name):
                    given = f"{name}={getattr(settings, name)}"
                    raise UserError(f"{given} contradicts features=none", "give features=hint or features=attention")
        _pairs(settings.layers)

    def apply(self, work: Work, settings: DistilSettings) -> dict[str, Any]:
        """Trains a copy of the model, or a new one, which then takes its place."""
        from tfday7.compression.finetuning import copied, finetune, own_rate

        plan = Distillation(
            settings.temperature, settings.alpha, settings.features, _pairs(settings.layers), settings.feature_weight
        )
        epochs, rate = settings.epochs or EPOCHS, settings.learning_rate
        if settings.student:
            student = _new_student(work, settings)
            epochs = settings.epochs or work.training.epochs
            rate = rate if rate is not None else own_rate(work.optimizer)
        else:
            student = copied(work.model)
        teaching = dataclasses.replace(work, teachers=_teachers(work, settings)) if settings.teacher else work
        tuned = finetune(teaching, student, epochs, rate, plan, what=self.name)
        before, work.model = work.model.count_params(), student
        return {"parameters": [before, student.count_params()], "finetuning": tuned}


def _teachers(work: Work, settings: DistilSettings) -> tuple[Any, ...]:
    from tfday7.models import load

    paths = [path.strip() for path in settings.teacher.split(",")]
    return tuple(load(path, allow_unsafe=work.allow_unsafe) for path in paths if path)


def _pairs(layers: str) -> tuple[tuple[str, str], ...]:
    """Returns pairs of names from "a:b,c:d". Raises UserError for a part without exactly one colon between names."""
    pairs = []
    for part in filter(None, (part.strip() for part in layers.split(","))):
        ours, _, theirs = (name.strip() for name in part.partition(":"))
        if not ours or not theirs or ":" in theirs:
            raise UserError(f"layers has {part!r}; expected student_layer:teacher_layer", 'such as "conv_1:conv_3"')
        pairs.append((ours, theirs))
    return tuple(pairs)


def _new_student(work: Work, settings: DistilSettings) -> Any:
    """Returns a new model that ends in what the original does. Raises UserError where it would undo earlier steps."""
    from tfday7.compression.finetuning import wrapped
    from tfday7.models import building
    from tfday7.models.config import ModelConfig

    if work.kept or wrapped(work.model):
        raise UserError(
            f"student={settings.student} would replace the model whose weights earlier steps have prepared",
            "let a new student be the first step of the recipe, and prune, cluster and qat follow",
        )
    config = ModelConfig(model=settings.student, width=settings.width, depth=settings.depth)
    student = building.build(config, work.dataset.problem, seed=work.training.seed)
    return _ending_alike(student, work)


def _ending_alike(student: Any, work: Work) -> Any:
    """Returns the student, with probabilities behind its logits where the original gives those."""
    from tfday7.core.frameworks import keras
    from tfday7.training.objective import output_meaning

    problem = work.dataset.problem
    if output_meaning(problem, work.original) != "probabilities":
        return student
    function = "sigmoid" if problem.task == "multilabel" else "softmax"
    probabilities = keras.layers.Activation(function, name="probabilities")(student.outputs[0])
    return keras.Model(student.inputs, probabilities, name=student.name)


TECHNIQUES.add("distil", Distil())
