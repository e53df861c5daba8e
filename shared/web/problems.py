"""Problem documents (RFC 9457) in French and English: the only shape in which a service says no.

A kind of problem is declared once, beside the rule it belongs to, and raised by calling it:

    CASE_UNKNOWN = ProblemKind(
        "case-unknown", 404,
        Text(en="No such case", fr="Cas inconnu"),
        Text(en="There is no case {case_id} …", fr="Il n'y a pas de cas {case_id} …"),
    )
    raise CASE_UNKNOWN(case_id=case_id)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from fastapi import HTTPException
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from shared.log import request_id

Language = Literal["fr", "en"]
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:consilium:problem:"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages of the interface; `{name}` places take a problem's extra members."""

    en: str
    fr: str

    def said_in(self, language: Language, values: Mapping[str, object]) -> str:
        text = self.fr if language == "fr" else self.en
        return text.format_map(values) if values and "{" in text else text


class Problem(HTTPException):
    """A refusal that the caller can act on. `type` is `urn:consilium:problem:<slug>` and stable for ever.

    `title` names the kind, `detail` is a sentence that says what to do; a plain string serves both languages.
    `extra` becomes members of the document and fills `{name}` places of a Text. Never put secrets in it.

    An HTTPException because FastAPI lets only those pass through unchanged while it reads a body.
    """

    def __init__(
        self,
        slug: str,
        status: int,
        title: str | Text,
        detail: str | Text,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(status_code=status, detail=slug, headers=dict(headers) if headers else None)
        self.slug = slug
        self.status = status
        self.title = title
        self.sentence = detail
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.status} {self.slug}"

    def document(self, language: Language) -> dict[str, Any]:
        """The JSON members of the problem document in that language."""
        return {
            "type": TYPE_PREFIX + self.slug,
            "title": self._said(self.title, language),
            "status": self.status,
            "detail": self._said(self.sentence, language),
            "request_id": request_id.get(),
            **self.extra,
        }

    def response(self, language: Language) -> Response:
        """The answer to send."""
        headers = {"Content-Language": language, "Vary": "Accept-Language", **(self.headers or {})}
        body = orjson.dumps(self.document(language), default=str)
        return Response(body, self.status, headers, media_type=MEDIA_TYPE)

    def _said(self, text: str | Text, language: Language) -> str:
        return text if isinstance(text, str) else text.said_in(language, self.extra)


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A declared kind of problem. Calling it makes the exception to raise."""

    slug: str
    status: int
    title: Text
    detail: Text

    def __call__(self, *, headers: Mapping[str, str] | None = None, **extra: Any) -> Problem:
        return Problem(self.slug, self.status, self.title, self.detail, headers=headers, **extra)


def language_of(accept_language: str | None) -> Language:
    """The language to answer in, from an Accept-Language header (RFC 9110, 12.5.4). English where neither fits."""
    best: Language = "en"
    best_weight = 0.0
    for item in (accept_language or "")[:256].split(","):
        tag, _, parameters = item.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        name, _, number = parameters.strip().partition("=")
        try:
            weight = float(number) if name.strip() == "q" else 1.0
        except ValueError:
            weight = 0.0
        if primary in ("fr", "en") and weight > best_weight:
            best, best_weight = ("fr" if primary == "fr" else "en"), weight
    return best


INTERNAL = ProblemKind(
    "internal-error",
    500,
    Text(en="Something went wrong on our side", fr="Une erreur est survenue de notre côté"),
    Text(
        en="Your request was not carried out because of a fault of ours. Try again; if it happens again, tell us "
        "the request id.",
        fr="Votre demande n'a pas abouti à cause d'une panne de notre côté. Réessayez\u00a0; si cela se reproduit, "
        "communiquez-nous l'identifiant de la demande (request_id).",
    ),
)
UNAVAILABLE = ProblemKind(
    "temporarily-unavailable",
    503,
    Text(en="Temporarily unavailable", fr="Momentanément indisponible"),
    Text(
        en="A part that this request needs is away for the moment. Nothing was lost; try again in a few seconds.",
        fr="Un élément nécessaire à cette demande est momentanément absent. Rien n'est perdu\u00a0; réessayez dans "
        "quelques secondes.",
    ),
)
NOT_OPEN_YET = ProblemKind(
    "not-open-yet",
    503,
    Text(en="Just starting", fr="Démarrage en cours"),
    Text(
        en="The service makes sure that nothing withdrawn is shown before it answers. Try again in a few seconds.",
        fr="Avant de répondre, le service s'assure que rien de ce qui a été retiré n'est montré. Réessayez dans "
        "quelques secondes.",
    ),
)
NOT_READY = ProblemKind(
    "not-ready",
    503,
    Text(en="Not ready", fr="Pas prêt"),
    Text(
        en="This process cannot do its work now; see which check fails.",
        fr="Ce processus ne peut pas travailler pour l'instant\u00a0; voyez quel contrôle échoue.",
    ),
)
BODY_TOO_LARGE = ProblemKind(
    "body-too-large",
    413,
    Text(en="Too large", fr="Trop volumineux"),
    Text(
        en="The request's body is larger than the {limit_bytes} bytes allowed here. Send less.",
        fr="Le corps de la demande dépasse les {limit_bytes} octets permis ici. Envoyez-en moins.",
    ),
)
MALFORMED_JSON = ProblemKind(
    "malformed-json",
    400,
    Text(en="Not JSON", fr="JSON illisible"),
    Text(
        en="The request's body is not valid JSON. Correct it at the position given.",
        fr="Le corps de la demande n'est pas du JSON valide. Corrigez-le à la position indiquée.",
    ),
)
VALIDATION = ProblemKind(
    "validation-failed",
    422,
    Text(en="Some values are not valid", fr="Certaines valeurs ne sont pas valables"),
    Text(
        en="Correct the fields listed in errors and send the request again.",
        fr="Corrigez les champs indiqués dans errors, puis renvoyez la demande.",
    ),
)

_BY_STATUS: dict[int, ProblemKind] = {
    kind.status: kind
    for kind in (
        ProblemKind(
            "bad-request",
            400,
            Text(en="Bad request", fr="Demande incorrecte"),
            Text(
                en="The request could not be understood. Compare it with the API documentation.",
                fr="La demande n'a pas pu être comprise. Comparez-la à la documentation de l'API.",
            ),
        ),
        ProblemKind(
            "not-found",
            404,
            Text(en="Not found", fr="Introuvable"),
            Text(
                en="There is nothing at this address. Check it against the API documentation.",
                fr="Il n'y a rien à cette adresse. Vérifiez-la dans la documentation de l'API.",
            ),
        ),
        ProblemKind(
            "method-not-allowed",
            405,
            Text(en="Method not allowed", fr="Méthode non permise"),
            Text(
                en="This address does not take that method. The Allow header lists those it takes.",
                fr="Cette adresse n'accepte pas cette méthode. L'en-tête Allow donne celles qu'elle accepte.",
            ),
        ),
        ProblemKind(
            "unsupported-media-type",
            415,
            Text(en="Unsupported media type", fr="Type de contenu non pris en charge"),
            Text(
                en="This address does not take content of that type. See the API documentation.",
                fr="Cette adresse n'accepte pas ce type de contenu. Voyez la documentation de l'API.",
            ),
        ),
    )
}
_ANY_STATUS = (
    Text(en="The request was refused", fr="La demande a été refusée"),
    Text(
        en="The request was refused with status {http_status}. Compare it with the API documentation.",
        fr="La demande a été refusée (statut {http_status}). Comparez-la à la documentation de l'API.",
    ),
)


def from_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for a bare HTTP status, as the framework raises it. Its English texts are never passed on."""
    kind = _BY_STATUS.get(status)
    if kind is not None:
        return kind(headers=headers)
    title, detail = _ANY_STATUS
    return Problem(f"http-{status}", status, title, detail, headers=headers, http_status=status)


