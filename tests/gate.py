"""The whole life of one case in memory: the real rules of every service, and an independent record of what happened.

`World` moves events between ingest's `Case`, a stand-in for the redactor (real events, painted boxes as it is told),
moderation's `Review` and the feed's `Fold`, in any order, late and more than once. What a reader sees is asked with the
feed's own query, on the documents that its store writes. Beside that, `World` writes down on its own what the patient
saw and signed, what each moderator was really shown, and who ended the case; `gate_rule.problem` compares.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from services.feed.domain import Fold, Standing
from services.feed.store import Reader
from services.ingest.domain.case import Case
from services.ingest.domain.consent import Purpose
from services.ingest.domain.consent_request import RequestState
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import Refused
from services.ingest.domain.signers import LegalGround, OwnView, Subject, View, ViewNote
from services.moderation.domain import Answers, PictureDecision, ProposalAnswer, ReasonCode, Refusal, Review
from services.moderation.domain.values import FirstApproval, Round
from shared.events import (
    Audience,
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    Event,
    FrameBoxes,
    MarkAnswer,
    Marks,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    RedactionRequested,
    RejectOutcome,
    Specialty,
    WithdrawalCause,
)
from tests.consents import SIGNER_IDS, information, request, signature
from tests.gate_records import (
    AUTHOR,
    BOXES,
    CONSUMERS,
    SIDE,
    START,
    TEXT,
    TEXTS,
    Looked,
    Painted,
    Signed,
    answer,
    matches,
    stored,
)


class World:
    """One case among five services. Every method may be refused, and then changes nothing."""

    def __init__(self) -> None:
        self.now = START
        self.case = Case(
            case_id="c1",
            author_id=AUTHOR,
            specialty=Specialty.DERMATOLOGY,
            kind=QuestionKind.DIAGNOSIS,
            language="en",
            title="t",
            body="b",
            created_at=START,
            updated_at=START,
        )
        self.review = Review(case_id="c1")
        self.feed = Fold()
        self.waiting: list[tuple[str, Event]] = []
        self.log: list[Event] = []
        self.painted: dict[tuple[str, int], Painted] = {}
        self.counter = 0
        # Our own bookkeeping.
        self.informed_on: date | None = None
        self.signing: dict[str, Any] = {}
        self.signed: list[Signed] = []
        self.said_no = 0  # what was signed before this place in `signed` counts for nothing any more
        self.submitted: dict[int, tuple[int, int]] = {}
        self.looked: dict[str, Looked] = {}
        self.approvals: dict[str, dict[str, int]] = {}
        self.published: dict[int, list[str]] = {}
        self.feed_told_of_the_end = False
        self.ended = False

    # -- ingest --------------------------------------------------------------------------------------------------

    def on_case(self, act: Any) -> bool:
        """Let the case do something; False where it refused. The event it returns is sent."""
        trial = self.case.model_copy(deep=True)
        try:
            event = act(trial)
        except Refused:
            return False
        self.case = trial
        if isinstance(event, Event):
            self.send(event)
        return True

    def edit(self, **changes: Any) -> bool:
        return self.on_case(lambda case: case.edit(self.now, changes))

    def add_picture(self, kind: PictureKind = PictureKind.PHOTO) -> bool:
        self.counter += 1
        picture = Picture(
            picture_id=f"p{self.counter}",
            kind=kind,
            media_type="image/png",
            size_bytes=1,
            width=SIDE,
            height=SIDE,
        )
        return len(self.case.pictures) < 2 and self.on_case(lambda case: case.add_picture(self.now, picture))

    def remove_picture(self, number: int) -> bool:
        found = self.picture(number)
        return found is not None and self.on_case(lambda case: case.remove_picture(self.now, found.picture_id))

    def start_redaction(self) -> bool:
        return self.on_case(lambda case: case.start_redaction(self.now))

    def change_boxes(self, number: int, boxes: str) -> bool:
        found = self.picture(number)
        return found is not None and self.on_case(
            lambda case: case.change_boxes(self.now, found.picture_id, [BOXES[boxes]])
        )

    def inform(self) -> bool:
        told = information(self.now)
        if not self.on_case(lambda case: case.inform(self.now, told)):
            return False
        self.informed_on = told.informed_on
        return True

    def ask(self, subject: Subject, audience: Audience, years: int, *, objects: bool = False) -> bool:
        view = View.OBJECTED if objects else View.AGREED
        own = None if subject is Subject.ADULT else OwnView(view=view, note=ViewNote.SPOKEN, asked_on=self.now.date())
        ground = LegalGround.GUARDIAN if subject is Subject.PROTECTED_ADULT else None
        self.counter += 1

        def act(case: Case) -> None:
            asked = request(
                case,
                self.now,
                text=TEXT,
                request_id=f"r{self.counter}",
                subject=subject,
                audience=audience,
                duration_years=years,
                own_view=own,
                legal_ground=ground,
            )
            case.request_consent(asked, SIGNER_IDS, TEXTS, self.now, replace=True)

        if not self.on_case(act):
            return False
        if objects and own is not None:
            self.said_no = len(self.signed)
        self.signing = {
            "audience": audience,
            "specialty": self.case.specialty,
            "years": years,
            "needs": 2 if subject is Subject.MINOR else 1,
            "objects": objects and own is not None,
            "signers": {},
            "seen": self.shown_to_patient(),
        }
        return True

    def sign(self, number: int, *, publication: bool = True, days_ago: int = 0) -> bool:
        asked = self.case.consent_request
        if asked is None or not asked.signers:
            return False
        slot = asked.signers[number % len(asked.signers)]
        purposes = (Purpose.PUBLICATION, Purpose.TEACHING) if publication else (Purpose.TEACHING,)
        day = (self.now - timedelta(days=days_ago)).date()
        mine = signature(slot.capacity, self.now, text=TEXT, purposes=purposes, signed_on=day)
        if not self.on_case(
            lambda case: (
                case.sign(asked.request_id, {slot.signer_id: mine}, f"k{self.counter}", TEXTS, self.now) and None
            )
        ):
            return False
        self.signing["signers"][slot.signer_id] = (frozenset(purposes), day, self.shown_to_patient())
        given = self.signing["signers"].values()
        if len(given) == self.signing["needs"] and not self.signing["objects"]:
            first = min(one[1] for one in given)
            self.signed.append(
                Signed(
                    at=self.now,
                    seen=self.shown_to_patient() if all(one[2] == self.shown_to_patient() for one in given) else {},
                    purposes=frozenset.intersection(*(one[0] for one in given)),
                    audience=self.signing["audience"],
                    specialty=self.signing["specialty"],
                    last_day=_years_later(first, self.signing["years"]),
                    informed=self.informed_on is not None,
                )
            )
        return True

    def decline(self) -> bool:
        """Somebody who was asked says no: it ends what was agreed to before as well."""
        asked = self.case.consent_request
        if asked is None or not self.on_case(
            lambda case: case.close_request(asked.request_id, RequestState.DECLINED, self.now)
        ):
            return False
        self.said_no = len(self.signed)
        return True

    def take_back_the_question(self) -> bool:
        """The author asks no longer; what was said before stays said."""
        asked = self.case.consent_request
        return asked is not None and self.on_case(
            lambda case: case.close_request(asked.request_id, RequestState.CANCELLED, self.now)
        )

    def submit(self) -> bool:
        marks = {p.picture_id: Marks(answer=MarkAnswer.NONE) for p in self.case.pictures if p.marks_asked}
        if not self.on_case(lambda case: case.submit(TEXTS, self.now, marks)):
            return False
        assert self.case.submitted_version is not None
        self.submitted[self.case.submitted_version] = self.said_no, len(self.signed)
        return True

    def withdraw(self, cause: WithdrawalCause) -> bool:
        self.ended = self.on_case(lambda case: case.withdraw(self.now, cause)) or self.ended
        return self.ended

    def expire(self) -> bool:
        """The job of ingest's worker."""
        last_day = self.case.consent.expires_on if self.case.consent else None
        over = last_day is not None and self.now.date() > last_day
        return over and self.withdraw(WithdrawalCause.EXPIRED)

    # -- between the services ------------------------------------------------------------------------------------

    def send(self, event: Event) -> None:
        self.log.append(event)
        self.waiting += [(service, event) for service in CONSUMERS[type(event)]]

    def deliver(self, number: int, *, again: bool = False) -> bool:
        """One message, wherever it waits; with `again` it comes once more later."""
        if not self.waiting:
            return False
        place = number % len(self.waiting)
        service, event = self.waiting[place]
        if not again:
            del self.waiting[place]
        getattr(self, f"_{service}_takes")(event)
        return True

    def deliver_all(self) -> None:
        while self.deliver(0):
            pass

    def _redactor_takes(self, event: Event) -> None:
        orders: list[tuple[str, int, tuple[FrameBoxes, ...] | None]] = []
        if isinstance(event, CaseUploaded):
            orders = [(one.picture_id, one.revision, one.boxes) for one in event.pictures]
            if not orders:
                self.send(
                    CaseRedacted(
                        case_id="c1", picture_id=None, revision=1, pictures_total=0, outcome=RedactionOutcome.REDACTED
                    )
                )
        elif isinstance(event, RedactionRequested):
            orders = [(event.picture_id, event.revision, event.boxes)]
        for picture_id, revision, boxes in orders:
            wanted = boxes[0] if boxes else BOXES["all"]
            painted = self.painted.setdefault((picture_id, revision), Painted(wanted.boxes, wanted.clinical))
            self.send(answer(picture_id, revision, painted))

    def _ingest_takes(self, event: Event) -> None:
        if isinstance(event, CaseRedacted):
            self.case.take_rendering(event, self.now)
        elif isinstance(event, CaseApproved):
            self.case.take_approval(event, self.now)
        elif isinstance(event, CaseRejected):
            self.case.take_rejection(event, self.now)

    def _moderation_takes(self, event: Event) -> None:
        if isinstance(event, CaseRedacted):
            self.review.on_redacted(event)
        elif isinstance(event, CaseSubmitted):
            self.review.on_submitted(event)
        elif isinstance(event, CaseWithdrawn):
            self.review.on_withdrawn(event)

    def _feed_takes(self, event: Event) -> None:
        self.feed.apply(type(event), [(event.key, event)])
        self.feed_told_of_the_end |= isinstance(event, CaseWithdrawn)

    def rebuild_feed(self, order: Sequence[int]) -> None:
        """A new build from the compacted log, topic by topic in any order; what was told of the end is told again."""
        kept = {(type(event), event.key): event for event in self.log if type(event) in (CaseApproved, CaseWithdrawn)}
        events = list(kept.values())
        self.feed = Fold()
        for event in sorted(events, key=lambda one: order[events.index(one) % len(order)] if order else 0):
            self._feed_takes(event)

    # -- moderation ----------------------------------------------------------------------------------------------

    def on_review(self, act: Any) -> Any:
        """Let a moderator act; None where it was refused. What the review says is sent."""
        trial = self.review.model_copy(deep=True)
        trial.outgoing, trial.acts = [], []
        try:
            answer = act(trial)
        except (Refusal, ValueError):
            return None
        self.review = trial
        for event in trial.outgoing:
            if isinstance(event, Event):
                self.send(event)
        return True if answer is None else answer

    def claim(self, moderator: str) -> bool:
        self.counter += 1
        known = self.review.claim
        taken = self.on_review(lambda review: review.take(moderator, f"claim-{self.counter}", self.now))
        if taken is None:
            return False
        if known is None or taken.claim_id != known.claim_id:
            self.looked[moderator] = Looked()
        return True

    def read(self, moderator: str) -> bool:
        version = self.review.submission.text_version if self.review.submission else 0
        return bool(self.on_review(lambda review: review.read(moderator, self.now, version, f"text {version}")))

    def look(self, moderator: str, number: int) -> bool:
        pictures = self.review.submitted_pictures()
        if not pictures:
            return False
        picture_id = pictures[number % len(pictures)][0].picture_id

        def act(review: Review) -> int:
            claim, picture, frame = review.frame(moderator, self.now, picture_id, 0)
            review.served(moderator, self.now, claim.claim_id, picture_id, picture.revision, frame.index)
            return picture.revision

        revision = self.on_review(act)
        if revision is not None:
            self.looked.setdefault(moderator, Looked()).seen[picture_id] = revision
        return revision is not None

    def decide(self, moderator: str, number: int, *, publish: bool = True, behind: int = 0) -> bool:
        """Decide about the current revision, or one that was current before (`behind`)."""
        pictures = self.review.submitted_pictures()
        if not pictures:
            return False
        _, picture = pictures[number % len(pictures)]
        revision = picture.revision - behind
        decision = PictureDecision.PUBLISH if publish else PictureDecision.WITHHOLD
        left = tuple(
            ProposalAnswer(frame=frame.index, proposal=n, answer=MarkAnswer.COVERED)
            for frame in picture.frames
            for n in range(len(frame.proposals))
        )
        answers = Answers(proposals=left, marks=Marks(answer=MarkAnswer.NONE))
        said = self.on_review(
            lambda review: review.decide(
                moderator, self.now, picture.picture_id, revision, decision, ReasonCode.PATIENT_RECOGNISABLE, answers
            )
        )
        if said is None:
            return False
        mine = self.looked.setdefault(moderator, Looked()).publish
        mine.pop(picture.picture_id, None)
        if publish:
            mine[picture.picture_id] = revision
        return True

    def change_boxes_in_moderation(self, moderator: str, number: int, boxes: str) -> bool:
        pictures = self.review.submitted_pictures()
        if not pictures:
            return False
        _, picture = pictures[number % len(pictures)]
        return bool(
            self.on_review(
                lambda review: review.request_boxes(
                    moderator, self.now, picture.picture_id, picture.revision, [BOXES[boxes]]
                )
            )
        )

    def approve(self, moderator: str) -> bool:
        version = self.review.submission.text_version if self.review.submission else 0
        told = self.on_review(lambda review: review.approve(moderator, self.now, f"text {version}", "t", "b"))
        if told is None:
            return False
        looked = self.looked.get(moderator, Looked())
        really = {p: revision for p, revision in looked.publish.items() if looked.seen.get(p) == revision}
        if isinstance(told, FirstApproval):
            self.approvals[moderator] = really
        elif isinstance(told, Round):
            self.approvals[moderator] = really
            self.published.setdefault(told.version, [moderator])
        return True

    def reject(self, moderator: str, outcome: RejectOutcome) -> bool:
        return bool(
            self.on_review(
                lambda review: review.reject(moderator, self.now, outcome, [ReasonCode.PATIENT_RECOGNISABLE])
            )
        )

    # -- what is painted, and what readers see ----------------------------------------------------------------------

    def picture(self, number: int) -> Picture | None:
        return self.case.pictures[number % len(self.case.pictures)] if self.case.pictures else None

    def shown_to_patient(self) -> dict[str, tuple[int, Painted]]:
        """The pictures as they are painted now, by our own record of the paint."""
        return {
            p.picture_id: (p.revision, self.painted[p.picture_id, p.revision])
            for p in self.case.pictures
            if (p.picture_id, p.revision) in self.painted
        }

    def seen_by(self, reader: Reader) -> dict[str, Any] | None:
        """The case as this reader gets it from the feed now; None where they get none, alone or in a list."""
        entry = self.feed.cases.get("c1")
        if entry is None or entry.standing is not Standing.PUBLISHED or entry.content is None:
            return None
        document = stored("c1", entry)
        listed = matches(document, reader.whole_list())
        return document if listed or matches(document, reader.one("c1")) else None


def _years_later(day: date, years: int) -> date:
    leap = (day.month, day.day) == (2, 29)
    return date(day.year + years, day.month, 28 if leap else day.day)
