"""How a caller is refused at the door: the problems of `shared.auth`, in both languages."""

from shared.web.problems import ProblemKind, Text

SIGN_IN_NEEDED = ProblemKind(
    "sign-in-needed",
    401,
    Text(en="Please sign in", fr="Veuillez vous connecter"),
    Text(
        en="Sign in and send the access token as 'Authorization: Bearer …'.",
        fr="Connectez-vous et envoyez le jeton d'accès sous la forme « Authorization: Bearer …\u00a0».",
    ),
)
TOKEN_REFUSED = ProblemKind(
    "token-refused",
    401,
    Text(en="Your sign-in is no longer valid", fr="Votre connexion n'est plus valable"),
    Text(
        en="The access token is expired or was not issued for this platform. Sign in again.",
        fr="Le jeton d'accès a expiré ou n'a pas été émis pour cette plateforme. Reconnectez-vous.",
    ),
)
ACCOUNT_UNVERIFIED = ProblemKind(
    "account-unverified",
    403,
    Text(en="Your profession is not verified yet", fr="Votre profession n'est pas encore vérifiée"),
    Text(
        en="Only verified health professionals take part. Wait until your profession has been verified.",
        fr="Seuls les professionnels de santé vérifiés participent. Attendez que votre profession soit vérifiée.",
    ),
)
ACCOUNT_SUSPENDED = ProblemKind(
    "account-suspended",
    403,
    Text(en="Your account is suspended", fr="Votre compte est suspendu"),
    Text(
        en="This account may not take part for now. Write to the administrators if you think this is a mistake.",
        fr="Ce compte ne peut pas participer pour l'instant. Écrivez aux administrateurs si c'est une erreur.",
    ),
)
PROFESSIONALS_ONLY = ProblemKind(
    "professionals-only",
    403,
    Text(en="For health professionals only", fr="Réservé aux professionnels de santé"),
    Text(
        en="Only health professionals and students of these professions see this. Your account is another kind.",
        fr="Seuls les professionnels de santé et les étudiants de ces professions y ont accès. Votre compte est d'un "
        "autre type.",
    ),
)
ROLE_MISSING = ProblemKind(
    "role-missing",
    403,
    Text(en="Your account does not have this role", fr="Votre compte n'a pas ce rôle"),
    Text(
        en="This needs the role {role}. Ask an administrator if it should be yours.",
        fr="Il faut pour cela le rôle {role}. Adressez-vous à un administrateur s'il devrait être le vôtre.",
    ),
)
SECOND_FACTOR_NEEDED = ProblemKind(
    "second-factor-needed",
    401,
    Text(en="A second factor is needed", fr="Un second facteur est nécessaire"),
    Text(
        en="Whoever decides about others signs in with two factors. Add an authenticator app or a passkey to your "
        "account, then sign in with it.",
        fr="Les personnes dont les décisions concernent d'autres membres se connectent avec deux facteurs. Ajoutez à "
        "votre compte une application d'authentification ou une clé d'accès, puis connectez-vous avec elle.",
    ),
)
SIGN_IN_AGAIN = ProblemKind(
    "sign-in-again",
    401,
    Text(en="Please confirm that it is you", fr="Confirmez que c'est bien vous"),
    Text(
        en="Your sign-in is too long ago for this. Prove once more who you are (POST /sessions/current/proof), then "
        "try again.",
        fr="Votre connexion est trop ancienne pour cela. Prouvez de nouveau qui vous êtes "
        "(POST /sessions/current/proof), puis réessayez.",
    ),
)
KEYS_AWAY = ProblemKind(
    "identity-unavailable",
    503,
    Text(en="Sign-ins cannot be checked now", fr="Les connexions ne peuvent pas être vérifiées"),
    Text(
        en="The identity service is away for the moment. Try again in a few seconds.",
        fr="Le service d'identité est momentanément absent. Réessayez dans quelques secondes.",
    ),
)