# What a pydantic error code means to the person who filled the form. Codes not listed keep pydantic's own
# sentence in English and a general one in French. The rejected input is never repeated: it may be a password.
_FIELD_ERRORS: dict[str, Text] = {
    "missing": Text(en="This field is required.", fr="Ce champ est obligatoire."),
    "extra_forbidden": Text(en="This field is not known here.", fr="Ce champ n'est pas connu ici."),
    "string_type": Text(en="This must be a text.", fr="Ceci doit être un texte."),
    "string_too_short": Text(
        en="This must have at least {min_length} characters.", fr="Il faut au moins {min_length} caractères."
    ),
    "string_too_long": Text(
        en="This must have at most {max_length} characters.", fr="Il faut au plus {max_length} caractères."
    ),
    "string_pattern_mismatch": Text(en="This does not have the expected form.", fr="Ceci n'a pas la forme attendue."),
    "enum": Text(en="This must be one of: {expected}.", fr="Il faut une de ces valeurs\u00a0: {expected}."),
    "literal_error": Text(en="This must be one of: {expected}.", fr="Il faut une de ces valeurs\u00a0: {expected}."),
    "int_type": Text(en="This must be a whole number.", fr="Il faut un nombre entier."),
    "int_parsing": Text(en="This must be a whole number.", fr="Il faut un nombre entier."),
    "int_from_float": Text(en="This must be a whole number.", fr="Il faut un nombre entier."),
    "float_parsing": Text(en="This must be a number.", fr="Il faut un nombre."),
    "bool_parsing": Text(en="This must be true or false.", fr="Il faut true ou false."),
    "greater_than": Text(en="This must be more than {gt}.", fr="Il faut plus que {gt}."),
    "greater_than_equal": Text(en="This must be {ge} or more.", fr="Il faut {ge} ou plus."),
    "less_than": Text(en="This must be less than {lt}.", fr="Il faut moins que {lt}."),
    "less_than_equal": Text(en="This must be {le} or less.", fr="Il faut {le} ou moins."),
    "too_short": Text(en="This list needs at least {min_length} items.", fr="Il faut au moins {min_length} éléments."),
    "too_long": Text(en="This list takes at most {max_length} items.", fr="Il faut au plus {max_length} éléments."),
    "date_from_datetime_parsing": Text(
        en="This must be a date such as 2026-01-31.", fr="Il faut une date comme 2026-01-31."
    ),
    "list_type": Text(en="This must be a list.", fr="Il faut une liste."),
    "tuple_type": Text(en="This must be a list.", fr="Il faut une liste."),
    "model_attributes_type": Text(en="This must be a JSON object.", fr="Il faut un objet JSON."),
    "dict_type": Text(en="This must be a JSON object.", fr="Il faut un objet JSON."),
}
_ANY_FIELD_ERROR_FR = "Cette valeur n'est pas valable."


