"""What the signing page says around the consent text, in both languages."""

from collections.abc import Mapping
from typing import Final

from shared.web import Text

SIGNING: Final[Mapping[str, Text]] = {
    "title": Text(en="Consent", fr="Consentement"),
    "steps": Text(
        en="Read, look at the pictures, choose, sign. Take your time; you may close this page and come back until "
        "{until}.",
        fr="Lisez, regardez les images, choisissez, signez. Prenez votre temps\u00a0; vous pouvez fermer cette page et "
        "revenir jusqu’au {until}.",
    ),
    "read": Text(en="Read", fr="Lisez"),
    "form": Text(en="What is asked of you", fr="Ce qui vous est demandé"),
    "text_proof": Text(
        en="Text {version}, SHA-256 {sha256}",
        fr="Texte {version}, SHA-256 {sha256}",
    ),
    "pictures": Text(en="Look at the pictures", fr="Regardez les images"),
    "pictures_how": Text(
        en="These are the pictures that would be shown, covered as you see them here. Tap one to see it larger.",
        fr="Voici les images qui seraient montrées, recouvertes comme vous les voyez ici. Touchez-en une pour "
        "l’agrandir.",
    ),
    "no_pictures": Text(
        en="There is no picture: only the description would be shown. Ask your carer to read it to you.",
        fr="Il n’y a pas d’image\u00a0: seule la description serait montrée. Demandez à votre soignant de vous la "
        "lire.",
    ),
    "picture_alt": Text(en="Covered picture {n} of {all}", fr="Image recouverte {n} sur {all}"),
    "choose": Text(en="Choose", fr="Choisissez"),
    "choose_how": Text(
        en="Tick what you agree to. Each box is on its own; nothing is ticked for you.",
        fr="Cochez ce que vous acceptez. Chaque case compte à part\u00a0; rien n’est coché d’avance.",
    ),
    "needed": Text(en="needed, or nothing is shown", fr="nécessaire, sinon rien n’est montré"),
    "confirm": Text(en="Confirm", fr="Confirmez"),
    "seen": Text(en="I have looked at each picture on this page.", fr="J’ai regardé chacune des images de cette page."),
    "seen_text": Text(en="I have read this page.", fr="J’ai lu cette page."),
    "sign": Text(en="Sign", fr="Signez"),
    "pad_how": Text(
        en="Draw your signature in the box with a finger, a pen or the mouse. Do not write a name in letters if you "
        "can avoid it.",
        fr="Dessinez votre signature dans le cadre, avec un doigt, un stylet ou la souris. Évitez si possible d’écrire "
        "un nom en toutes lettres.",
    ),
    "pad_label": Text(en="Box to draw your signature in", fr="Cadre où dessiner votre signature"),
    "again": Text(en="Clear and draw again", fr="Effacer et recommencer"),
    "signature_missing": Text(
        en="The signature is missing. Draw it in the box above.",
        fr="La signature manque. Dessinez-la dans le cadre ci-dessus.",
    ),
    "without_script": Text(
        en="Your browser cannot draw here: send a picture of your signature instead.",
        fr="Votre navigateur ne permet pas de dessiner ici\u00a0: envoyez plutôt une image de votre signature.",
    ),
    "with_file": Text(en="Send a picture of my signature", fr="Envoyer une image de ma signature"),
    "file_label": Text(
        en="A photograph or a scan, PNG or JPEG, at most 5 MB. Only the strokes are kept.",
        fr="Une photo ou un scan, PNG ou JPEG, 5\u00a0Mo au plus. Seuls les traits sont conservés.",
    ),
    "cannot_draw": Text(en="I cannot draw, or prefer paper", fr="Je ne peux pas dessiner, ou je préfère le papier"),
    "paper_how": Text(
        en="Ask your carer to print the form. You sign it with a pen, or make your mark, and keep the part with the "
        "withdrawal code. Your carer photographs the form, and nothing more is to be done here.",
        fr="Demandez à votre soignant d’imprimer le formulaire. Vous le signez au stylo, ou y faites votre marque, et "
        "gardez la partie qui porte le code de retrait. Votre soignant photographie le formulaire, et il n’y a plus "
        "rien à faire ici.",
    ),
    "form_to_read": Text(en="The form as a PDF, to read or keep", fr="Le formulaire en PDF, à lire ou à garder"),
    "code_follows": Text(
        en="After signing you get a withdrawal code. With it alone you can end everything at any time.",
        fr="Après la signature, vous recevez un code de retrait. Avec lui seul, vous pouvez mettre fin à tout, à tout "
        "moment.",
    ),
    "sign_button": Text(en="I agree and sign", fr="J’accepte et je signe"),
    "no": Text(en="I do not agree", fr="Je ne suis pas d’accord"),
    "no_how": Text(
        en="Then nothing is shown, and your care does not change. You need not say why. You can also just close this "
        "page.",
        fr="Alors rien n’est montré, et vos soins ne changent pas. Vous n’avez pas à dire pourquoi. Vous pouvez aussi "
        "simplement fermer cette page.",
    ),
    "no_button": Text(en="I say no", fr="Je dis non"),
    "not_yet": Text(en="Not signed yet", fr="Ce n’est pas encore signé"),
}
PROBLEMS: Final[Mapping[str, Text]] = {
    "purpose-publication": Text(
        en="The first box is not ticked: without it nothing can be shown. If you do not agree, say no at the end of "
        "the page.",
        fr="La première case n’est pas cochée\u00a0: sans elle, rien ne peut être montré. Si vous n’êtes pas d’accord, "
        "dites non en bas de la page.",
    ),
    "capacity": Text(en="Confirm who you are.", fr="Confirmez qui vous êtes."),
    "seen": Text(en="Confirm that you have looked.", fr="Confirmez que vous avez regardé."),
    "sign": Text(
        en="The signature is missing or cannot be read. Draw it again.",
        fr="La signature manque ou est illisible. Dessinez-la de nouveau.",
    ),
}
SIGNED: Final[Mapping[str, Text]] = {
    "signed_title": Text(en="Signed. Thank you.", fr="C’est signé. Merci."),
    "signed_complete": Text(
        en="Your carer can now go on. A second person will check every picture before anybody else sees it.",
        fr="Votre soignant peut maintenant continuer. Une deuxième personne contrôlera chaque image avant que "
        "quiconque d’autre la voie.",
    ),
    "signed_partly": Text(
        en="Nothing is shown yet: the other signature is still missing.",
        fr="Rien n’est encore montré\u00a0: l’autre signature manque toujours.",
    ),
    "code_title": Text(en="Your withdrawal code", fr="Votre code de retrait"),
    "code_once": Text(en="This page shows it only once.", fr="Cette page ne l’affiche qu’une seule fois."),
    "code_keep": Text(
        en="Write it down, photograph it, or keep the receipt. Nobody can read it to you again.",
        fr="Notez-le, photographiez-le, ou gardez le reçu. Personne ne pourra vous le relire.",
    ),
    "code_use": Text(
        en="With this code alone you can end everything, at any time and without giving a reason, here:",
        fr="Avec ce seul code, vous pouvez mettre fin à tout, à tout moment et sans donner de raison, ici\u00a0:",
    ),
    "receipt_button": Text(en="Keep the receipt (PDF)", fr="Garder le reçu (PDF)"),
    "agreed_title": Text(en="What you agreed to", fr="Ce que vous avez accepté"),
    "signed_close": Text(
        en="Close this page before you give the device back.",
        fr="Fermez cette page avant de rendre l’appareil.",
    ),
}
SAID_NO: Final[tuple[Text, Text]] = (
    Text(en="You said no", fr="Vous avez dit non"),
    Text(
        en="Nothing is shown, and your care does not change. Your carer sees that you declined, and no reason.",
        fr="Rien n’est montré, et vos soins ne changent pas. Votre soignant voit que vous avez refusé, sans motif.",
    ),
)
IN_CHANGE: Final[tuple[Text, Text]] = (
    Text(en="There is nothing to sign now", fr="Il n’y a rien à signer pour l’instant"),
    Text(
        en="Your carer is changing something, or has gone on already. Ask them whether you are to sign, and for a new "
        "link.",
        fr="Votre soignant modifie quelque chose, ou a déjà continué. Demandez-lui si vous devez signer, et un nouveau "
        "lien.",
    ),
)
"""Instead of what a carer is told of a case's state, or of pictures that changed."""
NO_RECEIPT: Final[tuple[Text, Text]] = (
    Text(en="There is no receipt", fr="Il n’y a pas de reçu"),
    Text(
        en="The code is not right, or the case has ended or was asked anew. A code that you hold still works on the "
        "withdrawal page.",
        fr="Le code n’est pas juste, ou le cas a pris fin ou fait l’objet d’une nouvelle demande. Un code que vous "
        "détenez fonctionne toujours sur la page de retrait.",
    ),
)
