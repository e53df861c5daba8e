"""The aggregate of moderation: everything that is known and decided about one case.

Facts arrive as events, in any order and more than once; acts come from moderators and are refused (`Refusal`) where
a rule forbids them. Both leave their trace in `acts` (for the audit chain) and `outgoing` (for the outbox); who
stores a review takes these two along in the same transaction.

Rules between events: withdrawn wins over everything, the higher version of a submission over the lower one, the
higher revision of a picture over the lower one. A picture is outstanding while its revision is below the one that
the author submitted or that a moderator asked for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from services.moderation.domain.announcements import (
    about_approval,
    about_boxes,
    approval,
    rejection,
    repainting,
)
from services.moderation.domain.answers import about_answers, about_covered, check_answers
from services.moderation.domain.audit import AUTHOR, SYSTEM, Act, ActKind, Detail
from services.moderation.domain.boxes import complete_boxes
from services.moderation.domain.reasons import ReasonCode
from services.moderation.domain.refusals import (
    CaseGone,
    CaseUnknown,
    ClaimedByAnother,
    ClaimNeeded,
    ConsentMissing,
    NotWaiting,
    OwnCase,
    PictureNotSeen,
    PictureUnknown,
    PictureUnreadable,
    RedactionOutstanding,
    SecondLookByAnother,
    StaleRevision,
    TextMissing,
    TextNotSeen,
    Undecided,
)
from services.moderation.domain.second_look import agreed, needs_second_look
from services.moderation.domain.values import (
    Answers,
    Claim,
    Decision,
    Look,
    Picture,
    PictureDecision,
    ReviewState,
    Round,
    RoundOutcome,
    Submission,
    Tombstone,
    full_size,
)
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseWithdrawn,
    Event,
    Frame,
    FrameBoxes,
    RedactionRequested,
    RejectOutcome,
    SubmittedPicture,
)

DEFAULT_LEASE = timedelta(minutes=15)


class Review(BaseModel):
    """One case in moderation. All times are aware and come from the caller; so do claim ids."""

    # An error about a stored review reaches a log: it says what is wrong without quoting it.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    case_id: str
    lease: timedelta = Field(default=DEFAULT_LEASE, exclude=True)
    submission: Submission | None = None
    pictures: dict[str, Picture] = {}
    claim: Claim | None = None
    look: Look | None = None
    thread: tuple[Round, ...] = ()
    withdrawn: bool = False
    acts: list[Act] = Field(default_factory=list, exclude=True)
    outgoing: list[Event | Tombstone] = Field(default_factory=list, exclude=True)

    @property
    def state(self) -> ReviewState:
        if self.withdrawn:
            return ReviewState.WITHDRAWN
        if self.submission is None:
            return ReviewState.GATHERING
        if self.thread and self.thread[-1].version >= self.submission.version:
            return ReviewState(self.thread[-1].outcome.value)
        return ReviewState.WAITING

    def submitted_pictures(self) -> list[tuple[SubmittedPicture, Picture]]:
        """What the submission shows, each picture with its latest rendering (revision 0 where there is none)."""
        submitted = self.submission.pictures if self.submission else ()
        return [(each, self.pictures.get(each.picture_id) or Picture(picture_id=each.picture_id)) for each in submitted]

    def outstanding(self) -> tuple[str, ...]:
        """The pictures for which the redactor still owes a rendering."""
        return tuple(
            picture.picture_id
            for submitted, picture in self.submitted_pictures()
            if picture.revision < max(submitted.revision, picture.requested)
        )

    # Facts: applied if newer, ignored if not.

    def on_redacted(self, event: CaseRedacted) -> None:
        """A rendering has arrived. A newer revision voids what was seen and decided of the older one."""
        if self.withdrawn or event.picture_id is None:
            return
        known = self.pictures.get(event.picture_id, Picture(picture_id=event.picture_id))
        if event.revision <= known.revision:
            return
        self.pictures[event.picture_id] = known.rendered(event)
        if self.claim:
            self.claim = self.claim.without(event.picture_id)
        if self.look and event.picture_id in self.look.pictures:
            self.look = None

    def on_submitted(self, event: CaseSubmitted) -> None:
        """The author asks, or asks again after changes: the thread stays, a claim on the older version ends."""
        if self.withdrawn or (self.submission and event.version <= self.submission.version):
            return
        if self.claim:
            self._act(ActKind.RELEASED, SYSTEM, detail={"because": "resubmitted"})
            self.claim = None
        self.look = None
        self.submission = Submission.of(event)

    def on_withdrawn(self, event: CaseWithdrawn) -> None:
        """The case is gone: nothing but ids is kept, and every record of it in moderation's topics is erased."""
        if self.withdrawn:
            return
        picture_ids = {*event.picture_ids, *self.pictures, *(p.picture_id for p, _ in self.submitted_pictures())}
        self._act(ActKind.WITHDRAWN, AUTHOR, version=event.version)
        self.withdrawn = True
        self.submission, self.claim, self.look, self.pictures, self.thread = None, None, None, {}, ()
        self.outgoing.append(Tombstone(event=CaseApproved, key=self.case_id))
        self.outgoing.append(Tombstone(event=CaseRejected, key=self.case_id))
        self.outgoing += [Tombstone(event=RedactionRequested, key=each) for each in sorted(picture_ids)]

    # Acts of moderators.

    def take(self, moderator_id: str, claim_id: str, now: datetime) -> Claim:
        """Claim the case for one lease; the holder's own claim is renewed and keeps its id.

        Raises ClaimedByAnother while somebody else's lease runs, OwnCase for the author, SecondLookByAnother for
        whoever has approved it and waits for a second moderator.
        """
        submission = self._waiting()
        if submission.author_id == moderator_id:
            raise OwnCase
        if self.look and self.look.moderator_id == moderator_id:
            raise SecondLookByAnother
        if self.claim and self.claim.live(now):
            if self.claim.moderator_id != moderator_id:
                raise ClaimedByAnother(self.claim.expires_at)
            return self._held(moderator_id, now)
        self._expire(now)
        expires_at = now + self.lease
        self.claim = Claim(claim_id=claim_id, moderator_id=moderator_id, claimed_at=now, expires_at=expires_at)
        self._act(ActKind.CLAIMED, moderator_id)
        return self.claim

    def release(self, moderator_id: str, now: datetime) -> None:
        """Give the case back to the queue; nothing happens where this moderator holds nothing."""
        self._expire(now)
        if self.claim and self.claim.moderator_id == moderator_id:
            self._act(ActKind.RELEASED, moderator_id)
            self.claim = None

    def held(self, moderator_id: str, now: datetime) -> Submission:
        """The submission that this moderator is at work on."""
        self._held(moderator_id, now)
        return self._waiting()

    def approved_by(self, moderator_id: str) -> Round | Look | None:
        """The approval that this moderator has just given: the request comes again because its reply was lost."""
        if self.state is ReviewState.WAITING and self.look and self.look.moderator_id == moderator_id:
            return self.look
        return self.answered(moderator_id, RoundOutcome.APPROVED)

    def answered(self, moderator_id: str, outcome: RoundOutcome) -> Round | None:
        """The round that this moderator has just closed so: the request comes again because its reply was lost."""
        if self.state.value == outcome.value and self.thread[-1].moderator_id == moderator_id:
            return self.thread[-1]
        return None

    def read(self, moderator_id: str, now: datetime, text_version: int, text_sha256: str) -> None:
        """The case's text was shown to its moderator. Raises TextNotSeen where the version has moved on."""
        claim = self._held(moderator_id, now)
        if text_version != self._waiting().text_version:
            raise TextNotSeen
        if claim.text_sha256 != text_sha256:
            self.claim = claim.model_copy(update={"text_sha256": text_sha256})
            self._act(ActKind.SERVED, moderator_id, detail={"text_version": text_version, "sha256": text_sha256})

    def frame(self, moderator_id: str, now: datetime, picture_id: str, index: int) -> tuple[Claim, Picture, Frame]:
        """One frame of a picture's current revision, for its moderator's eyes."""
        claim = self._held(moderator_id, now)
        _, picture = self._picture(picture_id)
        frame = picture.frame(index)
        if frame is None:
            raise PictureUnknown
        return claim, picture, frame

    def served(
        self, moderator_id: str, now: datetime, claim_id: str, picture_id: str, revision: int, index: int
    ) -> None:
        """The full-size bytes of a frame are reaching the moderator: the mark on which a decision rests.

        Raises ClaimNeeded where the claim is not the one that asked for the bytes, StaleRevision where the rendering
        has changed meanwhile. Only the first time in a claim leaves a record.
        """
        claim = self._held(moderator_id, now)
        if claim.claim_id != claim_id:
            raise ClaimNeeded
        _, picture = self._current(picture_id, revision)
        frame = picture.frame(index)
        full = full_size(frame) if frame else None
        if full is None:
            raise PictureUnknown
        seen = claim.served.get(picture_id, ())
        if index in seen:
            return
        marks = {**claim.served, picture_id: tuple(sorted({*seen, index}))}
        self.claim = claim.model_copy(update={"served": marks})
        detail: Detail = {"sha256": full.sha256}
        self._act(ActKind.SERVED, moderator_id, picture_id=picture_id, revision=revision, frame=index, detail=detail)

    def request_boxes(
        self, moderator_id: str, now: datetime, picture_id: str, revision: int, frames: Sequence[FrameBoxes]
    ) -> int:
        """Have a picture painted again with exactly these boxes; returns the revision that will answer.

        `frames` lists every frame of the current revision (`boxes.complete_boxes`). The same list again is answered
        with the same revision; another list while one is outstanding supersedes it with the next revision.
        """
        self._held(moderator_id, now)
        submitted, picture = self._current(picture_id, revision)
        if picture.unreadable:
            raise PictureUnreadable
        boxes = complete_boxes(picture.frames, frames)
        if picture.requested and picture.requested_boxes == boxes:
            return picture.requested
        asked = max(picture.revision, picture.requested, submitted.revision) + 1
        self.pictures[picture_id] = picture.model_copy(update={"requested": asked, "requested_boxes": boxes})
        self.outgoing.append(repainting(self.case_id, submitted, picture, asked, boxes, len(self._waiting().pictures)))
        self._act(
            ActKind.BOXES_CHANGED,
            moderator_id,
            picture_id=picture_id,
            revision=asked,
            detail={"seen_revision": revision, **about_boxes(boxes), **about_covered(picture, boxes)},
        )
        return asked

    def decide(
        self,
        moderator_id: str,
        now: datetime,
        picture_id: str,
        revision: int,
        decision: PictureDecision,
        reason: ReasonCode | None = None,
        answers: Answers | None = None,
    ) -> Decision:
        """Publish or withhold one picture in its current revision.

        Needs every full-size frame of that revision to have been served in this claim (PictureNotSeen). A picture
        that could not be decoded has nothing to see and can only be withheld (PictureUnreadable). To publish needs
        `answers` to all that the picture asks (see `check_answers` for what is raised).
        """
        claim = self._held(moderator_id, now)
        submitted, picture = self._current(picture_id, revision)
        if picture_id in self.outstanding():
            raise RedactionOutstanding((picture_id,))
        if picture.unreadable and decision is PictureDecision.PUBLISH:
            raise PictureUnreadable
        unseen = self._unseen(picture)
        if unseen:
            raise PictureNotSeen(unseen)
        answers = answers if answers and decision is PictureDecision.PUBLISH else Answers()
        if decision is PictureDecision.PUBLISH:
            check_answers(submitted.kind, picture, answers)
        said = Decision(revision=revision, decision=decision, reason=reason, decided_at=now, answers=answers)
        before = claim.decisions.get(picture_id)
        if before and said == before.model_copy(update={"decided_at": now}):
            return before
        self.claim = claim.model_copy(update={"decisions": {**claim.decisions, picture_id: said}})
        detail: Detail = {"decision": decision.value, **about_answers(answers)}
        if reason:
            detail["reason"] = reason.value
        self._act(ActKind.DECIDED, moderator_id, picture_id=picture_id, revision=revision, detail=detail)
        return said

    def approve(self, moderator_id: str, now: datetime, text_sha256: str, title: str, text: str) -> Round | Look:
        """Publish the case: its text, and every picture that was decided so, exactly as rendered.

        Needs a live claim, no outstanding redaction, every picture served and decided in this claim, and the very
        text that was shown in this claim. A case all of whose pictures are withheld may still be published, as text
        alone, if there is a text to stand by itself (TextMissing). Where a picture needs two moderators, the first
        approval is a `Look` and gives the case back to the queue; the second publishes, if it is another person's
        and of the same revisions. Repeated by the same moderator after success, it returns the same answer and does
        nothing.
        """
        again = self.approved_by(moderator_id)
        if again:
            return again
        claim = self._held(moderator_id, now)
        submission = self._waiting()
        if self.outstanding():
            raise RedactionOutstanding(self.outstanding())
        if submission.pictures and submission.consent is None:
            raise ConsentMissing
        undecided = tuple(p.picture_id for _, p in self.submitted_pictures() if not self._decided(claim, p))
        if undecided:
            raise Undecided(undecided)
        if claim.text_sha256 != text_sha256:
            raise TextNotSeen
        wanted = [
            (submitted, picture)
            for submitted, picture in self.submitted_pictures()
            if claim.decisions[picture.picture_id].decision is PictureDecision.PUBLISH
        ]
        if submission.pictures and not wanted and not text.strip():
            raise TextMissing
        for submitted, picture in wanted:
            check_answers(submitted.kind, picture, claim.decisions[picture.picture_id].answers)
        shared = {picture.picture_id: picture.revision for _, picture in wanted if needs_second_look(picture)}
        if not agreed(self.look, moderator_id, shared):
            return self._looked_first(moderator_id, now, submission, shared)
        event = approval(self.case_id, submission, wanted, title, text, now)
        self.outgoing.append(event)
        detail = about_approval(event)
        first = self.look.moderator_id if self.look and shared else None
        if first:
            detail["first_moderator"] = first
        self._act(ActKind.APPROVED, moderator_id, detail=detail)
        return self._close(moderator_id, now, RoundOutcome.APPROVED, (), first)

    def reject(self, moderator_id: str, now: datetime, outcome: RejectOutcome, reasons: Sequence[ReasonCode]) -> Round:
        """Decline the case, or send it back for changes, with at least one reason.

        Sending back is refused while a redaction that a moderator asked for is outstanding: the author would
        otherwise ask for the same revision number with other boxes.
        """
        if not reasons:
            raise ValueError("a rejection needs a reason")
        again = self.answered(moderator_id, RoundOutcome(outcome.value))
        if again:
            return again
        self._held(moderator_id, now)
        submission = self._waiting()
        asked = tuple(p.picture_id for _, p in self.submitted_pictures() if p.revision < p.requested)
        if outcome is RejectOutcome.CHANGES and asked:
            raise RedactionOutstanding(asked)
        codes = tuple(sorted(set(reasons)))
        self.outgoing.append(rejection(self.case_id, submission, outcome, codes, now))
        detail: Detail = {"outcome": outcome.value, "reasons": [code.value for code in codes]}
        self._act(ActKind.REJECTED, moderator_id, detail=detail)
        return self._close(moderator_id, now, RoundOutcome(outcome.value), codes)

    # Guards.

    def _waiting(self) -> Submission:
        if self.withdrawn:
            raise CaseGone
        if self.submission is None:
            raise CaseUnknown
        if self.state is not ReviewState.WAITING:
            raise NotWaiting(self.state.value)
        return self.submission

    def _held(self, moderator_id: str, now: datetime) -> Claim:
        """The live claim of this moderator, renewed by the act that asks."""
        self._waiting()
        if self.claim is None or not self.claim.live(now):
            raise ClaimNeeded
        if self.claim.moderator_id != moderator_id:
            raise ClaimedByAnother(self.claim.expires_at)
        # In steps of a tenth of the lease, so that looking at pictures is not a write each time; never shortened,
        # so that a clock that leaps back does not take the case away from whoever works on it.
        if now + self.lease - self.claim.expires_at >= self.lease / 10:
            self.claim = self.claim.model_copy(update={"expires_at": now + self.lease})
        return self.claim

    def _picture(self, picture_id: str) -> tuple[SubmittedPicture, Picture]:
        for submitted, picture in self.submitted_pictures():
            if submitted.picture_id == picture_id:
                return submitted, picture
        raise PictureUnknown

    def _current(self, picture_id: str, revision: int) -> tuple[SubmittedPicture, Picture]:
        submitted, picture = self._picture(picture_id)
        if picture.revision != revision:
            raise StaleRevision(picture.revision)
        return submitted, picture

    def _unseen(self, picture: Picture) -> tuple[int, ...]:
        seen = self.claim.served.get(picture.picture_id, ()) if self.claim else ()
        return tuple(frame.index for frame in picture.frames if frame.index not in seen)

    def _decided(self, claim: Claim, picture: Picture) -> bool:
        said = claim.decisions.get(picture.picture_id)
        return said is not None and said.revision == picture.revision and not self._unseen(picture)

    # Traces.

    def _expire(self, now: datetime) -> None:
        if self.claim and not self.claim.live(now):
            detail: Detail = {"expired_at": self.claim.expires_at.isoformat(timespec="milliseconds")}
            self._act(ActKind.LEASE_EXPIRED, self.claim.moderator_id, detail=detail)
            self.claim = None

    def _looked_first(self, moderator_id: str, now: datetime, submission: Submission, pictures: dict[str, int]) -> Look:
        detail: Detail = {"pictures": [f"{picture_id} {revision}" for picture_id, revision in pictures.items()]}
        self._act(ActKind.FIRST_APPROVED, moderator_id, detail=detail)
        self.look = Look(version=submission.version, moderator_id=moderator_id, decided_at=now, pictures=pictures)
        self.claim = None
        return self.look

    def _close(
        self,
        moderator_id: str,
        now: datetime,
        outcome: RoundOutcome,
        reasons: tuple[ReasonCode, ...],
        first_moderator_id: str | None = None,
    ) -> Round:
        closed = Round(
            version=self._waiting().version,
            outcome=outcome,
            reasons=reasons,
            moderator_id=moderator_id,
            decided_at=now,
            first_moderator_id=first_moderator_id,
        )
        self.thread = (*self.thread, closed)
        self.claim, self.look = None, None
        return closed

    def _act(
        self,
        act: ActKind,
        actor: str,
        *,
        version: int | None = None,
        picture_id: str | None = None,
        revision: int | None = None,
        frame: int | None = None,
        detail: Detail | None = None,
    ) -> None:
        """Note an act for the audit chain, with the claim and the submission under which it happened."""
        self.acts.append(
            Act(
                act=act,
                actor=actor,
                claim_id=self.claim.claim_id if self.claim else None,
                version=version or (self.submission.version if self.submission else None),
                picture_id=picture_id,
                revision=revision,
                frame=frame,
                detail=detail or {},
            )
        )
