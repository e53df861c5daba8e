"""What identity writes to its members by mail, French and English, each in one plain text.

A letter names nobody: it greets the pseudonym, and facts come in by name (never a civil name, never a patient's data).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Protocol

from shared.events import Language


class Letter(StrEnum):
    """The kinds of mail. A kind is never renamed: rows that wait in the outbox name it."""

    CONFIRM_ADDRESS = "confirm_address"
    """Facts: pseudonym, link."""
    ADDRESS_TAKEN = "address_taken"
    """Somebody tried to register with the address of an account."""
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    """Facts: link."""
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    SECOND_FACTOR_ADDED = "second_factor_added"
    """Facts: factor (totp, passkey, recovery_codes)."""
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    """Facts: factor (also: all)."""
    SECOND_FACTOR_FAILING = "second_factor_failing"
    """Somebody has the password and fails at the second factor."""
    SESSION_REVOKED = "session_revoked"
    """A spent refresh token was used: somebody may have a copy."""
    ACCOUNT_VERIFIED = "account_verified"
    ACCOUNT_SUSPENDED = "account_suspended"
    """Facts: reason (a sentence in the member's language, may be empty)."""
    PROOF_ENDING = "proof_ending"
    """Facts: ends_on (ISO date)."""
    PROOF_ENDED = "proof_ended"
    """Facts: ended_on (ISO date)."""
    PROOF_REFUSED = "proof_refused"
    """Facts: reason (a sentence in the member's language)."""
    MATCH_REFUSED = "match_refused"
    """A registry that was away has answered, and does not confirm what the member said."""
    PSEUDONYM_TELLS_NAME = "pseudonym_tells_name"
    """A verification that the member waits for cannot be completed under the present pseudonym."""
    PROOF_WANTED = "proof_wanted"
    """A registry that was away has confirmed the member, and yet the number does not verify them: it is another
    account's, or a person is to look at a proof first. One letter for both, so that it tells neither."""
    LEAVING_ASKED = "leaving_asked"
    """Facts: leaves_on (ISO date)."""
    CONSENT_EXPIRING = "consent_expiring"
    """Facts: case_id, expires_on (ISO date)."""


class FactMissing(KeyError):
    """A letter needs a fact that it was not given."""


@dataclass(frozen=True, slots=True)
class Words:
    """Subject and body of one letter in one language; `{name}` takes a fact."""

    subject: str
    body: str


class Mailer(Protocol):
    """What the rest of identity needs to write to people. A letter that is enqueued is sent, however long it takes."""

    async def enqueue(
        self,
        member_id: str,
        letter: Letter,
        facts: Mapping[str, str] | None = None,
        *,
        once: str | None = None,
        session: Any = None,
    ) -> bool:
        """Write to a member, in the member's language, at the address that the account has when the letter goes.

        `facts`: what the letter's kind names; the pseudonym is added. `once`: a key under which a letter goes out
        once only, for a year; False where it has gone already. `session`: the transaction to which the letter
        belongs, so that it goes out if and only if that is committed.
        """

    async def enqueue_to(self, address: str, letter: Letter, facts: Mapping[str, str] | None = None) -> None:
        """Write to an address of which nobody knows yet whether it has an account; who sends it finds out."""


_MONTHS_FR = (
    *("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre"),
    "décembre",
)
_MONTHS_EN = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November"),
    "December",
)
_FACTORS: dict[str, Mapping[Language, str]] = {
    "totp": {"fr": "une application d'authentification", "en": "an authenticator app"},
    "passkey": {"fr": "une clé d'accès", "en": "a passkey"},
    "all": {
        "fr": "tous vos seconds facteurs, à votre demande, par un administrateur",
        "en": "all your second factors, at your request, by an administrator",
    },
    "recovery_codes": {"fr": "de nouveaux codes de secours", "en": "new recovery codes"},
}


def write(letter: Letter, language: Language, facts: Mapping[str, str]) -> tuple[str, str]:
    """Subject and body. `facts` holds `pseudonym` and what the letter's kind names. Raises FactMissing."""
    words = LETTERS[letter][language]
    try:
        said = {name: _said(name, value, language) for name, value in facts.items()}
        body = "\n\n".join((_GREETING[language], words.body, _CLOSE[language])).format_map(said)
        return words.subject.format_map(said), body.replace(" \n", "\n") + "\n"
    except KeyError as error:
        raise FactMissing(f"{letter} needs the fact {error}") from error


