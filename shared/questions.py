"""The standing question about marks on the skin, in words, and the shape of its answer.

The machine finds some tattoos and misses others, and knows no scar or piece of jewellery. So author and moderator are
asked of every picture that may show skin (`shared.events.SKIN_KINDS`), also where the machine suspects nothing. The
answers are codes: they travel in events and stand in the audit chain, where no free text may.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events import SKIN_KINDS, LeftReason, MarkAnswer, Marks, PictureKind
from shared.web import Text, field_error

QUESTION = Text(
    en="Does the picture show a tattoo, a scar, jewellery or a birthmark by which somebody could recognise the "
    "patient?",
    fr="L'image montre-t-elle un tatouage, une cicatrice, un bijou ou une tache de naissance à quoi quelqu'un pourrait "
    "reconnaître le patient\u00a0?",
)
ANSWERS: dict[MarkAnswer, Text] = {
    MarkAnswer.NONE: Text(en="No, nothing of the kind.", fr="Non, rien de tel."),
    MarkAnswer.COVERED: Text(en="Yes, and it is covered.", fr="Oui, et c'est recouvert."),
    MarkAnswer.LEFT: Text(
        en="Yes, and it stays visible, for the reason given.",
        fr="Oui, et cela reste visible, pour la raison indiquée.",
    ),
}
LEFT_REASONS: dict[LeftReason, Text] = {
    LeftReason.SCAR: Text(
        en="A scar such as many people have, or one that the question is about.",
        fr="Une cicatrice comme beaucoup en ont, ou sur laquelle porte la question.",
    ),
    LeftReason.BIRTHMARK: Text(
        en="A birthmark such as many people have, or one that the question is about.",
        fr="Une tache de naissance comme beaucoup en ont, ou sur laquelle porte la question.",
    ),
    LeftReason.JEWELLERY: Text(
        en="Jewellery such as many people wear.", fr="Un bijou comme beaucoup de personnes en portent."
    ),
    LeftReason.LESION: Text(
        en="It is the lesion that the question is about.", fr="C'est la lésion sur laquelle porte la question."
    ),
    LeftReason.NOT_IDENTIFYING: Text(
        en="It can be seen, but tells nobody who the patient is.",
        fr="Cela se voit, mais ne dit à personne qui est le patient.",
    ),
    LeftReason.NO_MARK: Text(
        en="The machine is mistaken: there is no mark here.",
        fr="La machine se trompe\u00a0: il n'y a pas de signe ici.",
    ),
}


_REASON_MISSING = Text(
    en="Say why it is left, with one of the reasons of GET /questions.",
    fr="Dites pourquoi cela reste visible, par l'une des raisons de GET /questions.",
)
_REASON_NOT_WANTED = Text(
    en="A reason belongs to the answer left only.", fr="Une raison ne va qu'avec la réponse left."
)
_NOTHING_LEFT = Text(
    en="Where there is no mark, the answer is none.", fr="S'il n'y a pas de signe, la réponse est none."
)


class MarksGiven(BaseModel):
    """The answer about one picture. `left` needs at least one reason, the other answers take none."""

    model_config = ConfigDict(extra="forbid")

    answer: MarkAnswer
    reasons: list[LeftReason] = Field(default=[], max_length=len(LeftReason))

    @model_validator(mode="after")
    def _consistent(self) -> "MarksGiven":
        check_reason(self.answer, bool(self.reasons))
        if LeftReason.NO_MARK in self.reasons:
            raise field_error("reason-not-wanted", _NOTHING_LEFT)
        return self

    def marks(self) -> Marks:
        return Marks(answer=self.answer, reasons=tuple(dict.fromkeys(self.reasons)))


def check_reason(answer: MarkAnswer, given: bool) -> None:
    """Raise the field error of a request that leaves a mark without a reason, or gives a reason for anything else."""
    if answer is MarkAnswer.LEFT and not given:
        raise field_error("reason-missing", _REASON_MISSING)
    if answer is not MarkAnswer.LEFT and given:
        raise field_error("reason-not-wanted", _REASON_NOT_WANTED)


class CodeInWords(BaseModel):
    code: str
    fr: str
    en: str


class MarksQuestion(BaseModel):
    """`kinds`: the pictures of which it is asked. `reasons`: why a mark stays, or a proposal is not covered."""

    kinds: list[PictureKind]
    fr: str
    en: str
    answers: list[CodeInWords]
    reasons: list[CodeInWords]


class Questions(BaseModel):
    marks: MarksQuestion


def questions() -> Questions:
    """What the two services show: the question with its answers, in both languages."""
    return Questions(
        marks=MarksQuestion(
            kinds=sorted(SKIN_KINDS),
            fr=QUESTION.fr,
            en=QUESTION.en,
            answers=_in_words(ANSWERS),
            reasons=_in_words(LEFT_REASONS),
        )
    )


def _in_words(said: Mapping[MarkAnswer, Text] | Mapping[LeftReason, Text]) -> list[CodeInWords]:
    return [CodeInWords(code=code.value, fr=text.fr, en=text.en) for code, text in said.items()]
