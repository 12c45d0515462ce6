"""docs/performance.md and its picture, from the lines of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.docs.tables import table
from tests.bench.figures import Benchmark, Figure, benchmarks_of, merged, read_lines
from tests.bench.picture import bars, number
from tests.bench.world import ROOT, VAR

PAGE = ROOT / "docs/performance.md"
PICTURE = ROOT / "docs/pictures/contenders.svg"
COSTS = ROOT / "tests/bench/costs.md"
COSTS_MARK = "<!-- tests/bench/costs.md -->"
RESULTS = VAR / "bench/latest.jsonl"

TITLES: Mapping[str, str] = {
    "backlog": "A backlog, and other ways of doing the job",
    "growth": "How cost grows",
    "timers": "Timers",
    "recovery": "Recovery",
    "ingest": "Ingest",
    "end_to_end": "End to end",
    "at_rest": "At rest, and memory",
}
EXPLANATIONS: Mapping[str, str] = {
    "backlog": "The router's conversation reducer works a backlog off, on the real broker with the SQLite store (synchronous FULL), beside "
    "others that do the same job: the same kind of topic, the same rules, the same outputs with acks=all, each a process on one core.\n\n"
    "- *Pass-through, whole batches*: what the broker can do here. Record batches move from topic to topic unread.\n"
    "- *Pass-through, record by record*: what the client library can do. Records are fetched, put into new batches and acknowledged, "
    "their values never decoded; no rules, no store. The goal of a quarter is meant against this one.\n"
    "- *Textbook handler*: FastStream as its documentation shows it, a message at a time, on the same store.\n"
    "- *Quix Streams*: state in RocksDB with a changelog, written with a checkpoint every 5 s: less durable than the others.\n"
    "- *Queue plus lock*: a job per message, a lock per conversation, a row per message, on SQLite with the same durability; one worker. "
    "It gets its queue filled beforehand, for nothing.\n\n"
    "All run in turn, in several rounds; a figure is the median of its rounds, a ratio the median of the rounds' own ratios.",
    "growth": "Stores are seeded in bulk with documents as the rules leave them after five messages, through the engine's own codec; then "
    "the same number of events, drawn at random, hits a thousand active conversations among all, and in another run all of them, in "
    "several rounds, of which the medians stand here. The first shows what the size of the store costs. In the second the active ones grow "
    "with it: in a small store they are in memory and several events meet in one document of a batch, in a large one every event loads a "
    "document from disk and saves it alone. On two cores the broker shares them with the processes: a second process takes its core from "
    "the broker.",
    "timers": "The sla service holds a reply window per conversation; most end hours later, some hundreds a second end while messages "
    "flow. Lateness is from a window's end to the arrival of `window.closed` at a reader of the topic. The run fails where an end is told "
    "twice or not at all.",
    "recovery": "Two router processes share the partitions, messages flow, one is killed (SIGKILL). Either the same instance starts again "
    "at once, as a supervisor does it (static membership: nobody else is stopped), or it stays dead and the other takes its partitions "
    "over, which Kafka allows when the session has timed out. The backlog is what was written until the first event was handled again.",
    "ingest": "Signed webhooks with acks=all on one core; generator and broker have the other. The baseline is a FastAPI route that checks "
    "the signature and answers, without parsing and without Kafka, on the same server.",
    "end_to_end": "From the moment a webhook is due to the bot's answer at the channel's API, through all five services.",
    "at_rest": "Memory of each service, and CPU of everything together with the broker, while nothing happens and after a backlog.",
}
INTRODUCTION = (
    "Figures hold for the machine they were measured on, and swing with what else it does; the ratios between figures of one run "
    "say more. `make bench` measures again and prints JSON lines; `python -m tests.bench --only NAME` picks benchmarks, `--quick` runs "
    "everything small."
)
PIVOTS: Mapping[str, Sequence[str]] = {
    "growth": ("conversations", "partitions_owned"),
    "recovery": ("case",),
    "end_to_end": ("process", "part"),
    "at_rest": ("process",),
}
"""Details by which a benchmark's figures stand side by side in one table."""

BESIDE: Mapping[str, str] = {"p99_ms": "p99", "backlog": "backlog"}
"""Details that stand beside a figure's value in such a table, and how they are called."""


def render(lines: Sequence[dict[str, Any]], costs: str) -> str:
    """Return the page for the lines of one or more runs; `costs` is its section written by hand."""
    found = benchmarks_of(lines)
    ordered = sorted(found, key=lambda one: list(TITLES).index(one.name) if one.name in TITLES else len(TITLES))
    parts = [
        "# Performance",
        "",
        "*Generated by `python -m tests.bench --write` from runs; the section on costs is `tests/bench/costs.md`. Edit those.*",
        "",
        INTRODUCTION,
        "",
        *_goals(ordered),
    ]
    for one in ordered:
        parts += ["", *_section(one)]
    return "\n".join([*parts, "", COSTS_MARK, "", costs.strip(), ""])


def contenders(lines: Sequence[dict[str, Any]]) -> str | None:
    """Return the picture of the backlog's contenders, or None where they were not measured."""
    rows = []
    for one in benchmarks_of(lines):
        for figure in one.figures if one.name == "backlog" else ():
            if figure.name == "reducer events per second":
                rows.append(("Parley", figure.value, True))
            elif figure.name.endswith(", events per second"):
                rows.append((figure.name.removesuffix(", events per second"), figure.value, False))
    return bars("Events per second, one core, logarithmic", rows, "/s") if rows else None


