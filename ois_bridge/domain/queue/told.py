"""What a patient is told at the sign-in: one text that can be said in every language."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.errors import Refused
from common.text import language, translate


@dataclass(frozen=True)
class Told:
    """`text`: an English text with places; `values`: what stands there, or its form in each language."""

    text: str
    values: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)

    def said(self, code: str) -> str:
        """The text in a language."""
        values = {
            name: value if isinstance(value, str) else value[code] for name, value in self.values.items()
        }
        return translate(self.text, code).format(**values)


class SignInRefused(Refused):
    """A sign-in that is not possible. `told`: the same in every language."""

    def __init__(self, told: Told) -> None:
        self.told = told
        super().__init__(told.said(language()))
