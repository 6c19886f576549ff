"""Tables made of results: medians with their range, and ratios taken round by round.

Pure: results in, text out. Knows which numbers belong together; must not know Markdown or terminals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.accounting import spread
from benchmarks.parts import interference, latency, memory, open_loop, throughput, tokens
from benchmarks.samples import Results, Series, ratios
from benchmarks.texts import TYPICAL_TOKENS

WAYS = {
    "sorted": "in process, sorted by length",
    "arrived": f"in process, batches of {throughput.ARRIVAL_BATCH} in arrival order",
    "unary": "unary calls, 64 clients",
    "batch": f"batches of {throughput.BATCH}, {throughput.BATCH_CALLS} clients",
    "stream": f"one stream, {throughput.STREAM_WINDOW} texts under way",
}
_SERVICES = ("sentinova", "triton", "mlserver")
_PEERS = ("triton", "mlserver", "paddle")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what a reader needs to read it.

    Attributes:
        title: its heading.
        note: what the columns are; may be empty.
        header: names of the columns; the first ones are text, the others numbers.
        rows: cells.
        texts: how many of the columns are text.
        plot: the plot that belongs beside it; empty: none.
    """

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    plot: str = ""


def format_number(value: float) -> str:
    """Writes a number with three significant digits, and large ones whole."""
    if value != value:  # noqa: PLR0124 (not a number)
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def format_series(series: Series) -> str:
    """Writes a median with the range that it is of."""
    if not series:
        return "–"
    found = spread(list(series.values()))
    low, high = format_number(found.low), format_number(found.high)
    return format_number(found.median) + ("" if low == high else f" ({low}…{high})")


def make_tables(results: Results) -> list[Table]:
    """Makes all tables that the results are enough for."""
    makers: tuple[Callable[[Results], Table], ...] = (
        ratio_table, throughput_table, latency_table, sweep_table, open_loop_table, interference_table, token_table,
        memory_table,
    )  # fmt: skip
    return [table for table in (make(results) for make in makers) if table.rows]


def ratio_table(results: Results) -> Table:
    """The ratios that the benchmarks are for."""
    rows = []
    for name, found in _all_ratios(results):
        if found:
            each = spread(found)
            low_to_high = f"{format_number(each.low)}…{format_number(each.high)}"
            rows.append([name, f"**{format_number(each.median)}**", low_to_high, " ".join(map(format_number, found))])
    note = "Each is taken within a round, between measurements that stand side by side; the median is over the rounds."
    return Table("Ratios", note, ("ratio", "median", "range", "round by round"), rows)


def _all_ratios(results: Results) -> Iterator[tuple[str, list[float]]]:
    yield from _peer_ratios(results)
    yield from _ceiling_ratios(results)
    one = _getter(results, latency.PART, "p50_ms")
    for hint, meaning in latency.HINTS.items():
        name = f"one client, one text of {TYPICAL_TOKENS} tokens, p50: Sentinova / bare OpenVINO on {meaning}"
        yield name, ratios(one("one text", "sentinova"), one(f"one text/{hint}", "bare"))
    for service in _SERVICES:
        for mix in results.cases(open_loop.PART):
            found = results.series(open_loop.PART, mix, service, "spread")
            yield f"open loop at 80% of capacity, p99 / p50: {_title(results, service)}", list(found.values())
    short = _getter(results, interference.PART, "p50_ms")
    alone, beside = interference.CASES
    for service in _SERVICES:
        name = f"short texts' p50, beside long ones / alone: {_title(results, service)}"
        yield name, ratios(short(beside, service), short(alone, service))
    for service in _SERVICES:
        settled, last, requests = _settled_memory(results, service)
        name = f"memory after {requests:,} requests / after {memory.SETTLED:,}: {_title(results, service)}"
        yield name, ratios(last, settled)


