"""What texts show of themselves."""

import pytest

from tasks.quality.audit.wording import compression_ratio, language_of, repeated_share, words_of

TEXTS = {
    "en": "We will call the customer before noon, and if they do not answer we have to send them a letter about it.",
    "vi": "Chúng ta sẽ gọi cho khách hàng trước buổi trưa và gửi báo giá mới, nếu họ không trả lời thì mình gọi lại.",
    "de": "Wir rufen den Kunden vor dem Mittag an, und wenn er nicht da ist, bekommt er einen Brief mit der Post.",
    "fr": "Nous appelons le client avant midi, et s'il ne répond pas nous lui envoyons une lettre avec les prix de la "
    "nouvelle offre.",
    "es": "Vamos a llamar al cliente antes del mediodía, y si no contesta le mandamos una carta con los precios de la "
    "nueva oferta.",
    "it": "Chiamiamo il cliente prima di mezzogiorno, e se non risponde gli mandiamo una lettera con i prezzi della "
    "nuova offerta.",
    "pt": "Vamos ligar para o cliente antes do meio-dia, e se ele não responder mandamos uma carta com os preços da "
    "nova oferta.",
    "nl": "Wij bellen de klant voor de middag, en als hij er niet is sturen we hem een brief met de prijzen van het "
    "nieuwe aanbod.",
    "ja": "お客様に正午までに電話をかけて、もし出なければ新しい見積もりを手紙で送ることにしましょう。",
    "ko": "정오 전에 고객에게 전화를 걸고 답이 없으면 새로운 견적서를 편지로 보내도록 합시다.",
    "zh": "我们会在中午之前给客户打电话，如果他们不接，我们就把新的报价寄给他们。",
}


@pytest.mark.parametrize("language", TEXTS)
def test_the_language_of_a_text(language: str) -> None:
    assert language_of(TEXTS[language], words_of(TEXTS[language])) == language


@pytest.mark.parametrize("text", ["", "Good morning.", "Maria Smith " * 20, "1 2 3 " * 50])
def test_what_cannot_be_told_is_not(text: str) -> None:
    assert language_of(text, words_of(text)) is None


def test_letters_and_marks_apart_are_the_same_words() -> None:
    from unicodedata import normalize

    assert words_of(normalize("NFD", TEXTS["vi"])) == words_of(TEXTS["vi"])


def share(*texts: str) -> float:
    return repeated_share([words_of(text) for text in texts])


def test_segments_that_come_again_are_repeated() -> None:
    said = "the plan is done"
    assert share(said, said, "yes", "yes", "and now the next one") == pytest.approx(4 / 15)
    assert share(said, "The plan, is done!") == 0.5
    assert share(*["yes"] * 9) == 0.0
    assert share() == 0.0


def test_circles_compress() -> None:
    loop = compression_ratio("thank you for watching. " * 40)
    prose = compression_ratio(TEXTS["en"] + TEXTS["fr"] + TEXTS["de"])
    assert loop is not None and loop > 5
    assert prose is not None and prose < 2.4
    assert compression_ratio("short") is None