def from_validation(errors: Sequence[Any], language: Language) -> Problem:
    """The problem for pydantic's list of errors.

    `errors`: one object a wrong value, with `detail`, `code` and, in the body, `pointer` (a JSON pointer as URI
    fragment, RFC 6901: `#/pictures/0/kind`); elsewhere `parameter` and `in` (query, path, header, cookie).
    """
    found = [_field_error(error, language) for error in errors[:50]]
    if len(found) == 1 and found[0]["code"] == "json_invalid":
        return MALFORMED_JSON(errors=found)
    return VALIDATION(errors=found)


def _field_error(error: Mapping[str, Any], language: Language) -> dict[str, Any]:
    code = str(error.get("type", "invalid"))
    place, *path = error.get("loc") or ("body",)
    context = error.get("ctx") or {}
    known = _FIELD_ERRORS.get(code)
    if known is not None:
        detail = known.said_in(language, _Context(context))
    elif "fr" in context:  # one of our own rules, see field_error
        detail = context["fr"] if language == "fr" else error["msg"]
    else:
        detail = _ANY_FIELD_ERROR_FR if language == "fr" else f"{error.get('msg', 'This value is not valid')}."
    if code == "json_invalid":
        return {"position": path[0] if path else 0, "code": code, "detail": detail}
    if place == "body":
        pointer = "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
        return {"pointer": pointer, "code": code, "detail": detail}
    return {"parameter": ".".join(map(str, path)), "in": place, "code": code, "detail": detail}


def field_error(code: str, text: Text, **values: Any) -> PydanticCustomError:
    """What a validator raises for a rule of its own, in both languages. `code` is stable, like a problem's type."""
    context = {**values, "fr": text.said_in("fr", values)}
    return PydanticCustomError(code, text.en, context)


class _Context(dict[str, Any]):
    """An error's context; a value that this pydantic version does not give shows as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"
