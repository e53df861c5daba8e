"""The problem documents of moderation, in both languages. Which refusal is told by which: `problems.py`."""

from services.moderation.domain import AnswerFault, BoxFault
from shared.events import MAX_BOXES
from shared.web import ProblemKind, Text

CASE_UNKNOWN = ProblemKind(
    "case-unknown",
    404,
    Text(en="No such case", fr="Cas inconnu"),
    Text(
        en="No case with this id was submitted. Take one from the queue.",
        fr="Aucun cas soumis ne porte cet identifiant. Prenez-en un dans la file.",
    ),
)
CASE_WITHDRAWN = ProblemKind(
    "case-withdrawn",
    410,
    Text(en="The case was withdrawn", fr="Le cas a été retiré"),
    Text(
        en="The author withdrew this case; there is nothing left to decide. Take another one from the queue.",
        fr="L'auteur a retiré ce cas\u00a0; il n'y a plus rien à décider. Prenez-en un autre dans la file.",
    ),
)
CASE_NOT_WAITING = ProblemKind(
    "case-not-waiting",
    409,
    Text(en="The case is already decided", fr="Le cas est déjà décidé"),
    Text(
        en="This case is no longer waiting for a decision (state: {state}). Take another one from the queue.",
        fr="Ce cas n'attend plus de décision (état\u00a0: {state}). Prenez-en un autre dans la file.",
    ),
)
OWN_CASE = ProblemKind(
    "own-case",
    403,
    Text(en="This is your own case", fr="C'est votre propre cas"),
    Text(
        en="Nobody moderates their own case. Leave it to a colleague.",
        fr="Personne ne modère son propre cas. Laissez-le à un collègue.",
    ),
)
CASE_CLAIMED = ProblemKind(
    "case-claimed",
    409,
    Text(en="A colleague is at work on this case", fr="Un collègue travaille sur ce cas"),
    Text(
        en="Another moderator holds this case at least until {expires_at}. Take another one from the queue.",
        fr="Un autre modérateur détient ce cas au moins jusqu'à {expires_at}. Prenez-en un autre dans la file.",
    ),
)
CLAIM_NEEDED = ProblemKind(
    "claim-needed",
    409,
    Text(en="You do not hold this case", fr="Vous ne détenez pas ce cas"),
    Text(
        en="Your claim has run out or was never taken. Claim the case again; pictures must then be looked at anew.",
        fr="Votre prise en charge a expiré ou n'a jamais eu lieu. Prenez le cas à nouveau\u00a0; il faudra revoir les "
        "images.",
    ),
)
PICTURE_UNKNOWN = ProblemKind(
    "picture-unknown",
    404,
    Text(en="No such picture", fr="Image inconnue"),
    Text(
        en="The case has no such picture, frame or size now. Read the case again.",
        fr="Le cas n'a pas (ou plus) cette image, cette vue ou cette taille. Relisez le cas.",
    ),
)
REVISION_STALE = ProblemKind(
    "revision-stale",
    409,
    Text(en="The picture has changed", fr="L'image a changé"),
    Text(
        en="There is another revision of this picture now ({current_revision}). Look at it, then decide.",
        fr="Il existe maintenant une autre révision de cette image ({current_revision}). Regardez-la, puis décidez.",
    ),
)
REDACTION_OUTSTANDING = ProblemKind(
    "redaction-outstanding",
    409,
    Text(en="A picture is still being painted", fr="Une image est encore en cours de masquage"),
    Text(
        en="Wait until the pictures listed in picture_ids have their new revision, then look at them.",
        fr="Attendez que les images de picture_ids aient leur nouvelle révision, puis regardez-les.",
    ),
)
PICTURE_UNREADABLE = ProblemKind(
    "picture-unreadable",
    409,
    Text(en="The picture could not be read", fr="L'image n'a pas pu être lue"),
    Text(
        en="There is nothing of this picture to see, so it can only be withheld.",
        fr="Il n'y a rien à voir de cette image\u00a0: elle ne peut être qu'écartée.",
    ),
)
PICTURE_NOT_SEEN = ProblemKind(
    "picture-not-seen",
    409,
    Text(en="You have not seen the whole picture", fr="Vous n'avez pas vu toute l'image"),
    Text(
        en="Open the frames listed in frames at full size, then decide.",
        fr="Ouvrez en pleine taille les vues listées dans frames, puis décidez.",
    ),
)
PROPOSALS_UNANSWERED = ProblemKind(
    "proposals-unanswered",
    409,
    Text(en="The machine suspects something that nobody has answered", fr="Un soupçon de la machine est sans réponse"),
    Text(
        en="For each place listed in proposals (frame, number of the proposal): cover it by new boxes, or send the "
        "decision with an answer for it: covered, or left with a reason from GET /questions.",
        fr="Pour chaque endroit de proposals (vue, numéro de la proposition)\u00a0: recouvrez-le par de "
        "nouvelles zones, ou "
        "envoyez la décision avec une réponse\u00a0: covered, ou left avec une raison de GET /questions.",
    ),
)
PROPOSAL_NOT_COVERED = ProblemKind(
    "proposal-not-covered",
    409,
    Text(en="This place is not covered", fr="Cet endroit n'est pas recouvert"),
    Text(
        en="You answered covered for proposal {proposal} of frame {frame}, but less than half of it is painted. Draw a "
        "box over it (PUT boxes) and look at the new revision, or leave it with a reason.",
        fr="Vous avez répondu covered pour la proposition {proposal} de la vue {frame}, mais moins de la moitié en est "
        "recouverte. Tracez une zone dessus (PUT boxes) et regardez la nouvelle révision, ou laissez-la avec une "
        "raison.",
    ),
)
MARKS_UNANSWERED = ProblemKind(
    "marks-unanswered",
    409,
    Text(en="A question about this picture is open", fr="Une question sur cette image est sans réponse"),
    Text(
        en="Say whether the picture shows a tattoo, a scar, jewellery or a birthmark: send the decision with marks: "
        "none, covered, or left with reasons (in words at GET /questions).",
        fr="Dites si l'image montre un tatouage, une cicatrice, un bijou ou une tache de naissance\u00a0: envoyez la "
        "décision avec marks\u00a0: none, covered, ou left avec des raisons (en mots sous GET /questions).",
    ),
)
SECOND_MODERATOR_NEEDED = ProblemKind(
    "second-moderator-needed",
    403,
    Text(en="Another moderator has to look now", fr="C'est à un autre modérateur de regarder"),
    Text(
        en="You have approved this case. A picture of it shows a face or part of one, so a second moderator has to "
        "approve it too. Take another case from the queue, or take your approval back "
        "(DELETE /cases/{case_id}/approval).",
        fr="Vous avez approuvé ce cas. Une de ses images montre un visage ou une partie d'un visage\u00a0: un deuxième "
        "modérateur doit aussi l'approuver. Prenez un autre cas dans la file, ou retirez votre approbation "
        "(DELETE /cases/{case_id}/approval).",
    ),
)
NO_FIRST_APPROVAL = ProblemKind(
    "no-first-approval",
    409,
    Text(en="There is no approval to take back", fr="Il n'y a pas d'approbation à retirer"),
    Text(
        en="No first approval of yours is waiting for a second moderator on this case: you gave none, it was taken "
        "back, or a picture has changed since. Claim the case if you want to decide.",
        fr="Aucune première approbation de votre part n'attend un deuxième modérateur pour ce cas\u00a0: vous "
        "n'en avez pas "
        "donné, elle a été retirée, ou une image a changé depuis. Prenez le cas en charge si vous voulez décider.",
    ),
)
PICTURES_UNDECIDED = ProblemKind(
    "pictures-undecided",
    409,
    Text(en="Some pictures have no decision", fr="Des images n'ont pas de décision"),
    Text(
        en="Publish or withhold each picture listed in picture_ids, then approve.",
        fr="Publiez ou écartez chaque image de picture_ids, puis approuvez.",
    ),
)
TEXT_NOT_SEEN = ProblemKind(
    "text-not-seen",
    409,
    Text(en="You have not read this text", fr="Vous n'avez pas lu ce texte"),
    Text(
        en="Read the case (GET /cases/{case_id}) in this claim, then approve.",
        fr="Lisez le cas (GET /cases/{case_id}) pendant cette prise en charge, puis approuvez.",
    ),
)
TEXT_MISSING = ProblemKind(
    "text-missing",
    409,
    Text(en="Nothing would be published", fr="Rien ne serait publié"),
    Text(
        en="Every picture is withheld and there is no text. Send the case back instead.",
        fr="Toutes les images sont écartées et il n'y a pas de texte. Renvoyez plutôt le cas.",
    ),
)
CONSENT_MISSING = ProblemKind(
    "consent-missing",
    409,
    Text(en="There is no consent", fr="Il n'y a pas de consentement"),
    Text(
        en="The case shows pictures and its submission names no consent. Send it back for changes.",
        fr="Le cas montre des images et sa soumission ne cite aucun consentement. Renvoyez-le pour modification.",
    ),
)
SHOWS_MORE = ProblemKind(
    "shows-more-than-agreed",
    409,
    Text(en="This shows more than the patient agreed to", fr="Ceci montre plus que ce que le patient a accepté"),
    Text(
        en="Something is open here that was covered in the picture which the patient saw. Have it covered again, "
        "withhold the picture, or send the case back: the author can draw anew and ask the patient.",
        fr="Une partie recouverte sur l'image que le patient a vue ne l'est plus. Faites-la recouvrir, écartez "
        "l'image, ou renvoyez le cas\u00a0: l'auteur peut redessiner et interroger le patient.",
    ),
)
CONSENT_ENDED = ProblemKind(
    "consent-ended",
    409,
    Text(en="The consent has ended", fr="Le consentement a pris fin"),
    Text(
        en="The last day on which the patient lets the case be shown is over. It cannot be published any more.",
        fr="Le dernier jour où le patient accepte que le cas soit montré est passé. Il ne peut plus être publié.",
    ),
)
CONTENT_GONE = ProblemKind(
    "content-gone",
    404,
    Text(en="The content is not there", fr="Le contenu est absent"),
    Text(
        en="The store has no such object; the case may be being withdrawn. Read the case again in a few seconds.",
        fr="L'objet n'existe pas\u00a0; le cas est peut-être en cours de retrait. Relisez le cas dans quelques "
        "secondes.",
    ),
)
CONTENT_BROKEN = ProblemKind(
    "content-broken",
    502,
    Text(en="The content cannot be trusted", fr="Le contenu n'est pas fiable"),
    Text(
        en="What the store holds is not what the redactor or the author wrote. Tell the operators; do not decide.",
        fr="Ce que contient le stockage n'est pas ce qui a été écrit. Prévenez les opérateurs\u00a0; ne décidez pas.",
    ),
)
CURSOR_MALFORMED = ProblemKind(
    "cursor-malformed",
    422,
    Text(en="No such page", fr="Page inconnue"),
    Text(
        en="The cursor was not given out by this queue. Start again without one.",
        fr="Ce curseur ne vient pas de cette file. Recommencez sans curseur.",
    ),
)

