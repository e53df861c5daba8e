"""Walks one real case through the whole platform: from a doctor's upload to a colleague's answer."""

from dataclasses import dataclass
from pathlib import Path

from deploy.local.client import Account, Json, Person, keep, media_suffix, wait_until
from deploy.local.story import Step, Story

ANSWER = "Well defined, thin rim, in the cortex: a non-ossifying fibroma. No follow-up while it is painless."
BOX_BY_HAND = [144, 392, 248, 112]
"""x, y, width, height in pixels: the embroidered names on the suit in the photograph, which the machine overlooks."""


@dataclass(frozen=True)
class Cast:
    """The three people of the demonstration."""

    author: Account
    moderator: Account
    colleague: Account


@dataclass(frozen=True)
class Picture:
    """A file to upload: what it is called on the author's disk never leaves it."""

    path: Path
    kind: str


@dataclass(frozen=True)
class Walked:
    """What came of it: the case, and where its pictures lie as files."""

    case_id: str
    before: Path
    after: Path


def walk(gateway: str, cast: Cast, pictures: list[Picture], folder: Path, story: Story) -> Walked:
    """Take the case the whole way. Raises Refused or TookTooLong at the first step that fails."""
    with Person(gateway) as author, Person(gateway) as moderator, Person(gateway) as colleague:
        case_id = _prepare(gateway, author, cast, pictures, folder, story)
        _moderate(moderator, cast, case_id, folder, story)
        _discuss(author, colleague, cast, case_id, folder, story)
    return Walked(case_id, folder / "before", folder / "after")


def _prepare(gateway: str, author: Person, cast: Cast, pictures: list[Picture], folder: Path, story: Story) -> str:
    who = cast.author.pseudonym
    story.chapter("The author prepares a case")
    with story.step(who, "signs in") as step:
        author.sign_in(cast.author)
        step.note(f"{author.member.get('profession', 'member')}, {author.member.get('status', '')}")
    with story.step(who, "writes the question"):
        case = author.create_case(
            specialty="radiology",
            kind="diagnosis",
            title="Twisted ankle: is the lucency in the tibia harmless?",
            body="Adult, twisted the ankle yesterday, no fracture seen. Is the well defined lucency above the joint an "
            "incidental finding, and would you follow it up?",
        )
    case_id: str = case["case_id"]
    with story.step(who, "has the text checked for words that could identify somebody") as step:
        step.note(f"{len(author.check_text(case['body'])['findings'])} pointed out")
    for picture in pictures:
        data = picture.path.read_bytes()
        keep(folder / "before", picture.path.name, data)
        with story.step(who, f"uploads {picture.path.name}") as step:
            author.upload(case_id, data, picture.kind)
            step.note(f"{picture.kind}, {len(data) / 1024:.0f} KiB, encrypted at rest")
    with story.step("redactor", "covers faces, names and codes") as step:
        author.start_redaction(case_id)
        preview = author.preview_when_painted(case_id)
        for number, seen in enumerate(preview["pictures"], 1):
            step.note(f"picture {number}: {_found(seen)}")
    with story.step(who, "looks at the painted preview") as step:
        step.note(f"{_save(author, preview, folder / 'preview')} files in {folder / 'preview'}")
    with story.step(who, "records that the patient was informed, and asks for consent") as step:
        author.inform(case_id)
        asked = author.ask_consent(case_id)
        step.note(f"a signing link for each of {len(asked['signers'])}, good until {_last_day(asked)}")
    with Person(gateway) as patient, story.step("the patient", "looks at the painted pictures, and signs") as step:
        code = patient.sign(asked["signers"][0]["link"]["url"], purposes=["publication", "teaching"])
        step.note(f"keeps the withdrawal code, which ends it at any time (until {code['expires_on']})")
    with story.step(who, "says that no picture shows a tattoo or scar, and submits the case"):
        author.submit(case_id)
    return case_id


def _moderate(moderator: Person, cast: Cast, case_id: str, folder: Path, story: Story) -> None:
    who = cast.moderator.pseudonym
    story.chapter("A moderator decides on every picture")
    with story.step(who, "signs in and claims the case"):
        moderator.sign_in(cast.moderator)
        moderator.claim_when_queued(case_id)
    review = moderator.review(case_id)
    first: Json = next(picture for picture in review["pictures"] if picture["frames"])
    with story.step(who, "looks at the pictures at full size") as step:
        step.note(f"{sum(len(moderator.look_at(picture, case_id)) for picture in review['pictures'])} frames")
    with story.step(who, "covers by hand what the machine overlooked") as step:
        revision = moderator.change_boxes(case_id, first, [BOX_BY_HAND])["revision"]
        review = moderator.review_when_painted(case_id, first["picture_id"], revision)
        step.note(f"revision {revision}")
    with story.step(who, "looks at the new revision, answers its questions and decides on each picture") as step:
        for picture in review["pictures"]:
            if picture["picture_id"] == first["picture_id"]:
                moderator.look_at(picture, case_id)
            moderator.decide(case_id, picture)
        step.note(f"{len(review['pictures'])} to publish")
    with story.step(who, "approves the case"):
        moderator.approve(case_id)


def _discuss(author: Person, colleague: Person, cast: Cast, case_id: str, folder: Path, story: Story) -> None:
    story.chapter("Colleagues answer")
    with story.step(cast.colleague.pseudonym, "signs in and finds the case in the feed") as step:
        colleague.sign_in(cast.colleague)
        case = colleague.read_when_published(case_id)
        listed = [item["case_id"] for item in colleague.feed(specialty="radiology", kind="diagnosis")]
        step.note(f"number {listed.index(case_id) + 1} of {len(listed)} in radiology")
    with story.step(cast.colleague.pseudonym, "opens its pictures") as step:
        _save_published(colleague, case, folder / "after", step)
    with story.step(cast.colleague.pseudonym, "answers"):
        comment = colleague.comment(case_id, ANSWER)
    with story.step(cast.author.pseudonym, "sees the answer") as step:

        def answered() -> Json | None:
            found = [one for one in author.comments(case_id) if one["comment_id"] == comment["comment_id"]]
            return found[0] if found else None

        seen = wait_until("the comment in the feed", answered)
        step.note(f"“{seen['text']}”")


def _last_day(asked: Json) -> str:
    return str(asked["signers"][0]["link"]["expires_at"])[:10]


def _found(seen: Json) -> str:
    if seen.get("outcome") == "unreadable":
        return f"unreadable ({seen['reason']})"
    kinds: dict[str, int] = {}
    for frame in seen["frames"]:
        for region in frame["regions"]:
            kinds[region["kind"]] = kinds.get(region["kind"], 0) + 1
    said = [f"{count} {kind}" for kind, count in sorted(kinds.items())] or ["nothing to cover"]
    proposals = sum(len(frame["proposals"]) for frame in seen["frames"])
    said += [f"{proposals} suspected, for people to answer"] if proposals else []
    return ", ".join(said + [note["en"].rstrip(".") for note in seen["notes"]])


def _save(reader: Person, seen: Json, folder: Path, service: str = "ingest") -> int:
    saved = 0
    for number, picture in enumerate(seen["pictures"], 1):
        for frame in picture["frames"]:
            full = next(one for one in frame["renditions"] if one["size"] == "full")
            data = reader.fetch(full["url"], service)
            keep(folder, f"{number}-frame{frame['index']}{media_suffix(data)}", data)
            saved += 1
    return saved


def _save_published(reader: Person, case: Json, folder: Path, step: Step) -> None:
    saved = _save(reader, case, folder, "feed")
    step.note(f"{saved} files in {folder}")
