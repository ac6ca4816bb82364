"""The settings of a training: what `training:` in `assistant.yml` may say, and what the demo uses."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Distillation", "OutOfScopeSettings", "TrainingSettings"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutOfScopeSettings(_Frozen):
    """How a text from outside is recognised, and the share of such texts that may be taken for one from inside.

    `auto` takes the single measure that separates them best in validation.
    """

    score: Literal["auto", "probability", "energy", "distance", "combined"] = "auto"
    false_accept: Annotated[float, Field(gt=0, lt=1)] = 0.08


class Distillation(_Frozen):
    """A larger model is trained first; its answers, softened by `temperature`, have `weight` beside the labels."""

    teacher_layers: Annotated[int, Field(ge=1, le=48)] = 12
    teacher_frozen_layers: Annotated[int, Field(ge=0, le=48)] = 6
    teacher_learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 3e-4
    temperature: Annotated[float, Field(ge=1, le=20)] = 2.0
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5


class TrainingSettings(_Frozen):
    """How the assistant's model is trained; the defaults are what the demo uses, which has hints too.

    method: `full` changes all weights that are not frozen; `lora` only low-rank additions of `lora_rank` to the
    encoder's matrices, which are merged before export (Hu et al. 2021).
    multi_intent: a text may express several intents; each has a probability of its own.
    class_weights: `balanced` lets rare labels count as much as frequent ones.
    variation: sentences are varied again in each epoch; `values`: only by exchanging the values of entities.
    probe: the heads of intents and sentiments begin as a logistic regression on the encoder as it came.
    interpolation: how far from its start towards what it learned the kept model lies (Wortsman et al. 2022); 1: there.
    hint_weight: by how much the embedding is also taught to tell what the whole encoder computes of a text, so that
    intents which are added later find what they need in it; 0: it is not.
    averaging: the decay of a moving average of the weights, which is what is kept; 0: the last weights are.
    characters: every Han character is a token, so that entities can begin and end anywhere.
    tag_layers: what a token's tag is seen from: the `last` layer, or the word vectors, the middle and the last layer.
    """

    encoder: Annotated[str, StringConstraints(min_length=1, max_length=500)] = "multilingual-e5-small"
    layers: Annotated[int, Field(ge=1, le=48)] = 6
    frozen_layers: Annotated[int, Field(ge=0, le=48)] = 2
    epochs: Annotated[int, Field(ge=1, le=200)] = 10
    patience: Annotated[int, Field(ge=1, le=200)] = 3
    batch_size: Annotated[int, Field(ge=2, le=1024)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 6e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    validation: Annotated[float, Field(ge=0.05, le=0.5)] = 0.1
    max_tokens: Annotated[int, Field(ge=8, le=512)] = 96
    prefix: Annotated[str, StringConstraints(max_length=50)] = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 7
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    method: Literal["full", "lora"] = "full"
    lora_rank: Annotated[int, Field(ge=1, le=256)] = 16
    multi_intent: bool = False
    class_weights: Literal["none", "balanced"] = "none"
    variation: Literal["values"] | bool = True
    frozen_words: bool = True
    encoder_dropout: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    probe: bool = False
    interpolation: Annotated[float, Field(gt=0, le=1)] = 1.0
    hint_weight: Annotated[float, Field(ge=0, le=100)] = 0.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tag_layers: Literal["last", "mixed"] = "last"
    characters: bool = False
    distillation: Distillation | None = None
    out_of_scope: OutOfScopeSettings = OutOfScopeSettings()