BOX_FAULTS = {
    BoxFault.FRAME_UNKNOWN: Text(
        en="The picture has no such frame.",
        fr="L'image n'a pas cette vue.",
    ),
    BoxFault.FRAME_TWICE: Text(
        en="This frame is listed twice.",
        fr="Cette vue figure deux fois.",
    ),
    BoxFault.FRAMES_FORGOTTEN: Text(
        en="List every frame of the picture, with an empty list of boxes where none is wanted.",
        fr="Donnez toutes les vues de l'image, avec une liste vide là où aucune zone n'est voulue.",
    ),
    BoxFault.BOX_OUTSIDE: Text(
        en="This box lies outside its frame (x, y, width, height in pixels of the full size).",
        fr="Cette zone est hors de sa vue (x, y, largeur, hauteur en pixels de la pleine taille).",
    ),
    BoxFault.CLINICAL_NEW: Text(
        en="Only the author marks a clinical region. Keep it, make it smaller or leave it out.",
        fr="Seul l'auteur marque une zone clinique. Gardez-la, réduisez-la ou omettez-la.",
    ),
    BoxFault.TOO_MANY: Text(
        en=f"A picture takes at most {MAX_BOXES} boxes over all its frames. Draw fewer, larger ones.",
        fr=f"Une image accepte au plus {MAX_BOXES} zones, toutes vues comprises. Tracez-en moins, de plus grandes.",
    ),
}
ANSWER_FAULTS = {
    AnswerFault.PROPOSAL_UNKNOWN: Text(
        en="This revision of the picture has no such proposal.",
        fr="Cette révision de l'image n'a pas cette proposition.",
    ),
    AnswerFault.PROPOSAL_TWICE: Text(
        en="This proposal is answered twice.",
        fr="Cette proposition a deux réponses.",
    ),
}

COMMENT_UNKNOWN = ProblemKind(
    "comment-unknown",
    404,
    Text(en="No such comment", fr="Commentaire inconnu"),
    Text(
        en="No comment with this id waits for a decision. Take one from the list of comments.",
        fr="Aucun commentaire portant cet identifiant n'attend de décision. Prenez-en un dans la liste.",
    ),
)
COMMENT_DECIDED = ProblemKind(
    "comment-decided",
    409,
    Text(en="The comment is already decided", fr="Le commentaire est déjà décidé"),
    Text(
        en="Another decision was made about this comment (state: {state}). Take another one from the list.",
        fr="Une autre décision a été prise sur ce commentaire (état\u00a0: {state}). Prenez-en un autre dans la liste.",
    ),
)
OWN_COMMENT = ProblemKind(
    "own-comment",
    403,
    Text(en="This is your own comment", fr="C'est votre propre commentaire"),
    Text(
        en="Nobody decides about their own comment. Leave it to a colleague.",
        fr="Personne ne décide de son propre commentaire. Laissez-le à un collègue.",
    ),
)