def write(lines: Sequence[dict[str, Any]], *, results: Path = RESULTS, page: Path = PAGE, picture: Path = PICTURE) -> None:
    """Keep `lines` beside those of earlier runs, and write page and picture; where there are none at all, the costs alone anew."""
    costs = COSTS.read_text(encoding="utf-8")
    everything = merged(read_lines(results), lines)
    if not everything:
        measured, _, _ = page.read_text(encoding="utf-8").partition(COSTS_MARK)
        page.write_text(f"{measured}{COSTS_MARK}\n\n{costs.strip()}\n", encoding="utf-8")
        return
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in everything), encoding="utf-8")
    page.write_text(render(everything, costs), encoding="utf-8")
    drawn = contenders(everything)
    if drawn is not None:
        picture.write_text(drawn, encoding="utf-8")


def _goals(found: Sequence[Benchmark]) -> list[str]:
    """Return the table of everything that has a goal."""
    rows = [
        (f"[{TITLES.get(one.name, one.name)}](#{_anchor(TITLES.get(one.name, one.name))})", *_with_goal(figure))
        for one in found
        for figure in one.figures
        if figure.goal is not None
    ]
    if not rows:
        return []
    missed = sum(row[-1] != "yes" for row in rows)
    count = f"{len(rows) - missed} of {len(rows)} goals were met."
    return ["## Goals", "", count, "", *table(("benchmark", "figure", "value", "goal", "met"), rows)]


def _with_goal(figure: Figure) -> tuple[str, str, str, str]:
    assert figure.goal is not None  # asked before
    bound = "at least" if figure.at_least else "at most"
    where = ", ".join(
        f"{key.replace('_', ' ')} {_detail(figure.details[key])}" for key in ("case", "process", "active") if key in figure.details
    )
    name = f"{figure.name} ({where})" if where else figure.name
    return name, _value(figure), f"{bound} {number(figure.goal)}", "yes" if figure.met else "**no**"


def _section(one: Benchmark) -> list[str]:
    """Return a benchmark's section: what it is, when it ran, its tables."""
    parts = [f"## {TITLES.get(one.name, one.name)}", "", EXPLANATIONS.get(one.name, "").strip(), "", _circumstances(one)]
    if one.failed:
        parts += ["", f"**It failed:** {one.failed}"]
    if one.name == "backlog" and one.figures:
        parts += ["", f"![Events per second of each](pictures/{PICTURE.name})"]
    left = list(one.figures)
    for key in PIVOTS.get(one.name, ()):
        chosen = [figure for figure in left if key in figure.details and not isinstance(figure.details[key], list)]
        left = [figure for figure in left if figure not in chosen]
        if chosen:
            parts += ["", *_pivot(chosen, key)]
    if left:
        rows = [(*_row(figure), _details(figure.details)) for figure in left]
        parts += ["", *table(("figure", "value", "goal", "met", "with"), rows)]
    return [*parts, *(f"\n{remark}" for remark in one.remarks)]


def _row(figure: Figure) -> tuple[str, str, str, str]:
    if figure.goal is None:
        return figure.name, _value(figure), "", ""
    _, value, goal, met = _with_goal(figure)
    return figure.name, value, goal, met


def _pivot(figures: Sequence[Figure], key: str) -> list[str]:
    """Return a table with a row per set of conditions and a column per figure."""
    names = list(dict.fromkeys(figure.name for figure in figures))
    conditions: dict[tuple[tuple[str, str], ...], dict[str, Figure]] = {}
    heads: list[str] = [key]
    for figure in figures:
        shown = {name: _detail(value) for name, value in figure.details.items() if name in {key, "active", "processes"}}
        heads = list(dict.fromkeys([*heads, *shown]))
        conditions.setdefault(tuple(sorted(shown.items())), {})[figure.name] = figure
    rows = [
        (
            *(dict(shown).get(head, "") for head in heads),
            *(_cell(found[name]) if name in found else "" for name in names),
        )
        for shown, found in conditions.items()
    ]
    suffix = _details({name: value for name, value in figures[0].details.items() if name in {"events", "cores", "rate_per_second"}})
    columns = (*(head.replace("_", " ") for head in heads), *names)
    return [*table(columns, rows), *(["", f"Each with {suffix}."] if suffix else [])]


def _cell(figure: Figure) -> str:
    more = "".join(f", {words} {_detail(figure.details[name])}" for name, words in BESIDE.items() if name in figure.details)
    if figure.goal is None:
        return f"{_value(figure)}{more}"
    _, value, goal, met = _with_goal(figure)
    return f"{value}{more} ({goal}: {met})"


def _value(figure: Figure) -> str:
    return f"{number(figure.value)} {figure.unit}".replace(" 1/s", " /s").replace(" % ", " % ")


def _details(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_detail(value)}" for name, value in details.items())


def _detail(value: Any) -> str:
    """Return a detail as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_detail(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_detail(one) for one in value)
    return str(value)


def _circumstances(one: Benchmark) -> str:
    """Return when and on what a benchmark ran."""
    found = one.circumstances
    if not found:
        return "Nothing is known of the circumstances."
    quick = " **A quick run: to see that it runs, not for its figures.**" if found.get("quick") else ""
    took = "" if one.took_seconds is None else f"; it took {one.took_seconds:.0f} s"
    return (
        f"Measured on {found['date']}: {found['cores']} cores, Python {found['python']}, {found['system']}, "
        f"load {found['load_before']} before it{took}.{quick}"
    )


def _anchor(title: str) -> str:
    return "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -").replace(" ", "-")