def _said(name: str, value: str, language: Language) -> str:
    if name == "factor":
        return _FACTORS[value][language]
    if name.endswith("_on"):
        day = date.fromisoformat(value)
        if language == "fr":
            return f"{'1er' if day.day == 1 else day.day} {_MONTHS_FR[day.month - 1]} {day.year}"
        return f"{day.day} {_MONTHS_EN[day.month - 1]} {day.year}"
    return value


_GREETING: Mapping[Language, str] = {"fr": "Bonjour {pseudonym},", "en": "Dear {pseudonym},"}
_CLOSE: Mapping[Language, str] = {
    "fr": "Consilium\n\nCe message est envoyé automatiquement. Nous ne demandons jamais votre mot de passe ni un code "
    "par courriel ou par téléphone.",
    "en": "Consilium\n\nThis message is sent automatically. We never ask for your password or a code by mail or phone.",
}

_NOT_YOU_FR = (
    "Si ce n'était pas vous, choisissez tout de suite un nouveau mot de passe, puis fermez vos autres sessions dans "
    "les réglages de votre compte."
)
_NOT_YOU_EN = (
    "If this was not you, choose a new password now, and then end your other sessions in your account's settings."
)

LETTERS: Mapping[Letter, Mapping[Language, Words]] = {
    Letter.CONFIRM_ADDRESS: {
        "fr": Words(
            "Confirmez votre adresse",
            "Quelqu'un, sans doute vous, a demandé un compte Consilium avec cette adresse. Pour la confirmer, ouvrez "
            "ce lien dans les 24 heures :\n\n{link}\n\nIl faudra y saisir le mot de passe que vous avez choisi.\n\n"
            "Si ce n'était pas vous, ne faites rien : aucun compte ne sera créé.",
        ),
        "en": Words(
            "Confirm your address",
            "Somebody, probably you, asked for a Consilium account with this address. To confirm it, open this link "
            "within 24 hours:\n\n{link}\n\nYou will be asked for the password that you chose.\n\n"
            "If this was not you, do nothing: no account will be made.",
        ),
    },
    Letter.ADDRESS_TAKEN: {
        "fr": Words(
            "Vous avez déjà un compte",
            "Quelqu'un, peut-être vous, a demandé un compte Consilium avec cette adresse. Vous en avez déjà un : "
            "connectez-vous, ou demandez un nouveau mot de passe si vous l'avez oublié.\n\n"
            "Si ce n'était pas vous, ne faites rien : votre compte n'a pas changé, et personne n'a appris qu'il "
            "existe.",
        ),
        "en": Words(
            "You already have an account",
            "Somebody, perhaps you, asked for a Consilium account with this address. You have one already: sign in, "
            "or ask for a new password if you have forgotten it.\n\n"
            "If this was not you, do nothing: your account has not changed, and nobody has learnt that it exists.",
        ),
    },
    Letter.PASSWORD_RESET: {
        "fr": Words(
            "Choisissez un nouveau mot de passe",
            "Quelqu'un, sans doute vous, a demandé un nouveau mot de passe pour votre compte. Pour le choisir, ouvrez "
            "ce lien dans les 30 minutes :\n\n{link}\n\nIl ne sert qu'une fois. Toutes vos sessions seront fermées ; "
            "à la connexion suivante, votre second facteur vous sera demandé si vous en avez un.\n\n"
            "Si ce n'était pas vous, ne faites rien : votre mot de passe reste le même.",
        ),
        "en": Words(
            "Choose a new password",
            "Somebody, probably you, asked for a new password for your account. To choose it, open this link within "
            "30 minutes:\n\n{link}\n\nIt works once. All your sessions will end; the next sign-in will ask for your "
            "second factor if you have one.\n\n"
            "If this was not you, do nothing: your password stays the same.",
        ),
    },
    Letter.PASSWORD_CHANGED: {
        "fr": Words(
            "Votre mot de passe a changé",
            "Le mot de passe de votre compte vient d'être changé, et les sessions ouvertes ailleurs ont été "
            "fermées.\n\n"
            "Si ce n'était pas vous, demandez tout de suite un nouveau mot de passe depuis la page de connexion.",
        ),
        "en": Words(
            "Your password was changed",
            "The password of your account has just been changed, and the sessions open elsewhere have ended.\n\n"
            "If this was not you, ask for a new password on the sign-in page now.",
        ),
    },
    Letter.SECOND_FACTOR_ADDED: {
        "fr": Words(
            "Connexion : un moyen ajouté",
            "Votre compte a reçu un moyen de connexion : {factor}.\n\n" + _NOT_YOU_FR,
        ),
        "en": Words(
            "Sign-in: a means added",
            "Your account was given another means of signing in: {factor}.\n\n" + _NOT_YOU_EN,
        ),
    },
    Letter.SECOND_FACTOR_REMOVED: {
        "fr": Words(
            "Connexion : un moyen retiré",
            "Votre compte a perdu un moyen de connexion : {factor}.\n\n" + _NOT_YOU_FR,
        ),
        "en": Words(
            "Sign-in: a means removed",
            "Your account has lost a means of signing in: {factor}.\n\n" + _NOT_YOU_EN,
        ),
    },
    Letter.SECOND_FACTOR_FAILING: {
        "fr": Words(
            "Connexions refusées à votre compte",
            "Quelqu'un a donné votre mot de passe, puis plusieurs fois un code faux. Personne n'est entré.\n\n"
            "Si ce n'était pas vous, votre mot de passe est connu d'un autre : changez-le tout de suite.",
        ),
        "en": Words(
            "Sign-ins to your account were refused",
            "Somebody gave your password, and then a wrong code several times. Nobody got in.\n\n"
            "If this was not you, somebody else knows your password: change it now.",
        ),
    },
    Letter.SESSION_REVOKED: {
        "fr": Words(
            "Une de vos sessions a été fermée",
            "Une clé de session déjà utilisée a été présentée une seconde fois : il se peut qu'elle ait été copiée. "
            "Nous avons fermé cette session par prudence ; connectez-vous de nouveau.\n\n"
            "Si cela se reproduit, changez votre mot de passe et vérifiez vos appareils.",
        ),
        "en": Words(
            "One of your sessions was ended",
            "A session key that had been used already was presented a second time: it may have been copied. We ended "
            "that session to be safe; please sign in again.\n\n"
            "If this happens again, change your password and check your devices.",
        ),
    },
    Letter.ACCOUNT_VERIFIED: {
        "fr": Words(
            "Votre profession est vérifiée",
            "Votre profession a été vérifiée. Vous pouvez maintenant proposer des cas, répondre et commenter.",
        ),
        "en": Words(
            "Your profession is verified",
            "Your profession has been verified. You can now propose cases, answer and comment.",
        ),
    },
    Letter.ACCOUNT_SUSPENDED: {
        "fr": Words(
            "Votre compte est suspendu",
            "Votre compte est suspendu et vos sessions ont été fermées. {reason}\n\n"
            "Si c'est une erreur, écrivez aux administrateurs.",
        ),
        "en": Words(
            "Your account is suspended",
            "Your account is suspended and your sessions have ended. {reason}\n\n"
            "If this is a mistake, write to the administrators.",
        ),
    },
    Letter.PROOF_ENDING: {
        "fr": Words(
            "Votre justificatif arrive à son terme",
            "Le justificatif d'études qui a servi à vérifier votre compte est valable jusqu'au {ends_on}. Déposez-en "
            "un nouveau d'ici là : après cette date, votre compte ne sera plus vérifié, et vous ne pourrez plus ni "
            "lire ni écrire.\n\nSi vous êtes maintenant diplômé, faites vérifier votre profession avec votre numéro.",
        ),
        "en": Words(
            "Your proof is about to end",
            "The proof of studies by which your account was verified holds until {ends_on}. Please hand in a new one "
            "before that: afterwards your account will no longer be verified, and you will be able neither to read "
            "nor to write.\n\nIf you have graduated, have your profession verified with your number instead.",
        ),
    },
    Letter.PROOF_ENDED: {
        "fr": Words(
            "Votre compte n'est plus vérifié",
            "Votre justificatif d'études était valable jusqu'au {ended_on}. Sans nouveau justificatif, votre compte "
            "n'est plus vérifié. Rien n'est effacé : déposez un justificatif, ou faites vérifier votre profession "
            "avec votre numéro, et vous retrouverez votre accès.",
        ),
        "en": Words(
            "Your account is no longer verified",
            "Your proof of studies held until {ended_on}. Without a new one your account is no longer verified. "
            "Nothing is erased: hand in a proof, or have your profession verified with your number, and you will have "
            "your access back.",
        ),
    },
    Letter.PROOF_REFUSED: {
        "fr": Words(
            "Votre justificatif n'a pas été accepté",
            "Votre justificatif n'a pas permis de vérifier votre profession. {reason}\n\nLe document a été effacé. "
            "Vous pouvez en déposer un autre.",
        ),
        "en": Words(
            "Your proof was not accepted",
            "Your proof did not let us verify your profession. {reason}\n\nThe document has been erased. You can "
            "hand in another one.",
        ),
    },
    Letter.LEAVING_ASKED: {
        "fr": Words(
            "Votre compte sera effacé",
            "Vous avez demandé l'effacement de votre compte. Il aura lieu le {leaves_on} et sera définitif. Jusque-là, "
            "les autres membres ne vous voient plus, et vous pouvez renoncer à votre départ dans les réglages de votre "
            "compte.\n\n" + _NOT_YOU_FR,
        ),
        "en": Words(
            "Your account will be erased",
            "You asked for your account to be erased. This will happen on {leaves_on}, for good. Until then other "
            "members do not see you, and you can change your mind in your account's settings.\n\n" + _NOT_YOU_EN,
        ),
    },
    Letter.MATCH_REFUSED: {
        "fr": Words(
            "Le répertoire n'a pas confirmé votre profession",
            "Vous aviez demandé une vérification pendant que le répertoire ne répondait pas. Il a répondu depuis : le "
            "numéro, le nom et la profession de votre compte n'y concordent pas. Vérifiez-les et recommencez, ou "
            "déposez un justificatif.",
        ),
        "en": Words(
            "The registry did not confirm your profession",
            "You asked to be verified while the registry did not answer. It has answered since: number, name and the "
            "profession of your account do not belong together there. Check them and try again, or hand in a proof.",
        ),
    },
    Letter.PSEUDONYM_TELLS_NAME: {
        "fr": Words(
            "Votre vérification attend un autre pseudonyme",
            "Votre pseudonyme contient votre nom, ou le laisse lire. Or les noms des membres ne sortent pas de leur "
            "compte\u00a0: votre vérification ne peut pas être menée à bien sous ce pseudonyme. Choisissez-en un autre "
            "dans les réglages de votre compte. Si vous aviez déposé un justificatif, il reste en attente et sera "
            "examiné de nouveau\u00a0; si vous aviez indiqué un numéro, recommencez ensuite la demande.",
        ),
        "en": Words(
            "Your verification needs another pseudonym",
            "Your pseudonym contains your name, or lets it be read. Members' names do not leave their account, so your "
            "verification cannot be completed under this pseudonym. Choose another one in your account's settings. A "
            "proof that you have handed in stays, and will be looked at again; if you gave a number, ask again "
            "afterwards.",
        ),
    },
    Letter.PROOF_WANTED: {
        "fr": Words(
            "Votre vérification demande un justificatif",
            "Vous aviez demandé une vérification pendant que le répertoire ne répondait pas. Il a répondu depuis, mais "
            "ce numéro ne suffit pas à vous vérifier\u00a0: un autre compte a peut-être été vérifié avec lui, ou une "
            "personne doit d'abord l'examiner. Déposez un justificatif de votre profession\u00a0: carte, diplôme ou "
            "attestation. Si vous pensez que quelqu'un d'autre utilise votre numéro ou votre nom, écrivez aux "
            "administrateurs.",
        ),
        "en": Words(
            "Your verification needs a proof",
            "You asked to be verified while the registry did not answer. It has answered since, but this number "
            "does not verify you by itself: another account may have been verified with it, or a person has to look "
            "at it first. Hand in a proof of your profession: a card, a diploma or a certificate. If you believe that "
            "somebody else uses your number or your name, write to the administrators.",
        ),
    },
    Letter.CONSENT_EXPIRING: {
        "fr": Words(
            "Un consentement arrive à son terme",
            "Le consentement du patient pour un de vos cas (n° {case_id}) prend fin le {expires_on}. À la fin de ce "
            "jour (UTC), le cas sera retiré et ses images effacées, sans autre message.\n\n"
            "Ce délai ne peut pas être prolongé. Si le patient souhaite que le cas reste montré, ouvrez un nouveau cas "
            "et recueillez un nouveau consentement. Sinon, ne faites rien.",
        ),
        "en": Words(
            "A consent is about to end",
            "The patient's consent for one of your cases (no. {case_id}) ends on {expires_on}. At the end of that "
            "day (UTC) the case will be withdrawn and its pictures erased, without another message.\n\n"
            "This cannot be put off. If the patient wishes the case to be shown for longer, open a new case and ask "
            "for a new consent. Otherwise do nothing.",
        ),
    },
}
"""Every letter in both languages; a test writes each of them in each."""