def _peer_ratios(results: Results) -> Iterator[tuple[str, list[float]]]:
    for mix in _mixes(results):
        speed = _getter(results, throughput.PART, "texts_per_s")
        cost = _getter(results, throughput.PART, "cpu_s_per_1000")
        for peer in _PEERS:
            case = f"{mix}/arrived" if peer == "paddle" else f"{mix}/unary"
            what = f"{mix} texts, unary, 64 clients"
            title = _title(results, peer)
            yield f"{what}, texts/s: Sentinova / {title}", ratios(speed(f"{mix}/unary", "sentinova"), speed(case, peer))
            yield (
                f"{what}, texts per CPU second: Sentinova / {title}",
                ratios(cost(case, peer), cost(f"{mix}/unary", "sentinova")),
            )


def _ceiling_ratios(results: Results) -> Iterator[tuple[str, list[float]]]:
    speed = _getter(results, throughput.PART, "texts_per_s")
    cost = _getter(results, throughput.PART, "cpu_s_per_1000")
    for mix in _mixes(results):
        top_speed, top_cost = speed(f"{mix}/sorted", "bare"), cost(f"{mix}/sorted", "bare")
        for way in ("batch", "unary", "stream"):
            case = f"{mix}/{way}"
            name = f"{mix} texts, {WAYS[way]}: Sentinova / ceiling"
            yield f"{name}, texts per CPU second", ratios(top_cost, cost(case, "sentinova"))
            yield f"{name}, texts/s", ratios(speed(case, "sentinova"), top_speed)


def throughput_table(results: Results) -> Table:
    """Every mix and way of asking."""
    rows = []
    part = throughput.PART
    for case in results.cases(part):
        mix, _, way = case.partition("/")
        for target in results.targets(part, case):
            get = {
                value: results.series(part, case, target, value)
                for value in ("texts_per_s", "cpu_s_per_1000", "padding", "p50_ms", "p99_ms", "p99_corrected_ms")
            }
            top = results.series(part, f"{mix}/sorted", "bare", "cpu_s_per_1000")
            share = dict(enumerate(ratios(top, get["cpu_s_per_1000"])))
            percent = {number: 100 * value for number, value in get["padding"].items()}
            cells = (get["texts_per_s"], get["cpu_s_per_1000"], share, percent, get["p50_ms"], get["p99_ms"])
            last = format_series(get["p99_corrected_ms"])
            rows.append([mix, WAYS[way], _title(results, target), *map(format_series, cells), last])
    header = (
        "texts", "asked in", "of", "texts/s", "CPU s / 1,000 texts", "ceiling's CPU / its", "padding %", "p50 ms",
        "p99 ms", "p99 ms, corrected",
    )  # fmt: skip
    note = (
        "CPU time is the target's process tree's alone, the load generator's is not in it. “Corrected” adds the calls "
        "that waiting clients did not make (coordinated omission)."
    )
    return Table("Throughput", note, header, rows, texts=3, plot="cpu.png padding.png")


def latency_table(results: Results) -> Table:
    """One client with one text."""
    rows = []
    for case in results.cases(latency.PART):
        _, _, hint = case.partition("/")
        for target in results.targets(latency.PART, case):
            p50, p99 = (results.series(latency.PART, case, target, value) for value in ("p50_ms", "p99_ms"))
            name = _title(results, target) + (f", {latency.HINTS[hint]}" if hint else "")
            rows.append([name, format_series(p50), format_series(p99)])
    note = f"The same text of {TYPICAL_TOKENS} tokens again and again; bare OpenVINO is given its token ids."
    return Table("One client, one text", note, ("of", "p50 ms", "p99 ms"), rows)


def sweep_table(results: Results) -> Table:
    """Throughput and latency for ever more clients."""
    rows = []
    for clients in results.cases(latency.SWEEP):
        for target in results.targets(latency.SWEEP, clients):
            values = ("texts_per_s", "p50_ms", "p90_ms", "p99_ms", "generator_cores")
            series = (results.series(latency.SWEEP, clients, target, value) for value in values)
            rows.append([clients, _title(results, target), *map(format_series, series)])
    header = ("clients", "of", "texts/s", "p50 ms", "p90 ms", "p99 ms", "load generator's cores")
    return Table("Throughput against latency", "", header, rows, texts=2, plot="throughput_latency.png")


