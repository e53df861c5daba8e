"""Every way in which asking for a consent, signing it, or reading its proof is refused, in both languages."""

from shared.web import ProblemKind, Text

NOT_CONFIGURED = ProblemKind(
    "consent-not-configured",
    503,
    Text(en="Consents cannot be asked for here", fr="Aucun consentement ne peut être demandé ici"),
    Text(
        en="The form has to name the responsible organisation and its data protection officer. Ask the operator to set "
        "INGEST_CONTROLLER and INGEST_DATA_OFFICER.",
        fr="Le formulaire doit nommer l'organisme responsable et son délégué à la protection des données. Demandez à "
        "l'exploitant de définir INGEST_CONTROLLER et INGEST_DATA_OFFICER.",
    ),
)
NOT_INFORMED = ProblemKind(
    "patient-not-informed",
    409,
    Text(en="The patient has not been informed", fr="Le patient n'a pas été informé"),
    Text(
        en="Inform the patient first and record it (PUT /cases/…/information); the leaflet helps. Then ask for the "
        "consent.",
        fr="Informez d'abord le patient et consignez-le (PUT /cases/…/information) ; la notice vous y aide. Demandez "
        "ensuite le consentement.",
    ),
)
SUBJECT = ProblemKind(
    "consent-subject",
    422,
    Text(en="It is not clear who may sign", fr="On ne sait pas qui peut signer"),
    Text(
        en="What is said of the person in the pictures does not fit together ({reason}). A minor: both holders of "
        "parental authority, or one with legal_ground; a protected adult: legal_ground; the deceased: relation. "
        "For all three say in own_view what the person says or said, how it was told, and when.",
        fr="Les indications sur la personne des images ne concordent pas ({reason}). Mineur : les deux titulaires de "
        "l'autorité parentale, ou un seul avec legal_ground ; adulte protégé : legal_ground ; personne décédée : "
        "relation. Dans ces trois cas, indiquez dans own_view ce que dit ou disait la personne, comment, et quand.",
    ),
)
PICTURES_CHANGED = ProblemKind(
    "consent-pictures-changed",
    409,
    Text(en="The pictures have changed", fr="Les images ont changé"),
    Text(
        en="These are no longer the pictures that the request shows. Ask for a new consent to the pictures as they "
        "are now.",
        fr="Ce ne sont plus les images que montre la demande. Demandez un nouveau consentement pour les images "
        "actuelles.",
    ),
)
REQUEST_UNKNOWN = ProblemKind(
    "consent-request-unknown",
    404,
    Text(en="No such consent request", fr="Demande de consentement inconnue"),
    Text(
        en="This case has no such request, or a newer one took its place. Read the case again.",
        fr="Ce cas n'a pas cette demande, ou une plus récente l'a remplacée. Relisez le cas.",
    ),
)
REQUEST_CLOSED = ProblemKind(
    "consent-request-closed",
    409,
    Text(en="This request is closed", fr="Cette demande est close"),
    Text(
        en="The request is '{state}': no signature is awaited. Make a new request if one is needed.",
        fr="La demande est « {state} » : aucune signature n'est attendue. Faites une nouvelle demande si nécessaire.",
    ),
)
REQUEST_SIGNED = ProblemKind(
    "consent-request-signed",
    409,
    Text(en="Somebody has signed already", fr="Quelqu'un a déjà signé"),
    Text(
        en="A new request throws away the signature of the open one. Send it with replace: true if you mean that.",
        fr="Une nouvelle demande annule la signature de la demande ouverte. Envoyez replace: true si c'est voulu.",
    ),
)
SIGNER_UNKNOWN = ProblemKind(
    "consent-signer-unknown",
    404,
    Text(en="No such signer", fr="Signataire inconnu"),
    Text(en="The request names no such signer. Read the case again.", fr="La demande n'a pas ce signataire. Relisez."),
)
LINK_UNKNOWN = ProblemKind(
    "consent-link-unknown",
    404,
    Text(en="This link does not work", fr="Ce lien ne fonctionne pas"),
    Text(
        en="It was copied incompletely, a newer link took its place, or the request was ended. Ask your carer for a "
        "new link.",
        fr="Il a été mal copié, un lien plus récent l'a remplacé, ou la demande a pris fin. Demandez un nouveau lien à "
        "votre soignant.",
    ),
)
LINK_EXPIRED = ProblemKind(
    "consent-link-expired",
    410,
    Text(en="This link has expired", fr="Ce lien a expiré"),
    Text(
        en="Links work for 14 days. Ask your carer for a new one.",
        fr="Un lien fonctionne pendant 14 jours. Demandez-en un nouveau à votre soignant.",
    ),
)
LINK_USED = ProblemKind(
    "consent-link-used",
    409,
    Text(en="This was signed already", fr="Une signature a déjà été donnée"),
    Text(
        en="Nothing more is to be signed here. If you wish to end the consent, use your withdrawal code, or tell your "
        "carer.",
        fr="Il n'y a plus rien à signer ici. Si vous souhaitez mettre fin au consentement, utilisez votre code de "
        "retrait, ou dites-le à votre soignant.",
    ),
)
FORM_NOT_PRINTED = ProblemKind(
    "consent-form-not-printed",
    409,
    Text(en="Print the form first", fr="Imprimez d'abord le formulaire"),
    Text(
        en="A form signed on paper carries a withdrawal code for the patient. Have one made (POST …/form), print it, "
        "have it signed, and photograph that sheet.",
        fr="Le formulaire signé sur papier porte un code de retrait pour le patient. Demandez-le (POST …/form), "
        "imprimez-le, faites-le signer et photographiez cette feuille.",
    ),
)
SHEET_TYPE = ProblemKind(
    "sheet-type-unsupported",
    415,
    Text(en="Not a supported file", fr="Type de fichier non pris en charge"),
    Text(
        en="Send the photographed or scanned form as JPEG, PNG or PDF.",
        fr="Envoyez le formulaire photographié ou numérisé en JPEG, PNG ou PDF.",
    ),
)
FORMS_BUSY = ProblemKind(
    "forms-busy",
    503,
    Text(en="Too many forms at once", fr="Trop de formulaires à la fois"),
    Text(
        en="Other forms are still being made. Ask for this one again in a few seconds.",
        fr="D'autres formulaires sont encore en préparation. Redemandez celui-ci dans quelques secondes.",
    ),
)
SHEET_UNREADABLE = ProblemKind(
    "sheet-unreadable",
    422,
    Text(en="The form cannot be read", fr="Le formulaire est illisible"),
    Text(
        en="The file is not complete. Photograph or scan the form again, and send the whole file.",
        fr="Le fichier n'est pas complet. Photographiez ou numérisez de nouveau le formulaire, et envoyez le fichier "
        "entier.",
    ),
)
SIGNATURE_UNREADABLE = ProblemKind(
    "signature-unreadable",
    422,
    Text(en="The signature cannot be read", fr="La signature est illisible"),
    Text(
        en="Draw the signature again, or send a picture of it as PNG or JPEG.",
        fr="Dessinez de nouveau la signature, ou envoyez-en une image en PNG ou JPEG.",
    ),
)
SIGNATURE_EMPTY = ProblemKind(
    "signature-empty",
    422,
    Text(en="The signature is missing", fr="La signature manque"),
    Text(
        en="Draw your signature in the box with a finger or the mouse. If you cannot, sign on paper with your carer.",
        fr="Dessinez votre signature dans le cadre, avec un doigt ou la souris. Si vous ne pouvez pas, signez sur "
        "papier avec votre soignant.",
    ),
)
SIGNATURE_LARGE = ProblemKind(
    "signature-too-large",
    413,
    Text(en="The signature is too large", fr="La signature est trop volumineuse"),
    Text(
        en="A signature may have {limit_bytes} bytes. Send a smaller picture.",
        fr="Une signature peut avoir {limit_bytes} octets. Envoyez une image plus petite.",
    ),
)
CONSENT_UNKNOWN = ProblemKind(
    "consent-unknown",
    404,
    Text(en="No such consent", fr="Consentement inconnu"),
    Text(
        en="There is no consent with this id, or its time is over and it was erased.",
        fr="Aucun consentement ne porte cet identifiant, ou son délai est passé et il a été effacé.",
    ),
)
PROOF_ERASED = ProblemKind(
    "proof-erased",
    410,
    Text(en="The proof was erased", fr="La preuve a été effacée"),
    Text(
        en="The signed form of this consent is no longer kept.",
        fr="Le formulaire signé de ce consentement n'est plus conservé.",
    ),
)
OWN_CASE = ProblemKind(
    "own-case",
    403,
    Text(en="This is your own case", fr="C'est votre propre cas"),
    Text(
        en="The author of a case never reads its signed forms, privacy officer or not. Ask another privacy officer.",
        fr="L'auteur d'un cas n'en lit jamais les formulaires signés, même délégué à la protection des données. "
        "Adressez-vous à un autre délégué.",
    ),
)

OF_REFUSALS = (
    NOT_INFORMED,
    SUBJECT,
    PICTURES_CHANGED,
    REQUEST_UNKNOWN,
    REQUEST_CLOSED,
    REQUEST_SIGNED,
    SIGNER_UNKNOWN,
    LINK_UNKNOWN,
    LINK_EXPIRED,
    LINK_USED,
    FORM_NOT_PRINTED,
    CONSENT_UNKNOWN,
)
"""Those that the domain raises, by their codes; see `problems.problem_of`."""
