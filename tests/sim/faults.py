"""What goes wrong: every fault of a run is drawn here, from the seed, has a number, and can be left out of a repetition by it.

Each seed draws which kinds it uses and how often, so that some runs are a storm of one kind and others a little of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.sim.dice import stream
from tests.sim.loop import WORLD, Process, SimulatedLoop

CROSSING_SECONDS_MAX = 0.004
"""How long a call takes to its other side."""


class BatchFate(Enum):
    """What becomes of a batch on its way to the broker."""

    WRITTEN = auto()
    REFUSED = auto()
    UNANSWERED = auto()
    """Written, and its acknowledgement lost."""
    LATE = auto()
    """Written after its producer has given it up, or about then."""


class CommitFate(Enum):
    """What becomes of a commit."""

    DONE = auto()
    REFUSED = auto()
    LOST = auto()


class SaveFate(Enum):
    """What becomes of a save."""

    DONE = auto()
    LOST = auto()
    SLOW = auto()
    REPEATED = auto()


class HttpFate(Enum):
    """What becomes of a request to a channel."""

    ANSWERED = auto()
    NOT_SENT = auto()
    LOST_BEFORE = auto()
    """The request never arrived, and nobody can know."""
    LOST_AFTER = auto()
    """It arrived and was acted on; the answer was lost."""
    SLOW = auto()
    LIMITED = auto()
    """429 or the vendor's code for it."""
    BROKEN = auto()
    """A 5xx."""
    PAIR_LIMITED = auto()


RATES = {
    "crash": 0.0008,
    "freeze": 0.0005,
    "batch refused": 0.004,
    "batch unanswered": 0.004,
    "batch late": 0.002,
    "commit refused": 0.01,
    "commit lost": 0.01,
    "save lost": 0.003,
    "save slow": 0.002,
    "save repeated": 0.002,
    "store down": 0.0005,
    "http not sent": 0.02,
    "http lost before": 0.02,
    "http lost after": 0.02,
    "http slow": 0.02,
    "http limited": 0.02,
    "http broken": 0.02,
    "http pair limited": 0.02,
    "scale": 0.0002,
    "deploy": 0.0002,
    "clock": 0.0002,
    "broker down": 0.0001,
    "webhook repeated": 0.1,
    "webhook lost answer": 0.03,
    "status odd": 0.2,
    "poison": 0.05,
}
FAVOURITE_POINTS = ("load", "saved", "acknowledgement", "commit", "committed", "scanned", "HTTP request", "HTTP answer", "join", "read")
FAVOURITE_RATE = 0.03
"""How often a seed that has a favourite boundary strikes there."""
"""How often each kind strikes where it can, before the seed's own taste."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One fault that struck."""

    number: int
    step: int
    seconds: float
    kind: str
    where: str


@dataclass(slots=True)
class _Outage:
    until: float = 0.0