def open_loop_table(results: Results) -> Table:
    """Latency under a steady load."""
    rows = []
    for mix in results.cases(open_loop.PART):
        for target in results.targets(open_loop.PART, mix):
            values = ("rate", "texts_per_s", "p50_ms", "p99_ms", "spread", "lag_p99_ms")
            series = (results.series(open_loop.PART, mix, target, value) for value in values)
            rows.append([_title(results, target), *map(format_series, series)])
    header = ("of", "sent/s", "answered/s", "p50 ms", "p99 ms", "p99 / p50", "sent late, p99 ms")
    note = (
        "Calls at a fixed rate, 80% of the texts/s that 64 clients got from the same target in the same round. Latency "
        "counts from the planned time of a call."
    )
    return Table("Open loop", note, header, rows)


def interference_table(results: Results) -> Table:
    """Short texts alone, and beside long ones."""
    rows = []
    for target in results.targets(interference.PART):
        for case in interference.CASES:
            values = ("rate", "long_rate", "p50_ms", "p99_ms")
            rate, long_rate, p50, p99 = (results.series(interference.PART, case, target, value) for value in values)
            rows.append([_title(results, target), case, *map(format_series, (rate, long_rate, p50, p99))])
    header = ("of", "case", "short/s", "long/s", "short ones' p50 ms", "short ones' p99 ms")
    note = f"Each rate is {interference.SHARE:.0%} of what the target answers of such texts alone."
    return Table("Short texts beside long ones", note, header, rows, texts=2)


def token_table(results: Results) -> Table:
    """CPU time per token."""
    rows = []
    for case in results.cases(tokens.PART):
        bare = results.series(tokens.PART, case, "bare", tokens.CPU)
        cells = [bare]
        for value in (tokens.CPU, tokens.BATCHES_CPU):
            own = results.series(tokens.PART, case, "sentinova", value)
            cells += [own, dict(enumerate(ratios(own, bare)))]
        rows.append([case, *map(format_series, cells)])
    header = (
        "tokens in a text", "bare OpenVINO, µs/token", "Sentinova, unary calls, µs/token", "to bare",
        f"Sentinova, calls of {throughput.BATCH} texts, µs/token", "to bare",
    )  # fmt: skip
    note = (
        "CPU time of the whole process for each token, special ones included; unary calls of 64 clients, and calls of "
        f"{throughput.BATCH} texts of {throughput.BATCH_CALLS}."
    )
    return Table("CPU time per token", note, header, rows, plot="tokens.png")


def memory_table(results: Results) -> Table:
    """Resident memory before, settled and in the end."""
    rows = []
    for target in results.targets(memory.PART):
        settled, last, requests = _settled_memory(results, target)
        start = results.series(memory.PART, "0", target, "memory_mb")
        share = dict(enumerate(ratios(last, settled)))
        rows.append([_title(results, target), *map(format_series, (start, settled)), f"{requests:,}",
                     *map(format_series, (last, share))])  # fmt: skip
    header = ("of", "at first, MB", f"after {memory.SETTLED:,}, MB", "requests", "after them, MB", "ratio of the two")
    note = (
        "Resident memory of the process tree, shared pages counted once, over requests of random lengths: reviews, and "
        "3 in 100 of any length up to 512 tokens. “At first” is after the other measurements."
    )
    return Table("Memory", note, header, rows, plot="memory.png")


def _settled_memory(results: Results, target: str) -> tuple[Series, Series, int]:
    """Gives memory after `SETTLED` requests, after the last, and how many these were."""
    steps = [int(case) for case in results.cases(memory.PART)]
    known = [step for step in steps if results.series(memory.PART, str(step), target, "memory_mb")]
    last = max(known, default=0)
    settled = results.series(memory.PART, str(memory.SETTLED), target, "memory_mb")
    return settled, results.series(memory.PART, str(last), target, "memory_mb"), last


def _mixes(results: Results) -> list[str]:
    return list(dict.fromkeys(case.partition("/")[0] for case in results.cases(throughput.PART)))


def _title(results: Results, target: str) -> str:
    return results.titles.get(target, target)


def _getter(results: Results, part: str, value: str) -> Callable[[str, str], Mapping[int, float]]:
    return lambda case, target: results.series(part, case, target, value)
