"""Chinese names: family and given name, pinyin and initials, and the DICOM person name made of them."""

import re
from functools import lru_cache

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
DOTS = re.compile("[·•・‧∙⋅･]+")
"""What keyboards put between the parts of a name: 买买提·吐尔逊."""
LONGEST = 64
_PAIRS = (
    "欧阳司马上官诸葛东方皇甫尉迟公孙慕容长孙宇文司徒司空夏侯令狐轩辕端木百里东郭"
    "南宫呼延钟离闻人澹台公冶宗政濮阳淳于单于太叔申屠仲孙鲜于闾丘亓官独孤万俟拓跋"
    "第五纳兰西门赫连"
)
COMPOUND = frozenset(_PAIRS[place : place + 2] for place in range(0, len(_PAIRS), 2))
"""Family names of two characters."""
READINGS = {
    "单": "shan", "曾": "zeng", "仇": "qiu", "解": "xie", "查": "zha", "盖": "ge", "任": "ren", "华": "hua",
    "区": "ou", "翟": "zhai", "乐": "yue", "朴": "piao", "覃": "qin", "缪": "miao", "纪": "ji", "宁": "ning",
    "燕": "yan", "员": "yun", "召": "shao", "种": "chong", "冼": "xian", "洗": "xian", "逄": "pang",
    "牟": "mu", "黑": "he", "秘": "bi", "繁": "po", "折": "she", "教": "jiao", "俞": "yu", "隗": "wei",
    "哈": "ha",
    "尉迟": "yu chi", "万俟": "mo qi", "长孙": "zhang sun", "令狐": "ling hu", "澹台": "tan tai",
    "单于": "chan yu", "亓官": "qi guan", "鲜于": "xian yu",
}  # fmt: skip
"""Family names that are read otherwise than the same character elsewhere."""


def is_chinese(text: str) -> bool:
    """Whether a text holds a Chinese character."""
    return HAN.search(text) is not None


def split(name: str) -> tuple[str, str]:
    """Family and given name of a Chinese name; one with a dot (买买提·吐尔逊) or of one character has no
    given name apart.
    """
    if "·" in name or len(name) < 2:
        return name, ""
    family = 2 if name[:2] in COMPOUND and len(name) > 2 else 1
    return name[:family], name[family:]


@lru_cache(maxsize=20_000)
def syllables(name: str) -> tuple[str, ...]:
    """The name's syllables without tones (吕 as lv); other than Chinese characters are left out."""
    # the dictionary takes a moment to load: not before the first name
    from pypinyin import lazy_pinyin  # noqa: PLC0415

    family, given = split("".join(name.split()))
    first = READINGS.get(family, "").split() or lazy_pinyin(family, errors="ignore")
    return (*first, *lazy_pinyin(given, errors="ignore"))


def pinyin(name: str) -> str:
    """Syllables joined: zhangwei."""
    return "".join(syllables(name))


def initials(name: str) -> str:
    """First letters of the syllables: zw."""
    return "".join(syllable[0] for syllable in syllables(name))


def person_name(text: str) -> str:
    """What people write as a DICOM person name: 张伟 is Zhang^Wei=张^伟 (PS3.5, 6.2.1.2).

    A name that already has ^ or =, or has no Chinese character, stays as it is, but for a Latin name of
    two words (Anna Schmidt), of which the last one is the family name.
    """
    text = re.sub(r"\s+", " ", text.strip())
    if not text or "^" in text or "=" in text:
        return text
    if not is_chinese(text):
        *given, family = text.split(" ")
        return f"{family}^{' '.join(given)}" if given else text
    text = DOTS.sub("·", text.replace(" ", ""))
    family, given_name = split(text)
    sounds = syllables(text)
    count = len(syllables(family)) if given_name else len(sounds)
    latin = "^".join(filter(None, ("".join(sounds[:count]).title(), "".join(sounds[count:]).title())))
    own = "^".join(filter(None, (family, given_name)))
    # a long name has its own characters whole, and as much of its sounds as there is room for
    return f"{latin[: max(1, LONGEST - 1 - len(own))].rstrip('^')}={own}"


def written(name: str) -> str:
    """A DICOM person name as people type it, where `person_name` makes the same of that: 张伟 of
    Zhang^Wei=张^伟, Anna Schmidt of Schmidt^Anna; another one stays as it is.
    """
    latin, _equals, _rest = name.partition("=")
    readable = chinese_of(name) or " ".join(filter(None, [*latin.split("^")[1:], latin.split("^")[0]]))
    return readable if person_name(readable) == name else name


def chinese_of(name: str) -> str:
    """The Chinese characters of a DICOM person name, unspaced; empty where it has none."""
    group = next((group for group in name.split("=") if is_chinese(group)), "")
    return "".join(group.split("^")[:2])
