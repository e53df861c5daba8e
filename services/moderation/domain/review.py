"""The aggregate of moderation: everything that is known and decided about one case.

Facts arrive as events (`Facts`); acts come from moderators and are refused (`Refusal`) where a rule forbids them. Both
leave their trace in `acts` (for the audit chain) and `outgoing` (for the outbox); who stores a review takes these two
along in the same transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from services.moderation.domain.announcements import (
    about_approval,
    about_boxes,
    approval,
    rejection,
    repainting,
)
from services.moderation.domain.answers import about_answers, about_covered, check_answers
from services.moderation.domain.audit import SYSTEM, ActKind, Detail
from services.moderation.domain.boxes import complete_boxes
from services.moderation.domain.facts import Facts
from services.moderation.domain.reasons import ReasonCode
from services.moderation.domain.refusals import (
    CaseGone,
    CaseUnknown,
    ClaimedByAnother,
    ClaimNeeded,
    ConsentEnded,
    ConsentMissing,
    NoFirstApproval,
    NotWaiting,
    OwnCase,
    PictureNotSeen,
    PictureUnknown,
    PictureUnreadable,
    RedactionOutstanding,
    SecondModeratorNeeded,
    ShowsMore,
    StaleRevision,
    TextMissing,
    TextNotSeen,
    Undecided,
)
from services.moderation.domain.second_moderator import agreed, needs_second_moderator
from services.moderation.domain.uncovered import shows_more
from services.moderation.domain.values import (
    Answers,
    Claim,
    Decision,
    FirstApproval,
    Picture,
    PictureDecision,
    ReviewState,
    Round,
    RoundOutcome,
    Submission,
    full_size,
)
from shared.audiences import consent_is_over
from shared.events import (
    Frame,
    FrameBoxes,
    RejectOutcome,
    SubmittedPicture,
)


class Review(Facts):
    """One case in moderation, and what moderators do with it."""

    def take(self, moderator_id: str, claim_id: str, now: datetime) -> Claim:
        """Claim the case for one lease; the holder's own claim is renewed and keeps its id.

        Raises ClaimedByAnother while somebody else's lease runs, OwnCase for the author, SecondModeratorNeeded for
        whoever has approved it and waits for a second moderator.
        """
        submission = self._waiting()
        if submission.author_id == moderator_id:
            raise OwnCase
        if self.first_approval and self.first_approval.moderator_id == moderator_id:
            raise SecondModeratorNeeded
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

    def approved_by(self, moderator_id: str) -> Round | FirstApproval | None:
        """The approval that this moderator has just given: the request comes again because its reply was lost."""
        if (
            self.state is ReviewState.WAITING
            and self.first_approval
            and self.first_approval.moderator_id == moderator_id
        ):
            return self.first_approval
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
        that could not be decoded has nothing to see and can only be withheld (PictureUnreadable), and so can one that
        was painted again and shows what the patient saw covered (ShowsMore). To publish needs
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
            if picture.revision > submitted.revision and shows_more(picture.agreed, picture.frames):
                raise ShowsMore
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

    def approve(
        self, moderator_id: str, now: datetime, text_sha256: str, title: str, text: str
    ) -> Round | FirstApproval:
        """Publish the case: its text, and every picture that was decided so, exactly as rendered.

        Needs a live claim, no outstanding redaction, every picture served and decided in this claim, and the very
        text that was shown in this claim. A case all of whose pictures are withheld may still be published, as text
        alone, if there is a text to stand by itself (TextMissing). Where a picture needs two moderators, the first
        approval gives the case back to the queue; the second publishes, if it is another person's and of the same
        revisions. Repeated by the same moderator after success, it returns the same answer and does nothing.
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
        if consent_is_over(submission.consent, now):
            raise ConsentEnded
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
        shared = {picture.picture_id: picture.revision for _, picture in wanted if needs_second_moderator(picture)}
        if not agreed(self.first_approval, moderator_id, shared):
            return self._approve_first(moderator_id, now, submission, shared)
        event = approval(self.case_id, submission, wanted, title, text, now)
        self.outgoing.append(event)
        detail = about_approval(event)
        first = self.first_approval.moderator_id if self.first_approval and shared else None
        if first:
            detail["first_moderator"] = first
        self._act(ActKind.APPROVED, moderator_id, detail=detail)
        return self._close(moderator_id, now, RoundOutcome.APPROVED, (), first)

    def withdraw_approval(self, moderator_id: str) -> None:
        """Take back one's first approval while no second moderator has approved; the case stays in the queue, as
        before that approval. A colleague who has claimed it meanwhile keeps it. Raises NoFirstApproval.
        """
        self._waiting()
        if self.first_approval is None or self.first_approval.moderator_id != moderator_id:
            raise NoFirstApproval
        self._forget_first_approval(moderator_id, {})

    def moderator_gone(self, moderator_id: str) -> None:
        """A member may moderate no more: a first approval of theirs that waits for a second counts no more either."""
        if self.first_approval and self.first_approval.moderator_id == moderator_id:
            self._forget_first_approval(SYSTEM, {"because": "moderator_gone", "first_moderator": moderator_id})

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

    def _approve_first(
        self, moderator_id: str, now: datetime, submission: Submission, pictures: dict[str, int]
    ) -> FirstApproval:
        detail: Detail = {"pictures": [f"{picture_id} {revision}" for picture_id, revision in pictures.items()]}
        self._act(ActKind.FIRST_APPROVED, moderator_id, detail=detail)
        self.first_approval = FirstApproval(
            version=submission.version, moderator_id=moderator_id, decided_at=now, pictures=pictures
        )
        self.claim = None
        return self.first_approval

    def _forget_first_approval(self, actor: str, detail: Detail) -> None:
        self.first_approval = None
        self._act(ActKind.APPROVAL_WITHDRAWN, actor, claimed=False, detail=detail)

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
        self.claim, self.first_approval = None, None
        return closed
