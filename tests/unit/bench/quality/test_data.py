"""The readers of public data sets, on tiny files in the formats that they are published in."""

import json
import zipfile
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.quality.crosswoz import acts_of, read_crosswoz, utterance_of
from bench.quality.data import (
    Act,
    read_banking77,
    read_cais,
    read_clinc150,
    read_finfe,
    read_snips,
    read_waimai,
    spans_of_tags,
    stratified,
)
from shared.nlu.training_data import Span, Utterance


def values(utterance: Utterance) -> list[tuple[str, str]]:
    return [(span.label, utterance.text[span.start : span.end]) for span in utterance.spans]


def test_banking77_has_quoted_texts_and_a_validation_part_of_its_training(tmp_path: Path) -> None:
    rows = "".join(f'"Lost, card {n}",lost_card\nPin {n}?,pin\n' for n in range(20))
    (tmp_path / "train.csv").write_text("text,category\n" + rows, encoding="utf-8")
    (tmp_path / "test.csv").write_text('text,category\n"Where, then?",lost_card\n', encoding="utf-8")
    parts = read_banking77(tmp_path)
    assert Counter(u.intent for u in parts.validation) == {"lost_card": 1, "pin": 1}
    assert len({u.text for u in (*parts.training, *parts.validation)}) == 40
    assert [(u.text, u.intent) for u in parts.test] == [("Where, then?", "lost_card")]


def test_clinc150_keeps_what_is_out_of_scope_in_every_part(tmp_path: Path) -> None:
    content = {part: [[f"{part} a", "greet"]] for part in ("train", "val", "test")}
    content |= {f"oos_{part}": [[f"{part} b", "oos"]] for part in ("train", "val", "test")}
    (tmp_path / "data_full.json").write_text(json.dumps(content), encoding="utf-8")
    parts = read_clinc150(tmp_path)
    for name, part in (("train", parts.training), ("val", parts.validation), ("test", parts.test)):
        assert [(u.text, u.intent) for u in part] == [(f"{name} a", "greet"), (f"{name} b", "out_of_scope")]


def test_snips_has_words_tags_and_intents_in_three_files(tmp_path: Path) -> None:
    for part in ("train", "dev", "test"):
        folder = tmp_path / part
        folder.mkdir()
        (folder / "seq.in").write_text("play my  song \nadd x\n", encoding="utf-8")
        (folder / "seq.out").write_text("O B-track I-track \nO B-artist\n", encoding="utf-8")
        (folder / "label").write_text("PlayMusic\nAddToPlaylist\n", encoding="utf-8")
    first, second = read_snips(tmp_path).test
    assert (first.text, first.intent, values(first)) == ("play my song", "PlayMusic", [("track", "my song")])
    assert values(second) == [("artist", "x")]


def test_cais_has_a_character_a_line_and_blank_lines_between_sentences(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        lines = "听 O\n吴 B-singer\n雨 I-singer\n霏 E-singer\n\n放 O\n歌 S-kind\n"
        (tmp_path / f"ch.{part}").write_text(lines, encoding="utf-8")
        (tmp_path / f"ch.{part}.intent").write_text("PlayMusic\nPlayMusic\n", encoding="utf-8")
    first, second = read_cais(tmp_path).training
    assert (first.text, values(first)) == ("听吴雨霏", [("singer", "吴雨霏")])
    assert (second.text, values(second)) == ("放歌", [("kind", "歌")])


def test_waimai_is_cut_into_parts_with_the_same_share_of_each_label(tmp_path: Path) -> None:
    rows = "".join(f"{int(n < 100)},好吃{n}\n" for n in range(300))
    (tmp_path / "waimai_10k.csv").write_text("label,review\n" + rows, encoding="utf-8")
    parts = read_waimai(tmp_path)
    assert Counter(u.sentiment for u in parts.test) == {"positive": 20, "negative": 40}
    assert Counter(u.sentiment for u in parts.validation) == {"positive": 4, "negative": 8}
    assert len({u.text for part in (parts.training, parts.validation, parts.test) for u in part}) == 300
    assert read_waimai(tmp_path) == parts


def test_finfe_goes_from_negative_to_positive(tmp_path: Path) -> None:
    for name in ("train_list.json", "eval_list.json"):
        (tmp_path / name).write_text(json.dumps([["跌", 0], ["平", 1], ["涨", 2]] * 20), encoding="utf-8")
    parts = read_finfe(tmp_path)
    assert {(u.text, u.sentiment) for u in parts.test} == {("跌", "negative"), ("平", "neutral"), ("涨", "positive")}
    assert len(parts.training) + len(parts.validation) == len(parts.test) == 60


def dialogues(count: int) -> dict[str, object]:
    acts = [["Inform", "景点", "评分", "4.5分"], ["General", "thank", "none", "none"]]
    messages = [{"content": "找4.5分的景点，谢谢", "dialog_act": acts}]
    return {str(number): {"messages": messages} for number in range(count)}


def test_crosswoz_trains_on_whole_dialogues_and_tells_the_acts_of_its_test(tmp_path: Path) -> None:
    for part, count in (("val", 10), ("test", 2)):
        with zipfile.ZipFile(tmp_path / f"{part}.json.zip", "w") as archive:
            archive.writestr(f"{part}.json", json.dumps(dialogues(count)))
    parts = read_crosswoz(tmp_path)
    assert (len(parts.training), len(parts.validation), len(parts.test)) == (9, 1, 2)
    assert parts.test_acts[0] == [("Inform", "景点", "评分", "4.5分"), ("General", "thank", "none", "none")]
    assert parts.test[0].intents == ("Inform+景点+评分", "General+thank+none+none")
    assert values(parts.test[0]) == [("Inform+景点+评分", "4.5分")]


def test_values_said_twice_do_not_overlap_and_come_in_order() -> None:
    acts: list[Act] = [
        ("Inform", "酒店", "名称", "和颐"),
        ("Inform", "景点", "名称", "和颐"),
        ("Select", "酒店", "源领域", "景点"),
    ]
    utterance = utterance_of("和颐和和颐", acts)
    assert [(span.start, span.end) for span in utterance.spans] == [(0, 2), (3, 5)]
    assert acts_of(utterance.intents, values(utterance)) == set(acts)


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y"]), st.integers(1, 3)), max_size=6), st.sampled_from(["", " "]))
def test_spans_are_what_the_tags_mark(chunks: list[tuple[str, int]], gap: str) -> None:
    words: list[str] = []
    tags: list[str] = []
    wanted: list[tuple[str, str]] = []
    for label, length in chunks:
        found = [f"w{len(words) + n}" for n in range(length)]
        words += found
        tags += [f"B-{label}", *[f"I-{label}"] * (length - 1)] if label else ["O"] * length
        if label:
            wanted.append((label, gap.join(found)))
    text, spans = spans_of_tags(words, tags, gap)
    assert text == gap.join(words)
    assert [(span.label, text[span.start : span.end]) for span in spans] == wanted
    assert all(isinstance(span, Span) for span in spans)


@given(st.lists(st.sampled_from("abc"), max_size=60), st.floats(0.1, 0.5))
def test_a_stratified_cut_loses_nothing_and_repeats_itself(labels: list[str], share: float) -> None:
    rows = list(enumerate(labels))
    kept, cut = stratified(rows, share, lambda row: row[1])
    assert sorted(kept + cut) == rows
    assert Counter(label for _, label in cut) == {
        label: count for label, n in Counter(labels).items() if (count := round(n * share))
    }
    assert stratified(rows, share, lambda row: row[1]) == (kept, cut)
