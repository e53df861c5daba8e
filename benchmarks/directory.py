"""The search in the directory of members at half a million of them, against a bare indexed find in the same run.

Everybody in it is made up: names and towns are drawn from the lists of `shared/deid/words`, a few of them very often
and most of them seldom, as it is among people. The entries are made by the rules of the service and lie in the real
MongoDB; the whole route is called in this process (token, blocks, search, JSON). The bare find asks the same
collection for twenty entries by one term of the same index, which is the least that any search has to do.

    python -m benchmarks.directory [--members 500000] [--json FILE]
"""

import argparse
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, islice
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import harness
from benchmarks.harness import Result, Row, own_platform
from deploy.local.downloads import ROOT
from services.identity.domain.account import Account
from services.identity.domain.directory import entry_of, query_words
from services.identity.domain.profile import OwnSkill, Part, Place, Profile, Visibility
from services.identity.routes.directory import directory_routes
from services.identity.routes.profile import People
from services.identity.settings import Settings
from services.identity.specialties import skills, specialties
from services.identity.store.accounts import Accounts
from services.identity.store.contacts import Contacts
from services.identity.store.directory import Directory, document_of
from services.identity.store.keys import SigningKey
from services.identity.store.profiles import Profiles
from shared.auth import Guard, TokenVerifier
from shared.events import Profession, Specialty
from shared.mongo import Mongo, prepare_when_possible
from shared.web import create_app

AIM_P95_MS = 100.0
MEMBERS = 500_000
QUERIES = 150
BATCH = 5_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FACULTIES = ("Paris", "Lyon", "Marseille", "Bordeaux", "Lille", "Toulouse", "Nantes", "Montpellier", "Genève", "Québec")
OPTIONS = argparse.ArgumentParser(add_help=False)
OPTIONS.add_argument("--members", type=int, default=MEMBERS)


class Population:
    """Draws members. The n-th of a list is drawn with a weight of 1/n."""

    def __init__(self, seed: int = 4) -> None:
        self.random = random.Random(seed)
        words = ROOT / "shared/deid/words"
        self.surnames = [word.strip("~") for line in _lines(words / "surnames.txt") for word in line.split()]
        self.towns = list(dict.fromkeys(line.split("\t")[0] for line in _lines(words / "towns.tsv")))
        for names in (self.surnames, self.towns):
            self.random.shuffle(names)
        self.specialties = list(Specialty)
        self.random.shuffle(self.specialties)
        self._weights: dict[int, list[float]] = {}
        self.skills_of = {
            specialty: [skill.code for skill in skills().values() if skill.specialty is specialty]
            for specialty in Specialty
        }

    def members(self, count: int) -> Iterator[dict[str, Any]]:
        """Entries as the directory keeps them."""
        for number in range(count):
            account, profile, confirmations = self._member(number)
            entry = entry_of(account, profile, confirmations)
            assert entry is not None
            yield document_of(entry, account)

    def one_of(self, names: Sequence[Any]) -> Any:
        weights = self._weights.get(len(names))
        if weights is None:
            weights = self._weights[len(names)] = list(accumulate(1 / n for n in range(1, len(names) + 1)))
        return self.random.choices(names, cum_weights=weights)[0]

    def _member(self, number: int) -> tuple[Account, Profile, dict[str, int]]:
        draw, specialty = self.random, self.one_of(self.specialties)
        account = Account(
            member_id=f"{number:08x}-0000-4000-8000-000000000000",
            email="",
            password_hash="",
            pseudonym=f"{draw.choice(('Dr', 'Pr', 'Doc'))} {self.one_of(self.surnames)} {draw.randrange(1000)}",
            profession=draw.choices(tuple(Profession), weights=(55, 8, 20, 3, 4, 3, 4, 2, 1))[0],
            specialty=specialty,
            country="FR",
            created_at=NOW,
        ).verify(NOW, "rpps")
        own = draw.sample(self.skills_of[specialty], k=min(draw.randrange(4), len(self.skills_of[specialty])))
        declared = dict.fromkeys([*own, *draw.choices(list(skills()), k=draw.randrange(3))])
        profile = Profile(
            member_id=account.member_id,
            specialties=(specialty,),
            skills=tuple(OwnSkill(code, draw.random() < 0.5) for code in declared),
            languages=("fr", *draw.sample(("en", "ar", "es", "de", "pt"), k=draw.randrange(3))),
            place=Place(self._town(), "FR"),
            faculty=f"Faculté de médecine de {draw.choice(FACULTIES)}" if draw.random() < 0.4 else None,
            visibility=dict.fromkeys(Part, Visibility.MEMBERS),
        )
        return account, profile, {code: draw.randrange(6) for code in own}

    def _town(self) -> str:
        return str(self.one_of(self.towns))


