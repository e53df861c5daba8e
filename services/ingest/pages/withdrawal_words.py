"""The words of the withdrawal page and of its receipt, in both languages."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from services.ingest.domain.withdrawal import Receipt, Report, Step
from services.ingest.pages.words import day, said
from services.ingest.store import Standing
from shared.events import Language, WithdrawalCause
from shared.web import Text

WITHDRAWAL: Final[Mapping[str, Text]] = {
    "title": Text(en="End a consent", fr="Mettre fin à un consentement"),
    "how": Text(
        en="Type the withdrawal code from your sheet. You need nothing else: no account, no name, no reason.",
        fr="Saisissez le code de retrait qui figure sur votre feuille. Rien d’autre n’est nécessaire\u00a0: ni compte, "
        "ni nom, ni motif.",
    ),
    "care": Text(en="Your care does not change.", fr="Vos soins ne changent pas."),
    "code": Text(en="Withdrawal code", fr="Code de retrait"),
    "next": Text(en="Next: what will be erased", fr="Suite\u00a0: ce qui sera effacé"),
    "lost": Text(en="Without the code", fr="Sans le code"),
    "lost_how": Text(
        en="Ask your carer, who can end it as well, or the data protection officer named on your sheet.",
        fr="Adressez-vous à votre soignant, qui peut y mettre fin aussi, ou au délégué à la protection des données "
        "indiqué sur votre feuille.",
    ),
    "sure_title": Text(en="This will be erased", fr="Voici ce qui sera effacé"),
    "shown": Text(
        en="Members see this case now. It disappears for all of them within seconds.",
        fr="Des membres voient ce cas actuellement. Il disparaît pour tous en quelques secondes.",
    ),
    "not_shown": Text(
        en="Members do not see this case. It will never be shown.",
        fr="Aucun membre ne voit ce cas. Il ne sera jamais montré.",
    ),
    "stays": Text(en="What stays", fr="Ce qui reste"),
    "for_good": Text(en="This cannot be undone.", fr="Ce retrait est définitif."),
    "end": Text(en="End it and erase everything", fr="Mettre fin et tout effacer"),
    "back": Text(en="No, change nothing", fr="Non, ne rien changer"),
    "problem": Text(en="Not ended", fr="Rien n’a été fait"),
}
GOES_TEXT: Final = Text(en="the description of the case", fr="la description du cas")
GOES_PICTURES: Final = (
    Text(
        en="1 picture: the original, the key that opens it, and the covered picture",
        fr="1\u00a0image\u00a0: l’original, la clé qui l’ouvre, et l’image recouverte",
    ),
    Text(
        en="{n} pictures: the originals, the key that opens them, and the covered pictures",
        fr="{n}\u00a0images\u00a0: les originaux, la clé qui les ouvre, et les images recouvertes",
    ),
)
GOES_COMMENTS: Final = (
    Text(en="1 comment of a member", fr="1\u00a0commentaire d’un membre"),
    Text(en="{n} comments of members", fr="{n}\u00a0commentaires de membres"),
)
STAYS_PROOF: Final = Text(
    en="the form that was signed, sealed and without a picture, for five years: it proves that the case was shown with "
    "your consent; only a data protection officer can open it, and each opening is recorded",
    fr="le formulaire signé, scellé et sans image, pendant cinq ans\u00a0: il prouve que le cas était montré avec "
    "votre consentement\u00a0; seul un délégué à la protection des données peut l’ouvrir, et chaque ouverture "
    "est consignée",
)
STAYS_PROOF_UNTIL: Final = Text(
    en="the form that was signed, sealed and without a picture, until {day}; then it is erased too",
    fr="le formulaire signé, scellé et sans image, jusqu’au {day}\u00a0; il est ensuite effacé lui aussi",
)
STAYS_NUMBERS: Final = Text(
    en="numbers without meaning, which say that a case was withdrawn and when, so that no old copy of our data can "
    "bring it back; and the record of what moderators did, without text, picture or name",
    fr="des numéros sans signification, qui disent qu’un cas a été retiré et quand, pour qu’aucune ancienne copie de "
    "nos données ne le fasse revenir\u00a0; et le relevé des actes des modérateurs, sans texte, image ni nom",
)
STAYS_ELSEWHERE: Final = Text(
    en="what somebody may have noted or photographed while the case was shown: we cannot reach that",
    fr="ce que quelqu’un a pu noter ou photographier pendant que le cas était montré\u00a0: nous n’y avons pas accès",
)

RECEIPT: Final[Mapping[str, Text]] = {
    "title": Text(en="Receipt of a withdrawal", fr="Reçu de retrait"),
    "again": Text(
        en="This code has been used already: the case was withdrawn before.",
        fr="Ce code a déjà servi\u00a0: le cas a été retiré auparavant.",
    ),
    "withdrawn": Text(en="Withdrawn", fr="Retiré"),
    "cause": Text(en="Why", fr="Pourquoi"),
    "number": Text(en="Number of this receipt", fr="Numéro de ce reçu"),
    "gone": Text(en="What was erased, and when", fr="Ce qui a été effacé, et quand"),
    "looked": Text(
        en="Each time says when we looked and found nothing left, or when the part of Consilium that had a copy "
        "reported that nothing is left there.",
        fr="Chaque heure est celle à laquelle nous avons vérifié qu’il ne restait rien, ou celle à laquelle la partie "
        "de Consilium qui détenait une copie a signalé qu’il n’y restait plus rien.",
    ),
    "awaited": Text(en="not confirmed yet", fr="pas encore confirmé"),
    "awaited_how": Text(
        en="We look again every few seconds. Keep this page’s address, and open it later.",
        fr="Nous vérifions à nouveau toutes les quelques secondes. Gardez l’adresse de cette page et rouvrez-la plus "
        "tard.",
    ),
    "hidden": Text(en="Out of sight", fr="Hors de vue"),
    "hidden_how": Text(
        en="From {at} on nobody reaches the case where it was kept. {members}",
        fr="Depuis le {at}, plus personne n’atteint le cas là où il était conservé. {members}",
    ),
    "members_clear": Text(
        en="The pages of members were cleared of it: they reported so on {at}.",
        fr="Les pages des membres n’en contiennent plus rien\u00a0: elles l’ont signalé le {at}.",
    ),
    "members_told": Text(
        en="The order to erase their copies was handed to the pages of members on {at}. They follow within seconds; "
        "their report is awaited.",
        fr="L’ordre d’effacer leurs copies a été remis aux pages des membres le {at}. Elles suivent en quelques "
        "secondes\u00a0; leur confirmation est attendue.",
    ),
    "members_not_told": Text(
        en="The order to erase their copies could not be handed to the pages of members yet: we keep trying.",
        fr="L’ordre d’effacer leurs copies n’a pas encore pu être remis aux pages des membres\u00a0: nous réessayons.",
    ),
    "copies": Text(
        en="Backups of our data may hold a copy until they expire; no copy comes back into use without this withdrawal "
        "being applied first.",
        fr="Des sauvegardes de nos données peuvent en garder une copie jusqu’à leur expiration\u00a0; aucune n’est "
        "remise en service sans que ce retrait y soit d’abord appliqué.",
    ),
    "stays": WITHDRAWAL["stays"],
    "keep": Text(
        en="Keep this page or its address. It says nothing about you, and of the case only how many copies were "
        "erased.",
        fr="Gardez cette page ou son adresse. Elle ne dit rien de vous et n’indique du cas que le nombre de copies "
        "effacées.",
    ),
}
RECORDS: Final = Text(
    en="the description, the consent record and the comments in our database",
    fr="la description, les données du consentement et les commentaires dans notre base",
)
STEPS: Final[Mapping[Step, Text]] = {
    Step.ORIGINALS: Text(
        en="the original pictures, and the key that opens them", fr="les images originales, et la clé qui les ouvre"
    ),
    Step.TEXTS: Text(en="the text that moderators read", fr="le texte lu par les modérateurs"),
    Step.PAINTED: Text(en="the covered pictures that members saw", fr="les images recouvertes, vues par les membres"),
    Step.FEED: Text(en="the copies on the pages of members", fr="les copies dans les pages des membres"),
    Step.MODERATION: Text(en="the copies on the pages of moderators", fr="les copies dans les pages des modérateurs"),
    Step.REDACTOR: Text(
        en="what the program that covers pictures had kept",
        fr="ce que le programme qui recouvre les images avait conservé",
    ),
    Step.LETTERS: Text(en="messages that had been put aside", fr="les messages qui avaient été mis de côté"),
    Step.LOG_ORDERS: Text(
        en="order to erase the messages between our computers; the last leaves their log within 24 hours",
        fr="ordre d’effacer les messages entre nos ordinateurs\u00a0; le dernier quitte leur journal sous "
        "24\u00a0heures",
    ),
}
COUNTED: Final[Mapping[str, tuple[Text, Text]]] = {
    "cases": (
        Text(en="1 copy of the case", fr="1\u00a0copie du cas"),
        Text(en="{n} copies of the case", fr="{n}\u00a0copies du cas"),
    ),
    "comments": (
        Text(en="1 copy of a comment", fr="1\u00a0copie de commentaire"),
        Text(en="{n} copies of comments", fr="{n}\u00a0copies de commentaires"),
    ),
    "objects": (Text(en="1 file", fr="1\u00a0fichier"), Text(en="{n} files", fr="{n}\u00a0fichiers")),
    "letters": (
        Text(en="1 message put aside", fr="1\u00a0message mis de côté"),
        Text(en="{n} messages put aside", fr="{n}\u00a0messages mis de côté"),
    ),
}
NOTHING_THERE: Final = Text(en="nothing was left there", fr="il n’y restait rien")
CAUSES: Final[Mapping[WithdrawalCause, Text]] = {
    WithdrawalCause.AUTHOR: Text(en="the carer ended it", fr="le soignant y a mis fin"),
    WithdrawalCause.PATIENT: Text(en="a withdrawal code was used", fr="un code de retrait a été utilisé"),
    WithdrawalCause.EXPIRED: Text(
        en="the last day of the consent was over", fr="le dernier jour du consentement était passé"
    ),
    WithdrawalCause.MEMBER_LEFT: Text(en="the carer left Consilium", fr="le soignant a quitté Consilium"),
    WithdrawalCause.RECORD_LOST: Text(
        en="the record of the consent was lost when data were restored",
        fr="les données du consentement ont été perdues lors d’une restauration",
    ),
}


def what_goes(standing: Standing, language: Language) -> list[str]:
    """What a code will erase, as a list."""
    goes = [said(GOES_TEXT, language)]
    for count, (one, many) in ((standing.pictures, GOES_PICTURES), (standing.comments, GOES_COMMENTS)):
        if count:
            goes.append(said(one if count == 1 else many, language, n=count))
    return goes


def what_stays(language: Language) -> list[str]:
    """Said before anything is erased."""
    return [said(text, language) for text in (STAYS_PROOF, STAYS_NUMBERS, STAYS_ELSEWHERE)]


def what_stayed(receipt: Receipt, language: Language) -> list[str]:
    """Said on the receipt."""
    proofs = receipt.proofs_until
    kept = [said(STAYS_PROOF_UNTIL, language, day=day(proofs, language))] if proofs else []
    return kept + [said(text, language) for text in (STAYS_NUMBERS, STAYS_ELSEWHERE)]


def erased(receipt: Receipt, language: Language) -> list[tuple[str, str | None]]:
    """What, and when it was seen to be gone; None where it was not yet."""
    rows: list[tuple[str, str | None]] = [(said(RECORDS, language), moment(receipt.withdrawn_at, language))]
    for step, text in STEPS.items():
        at, report = receipt.confirmed.get(step), receipt.reports.get(step)
        when = moment(at, language) if at else None
        if when and report:
            when = f"{when} ({how_much(report, language)})"
        rows.append((said(text, language), when))
    return rows


def how_much(report: Report, language: Language) -> str:
    """What a service erased, counted: `2 copies of the case, 1 copy of a comment`."""
    counts = [(getattr(report, name), words) for name, words in COUNTED.items()]
    told = [said(one if n == 1 else many, language, n=n) for n, (one, many) in counts if n]
    return ", ".join(told) or said(NOTHING_THERE, language)


def out_of_sight(receipt: Receipt, language: Language) -> str:
    """What is known of when nobody could reach the case any more."""
    cleared, told = receipt.confirmed.get(Step.FEED), receipt.confirmed.get(Step.ANNOUNCED)
    if cleared:
        members = said(RECEIPT["members_clear"], language, at=moment(cleared, language))
    elif told:
        members = said(RECEIPT["members_told"], language, at=moment(told, language))
    else:
        members = said(RECEIPT["members_not_told"], language)
    return said(RECEIPT["hidden_how"], language, at=moment(receipt.withdrawn_at, language), members=members)


def moment(at: datetime, language: Language) -> str:
    """`22 November 2026, 14:05:09 UTC`, `22 novembre 2026 à 14 h 05 min 09 s (UTC)`; the spaces do not break."""
    utc = at.astimezone(UTC)
    if language == "fr":
        return f"{day(utc.date(), language)} à {utc:%H}\u00a0h\u00a0{utc:%M}\u00a0min\u00a0{utc:%S}\u00a0s (UTC)"
    return f"{day(utc.date(), language)}, {utc:%H:%M:%S}\u00a0UTC"
