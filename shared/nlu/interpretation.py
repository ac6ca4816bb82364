"""From what the network computed of a batch to what each text means."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from shared.contracts.understanding import IntentScore, ModelRef, OutOfScope, Sentiment, Understanding
from shared.nlu.answers import Answer, Task
from shared.nlu.bio_tags import OUTSIDE, TagDecoder
from shared.nlu.engines.runtime import Outputs, softmax
from shared.nlu.entities.merging import merge_entities
from shared.nlu.entities.patterns import find_patterns
from shared.nlu.intents import expressed_intents, intent_probabilities
from shared.nlu.language import language_of
from shared.nlu.manifest import OUT_OF_SCOPE, ModelManifest
from shared.nlu.out_of_scope import Centroids, Measures
from shared.nlu.tokenizer import Encoded

__all__ = ["Interpreter"]

RANKED = 5

Floats = NDArray[np.float32]


class Interpreter:
    """Reads the outputs of one model; its method may be called from several threads.

    What can be computed for the whole batch at once is: a call of numpy for each text costs more than its arithmetic.
    """

    def __init__(self, manifest: ModelManifest, centroids: Centroids | None) -> None:
        """Args:
        centroids: where the intents lie, if the manifest's score of out of scope is the distance from them.
        """
        self._manifest = manifest
        self._centroids = centroids
        self._tags = TagDecoder(manifest.tags, manifest.neighbours)
        self._outside = manifest.tags.index(OUTSIDE)
        self._in_scope = [number for number, name in enumerate(manifest.intents) if name != OUT_OF_SCOPE]
        self._nothing = np.array([name == OUT_OF_SCOPE for name in manifest.intents], np.float32)
        self._symbols = frozenset(manifest.symbols)
        self._ref = ModelRef(name=manifest.name, version=manifest.version)

    def answers(
        self, batch: Sequence[Encoded], tasks: Sequence[Task], outputs: Outputs, *, today: date
    ) -> list[Answer]:
        """What was asked of each text of a batch; `today` is what relative dates are seen from.

        A text without a word that the model knows is out of scope: what a network says of unknown tokens is chance.
        """
        manifest = self._manifest
        several = manifest.multi_intent_threshold is not None
        intents = intent_probabilities(outputs.intents, manifest.temperature, several=several)
        scope = manifest.out_of_scope.scores(
            Measures(intents, outputs.intents, outputs.embeddings, self._in_scope, self._centroids)
        )
        silent = [not self._says_something(each) for each in batch]
        intents[silent], scope[silent] = self._nothing, 1.0
        scores = scope.tolist()
        best = np.argsort(-intents, axis=1, kind="stable")[:, :RANKED].tolist()
        probabilities = intents.tolist()
        sentiments = softmax(outputs.sentiments)
        moods, certainties = sentiments.argmax(axis=1).tolist(), sentiments.max(axis=1).tolist()
        tagged = (outputs.tags.argmax(axis=2) != self._outside).any(axis=1).tolist()
        answers = []
        for row, (encoded, task) in enumerate(zip(batch, tasks, strict=True)):
            understanding = None
            if task == "understand":
                every = probabilities[row]
                ranking = tuple(IntentScore(name=manifest.intents[each], confidence=every[each]) for each in best[row])
                understanding = Understanding(
                    text=encoded.text,
                    language=language_of(encoded.normalised.text),
                    intent=ranking[0],
                    ranking=ranking,
                    intents=self._expressed(intents[row]) if several else ranking[:1],
                    entities=merge_entities(
                        encoded.text,
                        find_patterns(encoded.normalised, today),
                        self._tags.decode(outputs.tags[row, : len(encoded)], encoded.spans) if tagged[row] else (),
                    ),
                    sentiment=Sentiment(label=manifest.sentiments[moods[row]], confidence=certainties[row]),
                    out_of_scope=OutOfScope(detected=scores[row] >= manifest.out_of_scope.threshold, score=scores[row]),
                    model=self._ref,
                )
            # Copies: a view would keep the outputs of the whole batch.
            answers.append(
                Answer(intents[row].copy(), outputs.intents[row].copy(), outputs.embeddings[row].copy(), understanding)
            )
        return answers

    def _says_something(self, encoded: Encoded) -> bool:
        """Whether the model knows a letter or a digit of the text, or a sign that it was taught by itself."""
        return any(character.isalnum() or character in self._symbols for character in encoded.known)

    def _expressed(self, intents: Floats) -> tuple[IntentScore, ...]:
        names, threshold = self._manifest.intents, self._manifest.multi_intent_threshold
        return tuple(
            IntentScore(name=names[each], confidence=float(intents[each]))
            for each in expressed_intents(intents, self._in_scope, threshold)
        )