def queries(people: Population) -> dict[str, list[dict[str, Any]]]:
    """What members type, by kind."""
    draw = people.random
    common = [query_words(name)[0] for name in specialties_in_words() if query_words(name)]

    def beginning(text: str, least: int = 3) -> str:
        word = max(query_words(text) or ["saint"], key=len)
        return word[: draw.randint(min(least, len(word)), len(word))]

    def some(make: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
        return [make() for _ in range(QUERIES)]

    def skill() -> str:
        return draw.choice([one.fr for one in skills().values()])

    return {
        "a skill and a town, beginnings": some(
            lambda: {"q": f"{beginning(skill(), 5)} {beginning(people.one_of(people.towns), 4)}"}
        ),
        "a name, its beginning": some(lambda: {"q": beginning(people.one_of(people.surnames), 4)}),
        "a specialty and a town, exact": some(
            lambda: {"specialty": people.one_of(people.specialties).value, "town": people.one_of(people.towns)}
        ),
        "a skill with referrals, exact": some(
            lambda: {"skill": draw.choice(list(skills())), "accepts_referrals": "true"}
        ),
        "one common word": some(lambda: {"q": draw.choice(("medecin", "infirmier", "dr", "faculte", *common))}),
        "two common words": some(lambda: {"q": f"{draw.choice(common)} {draw.choice(('medecin', 'infirm', 'kine'))}"}),
        "two letters, and two of a town": some(
            lambda: {"q": f"{beginning(skill(), 2)[:2]} {beginning(people.one_of(people.towns))[:2]}"}
        ),
        "two specialties, seldom together": some(lambda: {"q": " ".join(draw.sample(common, k=2))}),
    }  # fmt: skip


def specialties_in_words() -> list[str]:
    """The French names."""
    return [entry.fr for entry in specialties().values()]


async def run() -> Result:
    """Milliseconds of the whole route by kind of query, and of the bare find."""
    count = OPTIONS.parse_known_args()[0].members
    people = Population()
    with own_platform() as platform:
        env = platform.service_env("identity")
        mongo = Mongo(env["IDENTITY_MONGO_URI"], env["IDENTITY_MONGO_DATABASE"])
        try:
            made = await _fill(mongo, people, count)
            return await _measured(mongo, people, count, made)
        finally:
            mongo.close()


async def _fill(mongo: Mongo, people: Population, count: int) -> list[Row]:
    started = time.monotonic()
    members = people.members(count)
    while batch := list(islice(members, BATCH)):
        await mongo.db["directory"].insert_many(batch, ordered=False)
    filled = time.monotonic()
    await prepare_when_possible(Directory(mongo.db).prepare)  # on a busy machine longer than the driver waits
    return [
        Row("making and writing the entries", filled - started, "s"),
        Row("making the index", time.monotonic() - filled, "s"),
    ]


async def _measured(mongo: Mongo, people: Population, count: int, made: list[Row]) -> Result:
    call = await _caller(mongo)
    asked = queries(people)
    found = dict.fromkeys(asked, 0)
    took: dict[str, list[float]] = {kind: [] for kind in asked}
    bare: list[float] = []
    terms = [f"k:{code}" for code in skills()]
    for several in asked.values():  # a round that warms up, and is not counted
        for query in several[:20]:
            await call(query)
    for turn in range(QUERIES):  # all kinds in turn, so that what else the machine does hits all alike
        for kind, several in asked.items():
            waited, items = await _timed(call(several[turn]))
            took[kind].append(waited)
            found[kind] += items > 0
        waited, _ = await _timed(_bare(mongo, people.random.choice(terms)))
        bare.append(waited)
    every = [one for milliseconds in took.values() for one in milliseconds]
    stats = await mongo.db.command("collStats", "directory")
    rows = [Row("all kinds, p50", _p(every, 50), "ms"), Row("all kinds, p95", _p(every, 95), "ms")]
    for kind, milliseconds in took.items():
        share = f" (found somebody in {found[kind] * 100 // QUERIES} % of them)"
        rows.append(Row(f"{kind}, p50{share}", _p(milliseconds, 50), "ms"))
        rows.append(Row(f"{kind}, p95", _p(milliseconds, 95), "ms", (min(milliseconds), max(milliseconds))))
    rows += [
        Row("bare indexed find, p50", _p(bare, 50), "ms"),
        Row("bare indexed find, p95", _p(bare, 95), "ms", (min(bare), max(bare))),
        Row("entries", count, ""),
        Row("size of the index", stats["indexSizes"]["terms"] / 1e6, "MB"),
        Row("size of the entries", stats["storageSize"] / 1e6, "MB"),
        *made,
    ]
    return Result(
        "Search in the directory of members",
        f"p95 under {AIM_P95_MS:.0f} ms at {MEMBERS:,} members, every kind of query alike often",
        _p(every, 95) < AIM_P95_MS and count >= MEMBERS,
        rows,
        [f"{QUERIES} queries of each kind, one after another; the bare find: 20 entries by one term, in order"],
    )


async def _caller(mongo: Mongo) -> Callable[[dict[str, Any]], Awaitable[int]]:
    """Calls the route as one signed-in member."""
    accounts, contacts, directory = Accounts(mongo), Contacts(mongo), Directory(mongo.db)
    profiles = Profiles(mongo, accounts, directory)
    await accounts.prepare()
    await contacts.prepare()
    me = Account.register(
        email="me@bench.invalid", password_hash="", pseudonym="Reader", profession=Profession.NURSE, now=NOW
    ).verify(NOW)
    await accounts.add(me)
    key, settings = SigningKey(Ed25519PrivateKey.generate()), Settings()

    async def keys() -> dict[str, Any]:
        return key.published()

    async def no_name(member_id: str) -> None:
        return None

    verifier = TokenVerifier("", settings.token_issuer, settings.token_audience, fetch=keys)
    guard = Guard(verifier, accounts.state)
    routes = directory_routes(People(accounts, profiles, contacts, no_name), directory, guard)
    app = create_app(settings, "identity", service="identity", routers=[routes])
    claims = me.claims(
        issuer=settings.token_issuer, audience=settings.token_audience, now=datetime.now(UTC), ttl_s=3_600
    )
    headers = {"authorization": f"Bearer {key.sign(claims)}"}
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench", headers=headers)

    async def call(query: dict[str, Any]) -> int:
        answer = await http.get("/directory", params=query)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            return 0  # nothing but small words
        answer.raise_for_status()
        return len(answer.json()["items"])

    return call


async def _bare(mongo: Mongo, term: str) -> int:
    found = mongo.db["directory"].find({"terms": term}, {"card": 1, "order": 1}, sort=[("order", 1)], limit=20)
    return len(await found.to_list(20))


async def _timed(work: Awaitable[int]) -> tuple[float, int]:
    started = time.perf_counter()
    found = await work
    return (time.perf_counter() - started) * 1e3, found


def _p(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _lines(path: Any) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    harness.main(run, OPTIONS)