@dataclass
class Faults:
    """Draws faults.

    `factors` replaces the seed's own taste for some kinds, `favourites` adds boundaries of its own: point → (kind, rate). `struck` is
    called with (kind, process) for faults that are not the answer of one call.
    """

    loop: SimulatedLoop
    seed: int
    muted: frozenset[int] = frozenset()
    factors: Mapping[str, float] = field(default_factory=dict)
    favourites: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    active: bool = False
    is_over: bool = False
    """Nothing strikes any more, whatever the weather."""
    steps: int = 0
    hits: list[Hit] = field(default_factory=list)
    struck: Callable[[str, Process], None] = lambda _kind, _process: None

    def __post_init__(self) -> None:
        """Draw the taste of the seed."""
        taste = stream(self.seed, "taste")
        self._rates = {kind: rate * taste.choice((0, 0, 0.5, 1, 2, 5, 15)) for kind, rate in sorted(RATES.items())}
        if taste.random() < 0.05:
            self._rates = dict.fromkeys(RATES, 0.0)
        self._favourites: dict[str, tuple[str, float]] = {}
        if taste.random() < 0.5:
            self._favourites[taste.choice(FAVOURITE_POINTS)] = (taste.choice(("crash", "crash", "freeze")), FAVOURITE_RATE)
        self._favourites.update(self.favourites)
        self._rates.update({kind: RATES[kind] * factor for kind, factor in self.factors.items()})
        self._chance = stream(self.seed, "faults")
        self._pause = stream(self.seed, "pauses")
        self._number = 0
        self._store_outage = _Outage()
        kinds = ("crash", "freeze", "scale", "deploy", "clock", "broker down")
        self._struck_kinds = [(kind, self._rates[kind]) for kind in kinds if self._rates[kind]]
        self._struck_sum = sum(rate for _, rate in self._struck_kinds)

    # --- where a call crosses from one side to the other ------------------------------------------------------------

    async def cross(self, process: Process, point: str) -> None:
        """Pass one boundary: a step of the run, at which the process may be hit."""
        process.check_alive()
        self.moment(process, point)
        await self.loop.pause(self._pause.random() * CROSSING_SECONDS_MAX)

    def moment(self, process: Process, point: str) -> None:
        """Count a step; perhaps hit somebody before anything else happens."""
        self.steps += 1
        if not self.active or self.is_over or process.dead:
            return
        roll = self._chance.random()
        favourite = self._favourites.get(point)
        if favourite is not None and self._chance.random() < favourite[1] and self._counts(favourite[0], f"{process.name} at {point}"):
            self.loop.call_soon(self.struck, favourite[0], process, context=WORLD)
            return
        if roll >= self._struck_sum:
            return
        for kind, rate in self._struck_kinds:
            roll -= rate
            if roll < 0:
                if self._counts(kind, f"{process.name} at {point}"):
                    self.loop.call_soon(self.struck, kind, process, context=WORLD)
                return

    # --- the fate of single calls -----------------------------------------------------------------------------------

    def draw(self, kind: str, where: str) -> bool:
        """Return whether a fault of this kind strikes here."""
        rate = self._rates[kind]
        return self.active and not self.is_over and rate > 0 and self._chance.random() < rate and self._counts(kind, where)

    def batch(self, process: Process) -> BatchFate:
        """Return the fate of a batch."""
        if self.draw("batch refused", process.name):
            return BatchFate.REFUSED
        if self.draw("batch unanswered", process.name):
            return BatchFate.UNANSWERED
        return BatchFate.LATE if self.draw("batch late", process.name) else BatchFate.WRITTEN

    def commit(self, process: Process) -> CommitFate:
        """Return the fate of a commit."""
        if self.draw("commit refused", process.name):
            return CommitFate.REFUSED
        return CommitFate.LOST if self.draw("commit lost", process.name) else CommitFate.DONE

    def save(self, process: Process) -> SaveFate:
        """Return the fate of a save."""
        if self.draw("save lost", process.name):
            return SaveFate.LOST
        if self.draw("save slow", process.name):
            return SaveFate.SLOW
        return SaveFate.REPEATED if self.draw("save repeated", process.name) else SaveFate.DONE

    def store_is_down(self, process: Process) -> bool:
        """Return whether the store does not answer; an outage lasts a while."""
        if self.draw("store down", process.name):
            self._store_outage.until = self.loop.time() + self._chance.uniform(1, 90)
        return self.loop.time() < self._store_outage.until

    def http(self, process: Process) -> HttpFate:
        """Return the fate of a request to a channel."""
        for kind, fate in _HTTP:
            if self.draw(kind, process.name):
                return fate
        return HttpFate.ANSWERED

    def _counts(self, kind: str, where: str) -> bool:
        """Return whether this fault takes place in this repetition."""
        self._number += 1
        if self._number in self.muted:
            return False
        self.hits.append(Hit(self._number, self.steps, self.loop.time(), kind, where))
        return True


_HTTP = (
    ("http not sent", HttpFate.NOT_SENT),
    ("http lost before", HttpFate.LOST_BEFORE),
    ("http lost after", HttpFate.LOST_AFTER),
    ("http slow", HttpFate.SLOW),
    ("http limited", HttpFate.LIMITED),
    ("http broken", HttpFate.BROKEN),
    ("http pair limited", HttpFate.PAIR_LIMITED),
)
