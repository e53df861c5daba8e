"""Every way in which ingest says no, in both languages. Slugs are stable: clients act on them."""

from services.ingest.domain.refusals import Refused
from services.ingest.routes.consent_problems import OF_REFUSALS
from shared.web import Problem, ProblemKind, Text

CASE_UNKNOWN = ProblemKind(
    "case-unknown",
    404,
    Text(en="No such case", fr="Cas inconnu"),
    Text(
        en="There is no case with this id among those you may see. Check the id.",
        fr="Aucun cas ne porte cet identifiant parmi ceux que vous pouvez voir. Vérifiez l'identifiant.",
    ),
)
CASE_WITHDRAWN = ProblemKind(
    "case-withdrawn",
    410,
    Text(en="This case was withdrawn", fr="Ce cas a été retiré"),
    Text(
        en="The case was withdrawn for good and its content erased. Start a new case if you need one.",
        fr="Le cas a été retiré définitivement et son contenu effacé. Commencez un nouveau cas si nécessaire.",
    ),
)
CASE_STATE = ProblemKind(
    "case-state",
    409,
    Text(en="Not possible in this state", fr="Impossible dans cet état"),
    Text(
        en="The case is in the state '{state}', which does not allow this. Read the case again and go on from there.",
        fr="Le cas est dans l'état «\u00a0{state}\u00a0», qui ne permet pas cela. Relisez le cas et reprenez à "
        "partir de là.",
    ),
)
CASE_NOT_PUBLISHED = ProblemKind(
    "case-not-published",
    409,
    Text(en="Not published", fr="Cas non publié"),
    Text(
        en="Comments are possible once the case is published. It is in the state '{state}'.",
        fr="Les commentaires sont possibles après la publication du cas. Il est dans l'état «\u00a0{state}\u00a0».",
    ),
)
COMMENTS_CLOSED = ProblemKind(
    "comments-closed-to-you",
    403,
    Text(en="Not open to your comments", fr="Discussion fermée à vos commentaires"),
    Text(
        en="This discussion does not take your comments. Its author or its moderators may limit who answers.",
        fr="Cette discussion n'accepte pas vos commentaires. Son auteur ou ses modérateurs peuvent limiter qui y "
        "répond.",
    ),
)
PARENT_UNKNOWN = ProblemKind(
    "parent-comment-unknown",
    422,
    Text(en="No such comment to answer", fr="Commentaire d'origine inconnu"),
    Text(
        en="The comment given as parent_id does not belong to this case. Leave it out or name one that does.",
        fr="Le commentaire indiqué par parent_id n'appartient pas à ce cas. Omettez-le ou indiquez-en un qui convient.",
    ),
)
TOO_MANY_PICTURES = ProblemKind(
    "too-many-pictures",
    409,
    Text(en="Too many pictures", fr="Trop d'images"),
    Text(
        en="A case takes at most {limit} pictures. Remove one before you add another.",
        fr="Un cas accepte au plus {limit} images. Retirez-en une avant d'en ajouter une autre.",
    ),
)
PICTURE_UNKNOWN = ProblemKind(
    "picture-unknown",
    404,
    Text(en="No such picture", fr="Image inconnue"),
    Text(
        en="This case has no such picture, or no such frame or size of it. Read the preview again.",
        fr="Ce cas n'a pas cette image, ou pas cette vue ou cette taille. Relisez l'aperçu.",
    ),
)
NOT_REDACTED = ProblemKind(
    "picture-not-redacted",
    409,
    Text(en="The picture is not painted yet", fr="L'image n'est pas encore recouverte"),
    Text(
        en="This needs the painted picture, and there is none of its current revision. Wait for it, or remove the "
        "picture if it could not be read.",
        fr="Il faut pour cela l'image recouverte, et celle de sa révision actuelle n'existe pas. Attendez-la, ou "
        "retirez l'image si elle n'a pas pu être lue.",
    ),
)
BOX_OUTSIDE = ProblemKind(
    "box-outside",
    422,
    Text(en="A box lies outside the picture", fr="Un cadre sort de l'image"),
    Text(
        en="A box must lie inside frame {frame} of the painted picture and be at least one pixel wide and high.",
        fr="Un cadre doit se trouver dans la vue {frame} de l'image recouverte et mesurer au moins un pixel de côté.",
    ),
)
TOO_MANY_BOXES = ProblemKind(
    "too-many-boxes",
    422,
    Text(en="Too many boxes", fr="Trop de cadres"),
    Text(
        en="A picture takes at most {limit} boxes over all its frames. Draw fewer, larger ones.",
        fr="Une image accepte au plus {limit} cadres, toutes vues comprises. Tracez-en moins, de plus grands.",
    ),
)
TEXT_MAY_IDENTIFY = ProblemKind(
    "text-may-identify",
    409,
    Text(en="The text may tell who somebody is", fr="Le texte peut révéler qui est quelqu'un"),
    Text(
        en="The words listed in findings may identify the patient, a relative or a carer, and what is listed in "
        "combinations singles the patient out when taken together. Say it more generally; or, where it tells nobody, "
        "send the request again with each finding in acknowledged_findings and the code of each combination in "
        "acknowledged_combinations.",
        fr="Les mots indiqués dans findings peuvent identifier le patient, un proche ou un soignant, et les éléments "
        "de combinations, pris ensemble, peuvent révéler qui est le patient. Dites-les de façon plus "
        "générale\u00a0; ou, s'ils ne permettent d'identifier personne, renvoyez la demande en citant chaque mot dans "
        "acknowledged_findings et le code de chaque combinaison dans acknowledged_combinations.",
    ),
)
CONSENT_NEEDED = ProblemKind(
    "consent-needed",
    409,
    Text(en="The patient's consent is needed", fr="Le consentement du patient est nécessaire"),
    Text(
        en="No valid consent covers this case as it is now ({reason}). Inform the patient, ask for the consent (POST "
        "…/consent-requests), wait for every signature, then submit.",
        fr="Aucun consentement valable ne couvre ce cas tel qu'il est ({reason}). Informez le patient, demandez le "
        "consentement (POST …/consent-requests), attendez toutes les signatures, puis soumettez.",
    ),
)
CONSENT_TEXT_OUTDATED = ProblemKind(
    "consent-text-outdated",
    409,
    Text(en="The patient signed an earlier text", fr="Le patient a signé un texte antérieur"),
    Text(
        en="The pictures listed in picture_ids leave part of a face visible, and the text that the patient signed says "
        "that faces are covered. Ask for a new consent (POST …/consent-requests), which shows these pictures and the "
        "current text, then submit; or leave out the clinical boxes so that the face is covered.",
        fr="Les images de picture_ids laissent visible une partie d'un visage, et le texte que le patient a signé dit "
        "que les visages sont couverts. Demandez un nouveau consentement (POST …/consent-requests), qui montre ces "
        "images et le texte actuel, puis soumettez\u00a0; ou retirez les zones cliniques pour recouvrir le visage.",
    ),
)
MARKS_UNANSWERED = ProblemKind(
    "marks-unanswered",
    409,
    Text(en="A question about your pictures is open", fr="Une question sur vos images est sans réponse"),
    Text(
        en="Say of each picture listed in picture_ids whether it shows a tattoo, a scar, jewellery or a birthmark: "
        "none, covered, or left with a reason (marks, in words at GET /questions). Then submit again.",
        fr="Dites de chaque image de picture_ids si elle montre un tatouage, une cicatrice, un bijou ou une tache de "
        "naissance\u00a0: none, covered, ou left avec une raison (marks, en mots sous GET /questions). Puis soumettez "
        "de nouveau.",
    ),
)
CONSENT_NOT_ACCEPTABLE = ProblemKind(
    "consent-not-acceptable",
    422,
    Text(en="This consent is not acceptable", fr="Ce consentement n'est pas recevable"),
    Text(
        en="The consent cannot be recorded ({reason}). It needs the purpose 'publication', purposes that were offered, "
        "the text of the request, a duration of 1 to 10 years, and dates that are not to come.",
        fr="Le consentement ne peut pas être enregistré ({reason}). Il faut l'usage «\u00a0publication\u00a0», des "
        "usages qui "
        "ont été proposés, le texte de la demande, une durée de 1 à 10 ans, et des dates qui ne sont pas à venir.",
    ),
)
PICTURE_EMPTY = ProblemKind(
    "picture-empty",
    422,
    Text(en="The file is empty", fr="Le fichier est vide"),
    Text(en="Send the picture's bytes as the body.", fr="Envoyez les octets de l'image comme corps de la demande."),
)
PICTURE_TYPE = ProblemKind(
    "picture-type-unsupported",
    415,
    Text(en="Not a supported picture", fr="Type d'image non pris en charge"),
    Text(
        en="By its content the file is none of {supported}. Export the picture in one of these; its name plays "
        "no part.",
        fr="D'après son contenu, le fichier n'est d'aucun de ces types\u00a0: {supported}. Exportez l'image dans l'un "
        "d'eux\u00a0; son nom ne joue aucun rôle.",
    ),
)
PICTURE_UNREADABLE = ProblemKind(
    "picture-unreadable",
    422,
    Text(en="The picture cannot be read", fr="L'image est illisible"),
    Text(
        en="The file begins like {media_type}, but its header cannot be read or holds no picture. Export it again.",
        fr="Le fichier commence comme {media_type}, mais son en-tête est illisible ou ne contient pas d'image. "
        "Exportez-la de nouveau.",
    ),
)
PICTURE_PIXELS = ProblemKind(
    "picture-too-many-pixels",
    413,
    Text(en="Too many pixels", fr="Trop de pixels"),
    Text(
        en="A picture may have {limit_pixels} pixels in all and {limit_side} a side; this one has more. "
        "Make it smaller.",
        fr="Une image peut avoir {limit_pixels} pixels au total et {limit_side} par côté\u00a0; celle-ci en a plus. "
        "Réduisez-la.",
    ),
)
PICTURE_FRAMES = ProblemKind(
    "picture-too-many-frames",
    413,
    Text(en="Too many frames", fr="Trop de vues"),
    Text(
        en="The file has {frames} frames; at most {limit_frames} are taken. Choose those that matter.",
        fr="Le fichier contient {frames} vues\u00a0; au plus {limit_frames} sont acceptées. Choisissez celles "
        "qui comptent.",
    ),
)
UPLOADS_BUSY = ProblemKind(
    "uploads-busy",
    503,
    Text(en="Too many uploads at once", fr="Trop d'envois simultanés"),
    Text(
        en="Other uploads are still being received. Send this one again in a few seconds.",
        fr="D'autres envois sont encore en cours. Renvoyez celui-ci dans quelques secondes.",
    ),
)
UPLOAD_SLOW = ProblemKind(
    "upload-too-slow",
    408,
    Text(en="The upload took too long", fr="L'envoi a pris trop de temps"),
    Text(
        en="The file did not arrive within {limit_s} seconds. Try again over a faster connection.",
        fr="Le fichier n'est pas arrivé en {limit_s} secondes. Réessayez avec une connexion plus rapide.",
    ),
)
KEY_INVALID = ProblemKind(
    "idempotency-key-invalid",
    400,
    Text(en="The Idempotency-Key is not valid", fr="Idempotency-Key non valable"),
    Text(
        en="Send 1 to 128 letters, digits or . _ : - as Idempotency-Key, a new one for each request you make.",
        fr="Envoyez de 1 à 128 lettres, chiffres ou . _\u00a0: - comme Idempotency-Key, une nouvelle par demande.",
    ),
)
KEY_REUSED = ProblemKind(
    "idempotency-key-reused",
    422,
    Text(en="This Idempotency-Key belongs to another request", fr="Idempotency-Key déjà utilisée"),
    Text(
        en="The key was used before with a different request. Use a new key for a new request.",
        fr="Cette clé a déjà servi pour une autre demande. Utilisez une nouvelle clé pour une nouvelle demande.",
    ),
)

_BY_CODE = {
    kind.slug: kind
    for kind in (
        CASE_UNKNOWN,
        CASE_WITHDRAWN,
        CASE_STATE,
        CASE_NOT_PUBLISHED,
        COMMENTS_CLOSED,
        PARENT_UNKNOWN,
        TOO_MANY_PICTURES,
        PICTURE_UNKNOWN,
        NOT_REDACTED,
        BOX_OUTSIDE,
        TEXT_MAY_IDENTIFY,
        TOO_MANY_BOXES,
        CONSENT_NEEDED,
        CONSENT_TEXT_OUTDATED,
        MARKS_UNANSWERED,
        CONSENT_NOT_ACCEPTABLE,
        *OF_REFUSALS,
    )
}


def problem_of(refusal: Refused) -> Problem:
    """The problem document for a refusal of the domain; every code has one (a test walks them)."""
    return _BY_CODE[refusal.code](**refusal.facts)
