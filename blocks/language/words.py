"""Our own small word lists, English and Vietnamese."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


UPPER = "A-Z" + "".join(
    chr(code) for code in (*range(0xC0, 0x180), 0x1A0, 0x1AF, *range(0x1EA0, 0x1EFA)) if chr(code).isupper()
)
"""Capital letters of Europe and Vietnam, for a character class: there `À-Ỹ` would hold small ones too."""

CALENDAR = _set(
    "monday tuesday wednesday thursday friday saturday sunday january february april june july august "
    "september october november december christmas easter"
)
"""Always capitalised. `march` and `may` are not here: they are verbs too."""

GIVEN_NAMES = _set(
    "aaron adam alan albert alexander alice amanda amy andrea andrew angela anna anne anthony barbara ben "
    "benjamin betty brandon brian bruce carl carol catherine charles charlotte christina christine "
    "christopher claire cynthia daniel david deborah dennis diana donald dorothy douglas edward elena "
    "elizabeth emily emma eric ethan eva evelyn fiona frances gary george gerald gloria gregory hannah harold "
    "harry helen henry howard ian isabella jacob james jane janet jason jeffrey jennifer jeremy jessica joan "
    "john jonathan jose joseph joshua joyce juan judith judy julia julie justin karen kathleen keith kelly "
    "kenneth kevin kimberly larry laura lauren lawrence linda lisa louis lucas lucy luke margaret maria marie "
    "marilyn martha martin mary matthew megan melissa michael michelle mohammed monica nancy natalie nathan "
    "nicholas nicole noah oliver olivia pamela patricia patrick paul peter philip rachel ralph raymond rebecca "
    "richard robert roger ronald ryan samantha samuel sandra sarah scott sean sharon shirley simon sofia "
    "sophia stephanie stephen steven susan teresa thomas timothy tyler victoria vincent virginia walter "
    "wayne william zachary"
)
"""Common given names that are no common words."""

QUESTION_STARTS = _set(
    "who what when where why how which whose do does did can could will would shall should is are was were "
    "have has had am"
)
QUESTION_SUBJECTS = _set("i you we they he she it there this that the any anyone everyone our your my his her")
WH_WORDS = _set("who what when where why how which whose")

SUBJECTS = _set("i we you they he she")
FRESH_VERBS = _set(
    "will agree agreed decided think need have must shall can should believe suggest propose want plan approved "
    "hope know understand"
)
DANGLING = _set(
    "and or but so if when that because before after while until the a an of to in on at by for with from as "
    "than then what who how where why which not is are was were be will would can could shall should may i we "
    "you they he she it do does did have has had please let us ask think know hope sure says said believe"
)
"""A sentence does not end after these."""

SOCIAL = _set(
    "good morning afternoon evening hello hi thank thanks you bye goodbye yes no okay ok very well welcome "
    "please everyone everybody great nice sure right"
)
"""A sentence of nothing but these says nothing worth a summary; nor does a key phrase."""

GREETING_ENDS = _set(
    "everyone everybody you morning afternoon evening hello hi thanks goodbye bye yes no okay ok welcome"
)
"""A greeting or courtesy that ends so is a sentence of its own."""

AFTER_GREETING = _set("and for to of that with so too but all both i'm")
"""What may follow a courtesy within its sentence: `thank you for coming`."""

STOP_WORDS_VI = _set(
    "và của là có không được cho với các những một này đó khi thì mà ở trong ra vào đã đang sẽ cũng như để từ "
    "về tại bởi vì nếu nhưng hay hoặc rất lại còn chỉ thêm nữa anh chị em ông bà tôi chúng ta mình bạn họ nó "
    "ạ à nhé dạ vâng thưa xin chào cảm ơn mọi người theo trên dưới sau trước giờ rồi thế nào gì ai đâu bao "
    "nhiêu cần phải làm việc đi đến lên xuống đây kia ấy bị do nên"
)
STOP_WORDS_EN = _set(
    "a about above after again all also am an and any are as at be because been before being below between "
    "both but by can could did do does doing down during each few for from further had has have having he her "
    "here him his how i if in into is it its just let me more most must my need no nor not now of off on once "
    "one only or other our out over own please same she should so some such than that the their them then "
    "there these they this those through to too under until up us very was we well were what when where which "
    "while who whom why will with would yes you your okay thank good morning going get got say said think know "
    "went keep kept ask asked begin begun start started let make made take taken come came see saw want wanted tell "
    "told give given put next last please still really quite much many lot thing things way"
)


def stop_words(language: str) -> frozenset[str]:
    """Words that say nothing about the topic."""
    return STOP_WORDS_VI if language == "vi" else STOP_WORDS_EN
