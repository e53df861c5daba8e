"""Every way in which a withdrawal code or a receipt is refused, in both languages and in words for patients."""

from shared.web import ProblemKind, Text

CODE_MISTYPED = ProblemKind(
    "withdrawal-code-mistyped",
    422,
    Text(en="There is a slip in the code", fr="Il y a une faute de frappe dans le code"),
    Text(
        en="The code has four groups of five letters and digits. One of them is missing, too many, or was read as "
        "another: compare with your sheet. 0 and O, 1 and I count as the same.",
        fr="Le code compte quatre groupes de cinq lettres et chiffres. Il en manque un, il y en a un de trop, ou l’un "
        "est pris pour un autre\u00a0: comparez avec votre feuille. 0 et O, 1 et I comptent comme identiques.",
    ),
)
CODE_UNKNOWN = ProblemKind(
    "withdrawal-code-unknown",
    404,
    Text(en="We do not know this code", fr="Nous ne connaissons pas ce code"),
    Text(
        en="No case here belongs to this code. Is this the site whose address stands beside your code? If so, ask your "
        "carer, who can end it without the code, or the data protection officer named on your sheet.",
        fr="Aucun cas d’ici ne correspond à ce code. Est-ce bien le site dont l’adresse figure à côté de votre "
        "code\u00a0? Si oui, adressez-vous à votre soignant, qui peut y mettre fin sans le code, ou au "
        "délégué à la protection des données indiqué sur votre feuille.",
    ),
)
TOO_MANY_TRIES = ProblemKind(
    "too-many-tries",
    429,
    Text(en="Too many wrong codes", fr="Trop de codes erronés"),
    Text(
        en="Many wrong codes came from your connection. Wait {minutes} min, then try again. Your code stays valid.",
        fr="De nombreux codes erronés sont venus de votre connexion. Attendez {minutes}\u00a0min, puis réessayez. "
        "Votre code reste valable.",
    ),
)
RECEIPT_UNKNOWN = ProblemKind(
    "receipt-unknown",
    404,
    Text(en="No such receipt", fr="Reçu inconnu"),
    Text(
        en="The address was copied incompletely. With the withdrawal code you find the receipt again.",
        fr="L’adresse a été mal copiée. Avec le code de retrait, vous retrouvez le reçu.",
    ),
)
