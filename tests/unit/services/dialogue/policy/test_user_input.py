from pathlib import Path

from services.dialogue.assistant.assistant import Assistant, load_assistant
from services.dialogue.assistant.values import QuickReply
from services.dialogue.policy.user_input import typed_option, user_input_of
from shared.contracts.understanding import OutOfScope
from tests.unit.services.dialogue.assistants import MANIFEST, write_assistant
from tests.unit.services.dialogue.understandings import understanding


def test_an_intent_is_trusted_from_the_threshold_on(mini: Assistant) -> None:
    assert user_input_of(mini, understanding("x", "pay", confidence=0.5), None).intent == "pay"
    assert user_input_of(mini, understanding("x", "pay", confidence=0.49), None).intent is None
    assert not user_input_of(mini, understanding("x", "pay", confidence=0.79), None).sure
    assert user_input_of(mini, understanding("x", "pay", confidence=0.8), None).sure


def test_what_is_out_of_scope_has_no_intent(mini: Assistant) -> None:
    heard = user_input_of(mini, understanding("x", "out_of_scope"), None)
    assert (heard.intent, heard.out_of_scope, heard.sure) == (None, True, False)
    outside = understanding("x", "pay").model_copy(update={"out_of_scope": OutOfScope(detected=True, score=0.6)})
    assert user_input_of(mini, outside, None).intent is None


def test_an_assistant_may_set_its_own_bar_for_what_is_out_of_scope(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("{clarify: 0.5}", "{clarify: 0.5, out_of_scope: 0.7}")
    strict = load_assistant(write_assistant(tmp_path, manifest=manifest))
    outside = understanding("x", "pay").model_copy(update={"out_of_scope": OutOfScope(detected=True, score=0.6)})
    assert user_input_of(strict, outside, None).intent == "pay"
    outside = understanding("x", "pay").model_copy(update={"out_of_scope": OutOfScope(detected=False, score=0.7)})
    assert user_input_of(strict, outside, None).out_of_scope


def test_candidates_are_what_can_be_offered(mini: Assistant) -> None:
    heard = user_input_of(mini, understanding("x", "affirm", "pay", "greet", "book", "faq_hours", confidence=0.2), None)
    assert heard.candidates == ("pay", "book")


def test_values_are_kept_once_and_within_bounds(mini: Assistant) -> None:
    text = " ".join(f"[v{n}](word)" for n in (1, 1, 2, 3, 4, 5, 6, 7)) + f" [{'x' * 501}](address)"
    assert user_input_of(mini, understanding(text, "inform"), None).entities == {"word": ("v1", "v2", "v3", "v4", "v5")}


def test_a_typed_title_is_a_click() -> None:
    options = [
        QuickReply(id="a", titles={"zh": "质量问题", "en": "Quality problem"}),
        QuickReply(id="b", titles={"en": "Other"}),
    ]
    assert typed_option("质量问题。", options, numbers=False) == options[0]
    assert typed_option("quality PROBLEM", options, numbers=False) == options[0]
    assert typed_option("the second one", options, numbers=False) is None
    assert typed_option("the second one", options, numbers=True) == options[1]
    assert typed_option("?!", options, numbers=True) is None
