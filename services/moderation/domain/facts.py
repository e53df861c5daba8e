"""What moderation knows of a case from events, whatever their order.

Rules between events: withdrawn wins over everything, the higher version of a submission over the lower one, the
higher revision of a picture over the lower one. A picture is outstanding while its revision is below the one that
the author submitted or that a moderator asked for.
"""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from services.moderation.domain.audit import AUTHOR, SYSTEM, Act, ActKind, Detail
from services.moderation.domain.values import (
    Claim,
    FirstApproval,
    Picture,
    ReviewState,
    Round,
    Submission,
    Tombstone,
)
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseWithdrawn,
    Event,
    RedactionRequested,
    SubmittedPicture,
)

DEFAULT_LEASE = timedelta(minutes=15)


class Facts(BaseModel):
    """One case in moderation. All times are aware and come from the caller; so do claim ids."""

    # An error about a stored review reaches a log: it says what is wrong without quoting it.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    case_id: str
    lease: timedelta = Field(default=DEFAULT_LEASE, exclude=True)
    submission: Submission | None = None
    pictures: dict[str, Picture] = {}
    claim: Claim | None = None
    first_approval: FirstApproval | None = None
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
        """A rendering has arrived. A newer revision voids what was seen and decided of the older one;
        of an older one only the faces are kept."""
        if self.withdrawn or event.picture_id is None:
            return
        known = self.pictures.get(event.picture_id, Picture(picture_id=event.picture_id))
        if event.revision <= known.revision:
            self.pictures[event.picture_id] = known.remembering(event)
            return
        submitted = {each.picture_id: each.revision for each in (self.submission.pictures if self.submission else ())}
        self.pictures[event.picture_id] = known.rendered(event, submitted.get(event.picture_id))
        if self.claim:
            self.claim = self.claim.without(event.picture_id)
        if self.first_approval and event.picture_id in self.first_approval.pictures:
            self.first_approval = None

    def on_submitted(self, event: CaseSubmitted) -> None:
        """The author asks, or asks again after changes: the thread stays, a claim on the older version ends."""
        if self.withdrawn or (self.submission and event.version <= self.submission.version):
            return
        if self.claim:
            self._act(ActKind.RELEASED, SYSTEM, detail={"because": "resubmitted"})
            self.claim = None
        self.first_approval = None
        self.submission = Submission.of(event)

    def on_withdrawn(self, event: CaseWithdrawn) -> None:
        """The case is gone: nothing but ids is kept, and every record of it in moderation's topics is erased."""
        if self.withdrawn:
            return
        picture_ids = {*event.picture_ids, *self.pictures, *(p.picture_id for p, _ in self.submitted_pictures())}
        self._act(ActKind.WITHDRAWN, AUTHOR, version=event.version)
        self.withdrawn = True
        self.submission, self.claim, self.first_approval, self.pictures, self.thread = None, None, None, {}, ()
        self.outgoing.append(Tombstone(event=CaseApproved, key=self.case_id))
        self.outgoing.append(Tombstone(event=CaseRejected, key=self.case_id))
        self.outgoing += [Tombstone(event=RedactionRequested, key=each) for each in sorted(picture_ids)]

    def note(self, act: ActKind, moderator_id: str, detail: Detail) -> None:
        """Note what a moderator did about something that belongs to the case, without a claim on it."""
        self._act(act, moderator_id, detail=detail, claimed=False)

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
        claimed: bool = True,
    ) -> None:
        """Note an act for the audit chain, with the claim and the submission under which it happened.

        `claimed` False: an act without a claim; the running one, if any, is somebody else's.
        """
        self.acts.append(
            Act(
                act=act,
                actor=actor,
                claim_id=self.claim.claim_id if self.claim and claimed else None,
                version=version or (self.submission.version if self.submission else None),
                picture_id=picture_id,
                revision=revision,
                frame=frame,
                detail=detail or {},
            )
        )
