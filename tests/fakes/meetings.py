"""Conversations as a recogniser without punctuation hears them, and as people write them."""

from blocks.transcript import EngineInfo, Segment, Transcript, Word

HEARD = EngineInfo(name="test", version="1")
WORD_S = 0.3
PAUSE_S = 0.8

MEETING_EN = (
    ("Anna", "good morning everyone let us begin with the budget for the customer portal"),
    ("David", "we have spent forty five thousand dollars which is twenty five percent of the yearly budget"),
    ("Anna", "um i think the invoice service is still too slow for our largest customer"),
    ("David", "the main problem of the invoice service is the database not the network"),
    ("Anna", "we decided to move the invoice database to the new server in june"),
    ("David", "maria will call the customer before noon"),
    ("Anna", "who will test the invoice service on monday"),
    ("David", "i will test the invoice service on monday and report the figures"),
    ("Anna", "we agreed to hire three engineers for the customer portal"),
    ("David", "robert will send the contract to the supplier by friday"),
    ("Anna", "thank you everyone goodbye"),
)

MEETING_VI = (
    ("Lan", "Chào mọi người, hôm nay chúng ta bàn về ngân sách quý ba của dự án cổng khách hàng."),
    ("Minh", "Chi phí máy chủ đã tăng 12 phần trăm so với quý trước."),
    ("Lan", "Vấn đề lớn nhất là dịch vụ hóa đơn vẫn còn chậm với khách hàng lớn."),
    ("Minh", "Chúng tôi đã quyết định chuyển cơ sở dữ liệu hóa đơn sang máy chủ mới."),
    ("Lan", "Anh Minh sẽ gửi hợp đồng cho khách hàng trước thứ sáu."),
    ("Minh", "Ai sẽ kiểm tra dịch vụ hóa đơn trong tuần sau?"),
    ("Lan", "Chị Hương sẽ kiểm tra dịch vụ hóa đơn trong tuần sau."),
    ("Minh", "Chúng ta thống nhất tuyển thêm ba kỹ sư cho dự án cổng khách hàng."),
)


def transcript_of(lines: tuple[tuple[str, str], ...], language: str) -> Transcript:
    """The lines as recognised speech: every word 0.3 s long, 0.8 s between utterances."""
    segments: list[Segment] = []
    at_s = 0.0
    for speaker, text in lines:
        words = tuple(
            Word(start_s=at_s + n * WORD_S, end_s=at_s + (n + 1) * WORD_S, text=word, probability=0.9)
            for n, word in enumerate(text.split())
        )
        end_s = at_s + len(words) * WORD_S
        segments.append(Segment(start_s=at_s, end_s=end_s, text=text, words=words, speaker=speaker))
        at_s = end_s + PAUSE_S
    return Transcript(language=language, segments=tuple(segments), engine=HEARD, duration_s=at_s)


def english() -> Transcript:
    """A meeting in English, recognised without punctuation and capitals."""
    return transcript_of(MEETING_EN, "en")


def vietnamese() -> Transcript:
    """A meeting in Vietnamese, written with punctuation."""
    return transcript_of(MEETING_VI, "vi")
