"""Names as strangers may read and hear them: 张*明."""

import re

_CHINESE = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff].*", re.DOTALL)


def masked_name(name: str) -> str:
    """A DICOM person name, masked: 张伟 张*, 张小明 张*明, 欧阳明华 欧**华, John Smith -> J. S****."""
    groups = [[part.strip() for part in group.split("^")] for group in name.split("=")]
    for parts in groups:
        whole = "".join(parts[:2])
        if _CHINESE.fullmatch(whole):
            return _chinese(whole)
    return _latin(groups[0])


def spoken_name(name: str) -> str:
    """A masked name as a Chinese voice reads it: 张某明."""
    return masked_name(name).replace("*", "某")


def is_chinese(name: str) -> bool:
    """Whether one of the name's groups is written in Chinese characters."""
    return any(_CHINESE.fullmatch("".join(group.split("^")[:2])) for group in name.split("="))


def _chinese(whole: str) -> str:
    if len(whole) <= 2:
        return whole[:1] + "*"
    return f"{whole[0]}{'*' * min(len(whole) - 2, 3)}{whole[-1]}"


def _latin(parts: list[str]) -> str:
    """Initial of the given name, family name by its first letter; the number of stars tells no length."""
    family = parts[0][:1].upper() + "****" if parts and parts[0] else "****"
    given = f"{parts[1][:1].upper()}. " if len(parts) > 1 and parts[1] else ""
    return given + family
