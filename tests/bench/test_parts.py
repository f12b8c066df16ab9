"""The parts of the benchmark that can be wrong without anybody seeing it in a figure."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench.accounting import cpu_seconds, memory, parse_parent, parse_status, tree
from tests.bench.chart import CHARTED, chart
from tests.bench.load import Latency, Load, latency, lua, parse, parse_log, whole
from tests.bench.markdown import markdown
from tests.bench.origin import LARGE, ROWS, origin
from tests.bench.programs import Cores, Failed, until_it_answers, until_it_says
from tests.bench.results import Measured, Recorded, Resident, Results, Sample, Spread, flatness
from tests.bench.scenarios import CALLS, CLIENTS, HTTP2, STREAMS
from tests.bench.shims import another

_WRK = """Running 1s test @ http://127.0.0.1:1/services
  1 threads and 32 connections
Requests/sec:  19000.00
{"requests": 20900, "us": 1100000, "p50_us": 1500, "p99_us": 4200, "status": 0, "other": 0}
"""


def test_what_wrk_says_is_read() -> None:
    load = parse(_WRK)
    assert (load.requests, load.seconds) == (20_900, 1.1)
    assert (load.p50_ms, load.p99_ms) == (1.5, 4.2)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "unable to connect",
        "[1]",
        _WRK.replace('"status": 0', '"status": 3'),
        _WRK.replace('"other": 0', '"other": 1'),
        _WRK.replace('"requests": 20900', '"requests": 0'),
    ],
)
def test_no_figure_comes_from_a_run_that_went_wrong(said: str) -> None:
    with pytest.raises(Failed):
        parse(said)


def test_h2load_s_log_is_read() -> None:
    log = "".join(f"179585699791374{n}\t202\t{1000 * n}\n" for n in range(1, 4))
    assert parse_log(log, 202, 2.0) == Load(3, 2.0, 2.0, 3.0)


@pytest.mark.parametrize("log", ["", "1\t404\t5\n", "1\t202\n", "nonsense"])
def test_no_figure_comes_from_a_log_that_went_wrong(log: str) -> None:
    with pytest.raises(Failed):
        parse_log(log, 202, 2.0)


def test_wrk_sends_method_and_body() -> None:
    scripts = {one.name: lua(one.call) for one in CALLS}
    assert 'wrk.method = "POST"' in scripts["post"]
    assert r'wrk.body = "{\"query\":' in scripts["post"]
    assert 'wrk.method = "DELETE"' in scripts["delete"]
    assert "wrk.body = nil" in scripts["delete"]
    assert [name for name, script in scripts.items() if "traceparent" in script] == ["traced"]


def test_cpu_is_that_of_the_process() -> None:
    me = (os.getpid(),)
    least = time.process_time()
    before = cpu_seconds(me)
    while time.process_time() < least + 0.02:
        pass
    after = cpu_seconds(me)
    assert least <= before < after <= time.process_time()
    assert after - before >= 0.01


def test_memory_is_read_in_mib() -> None:
    read = parse_status("Name:\tVmRSS: 1\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n")
    assert (read.resident, read.peak) == (2, 4)
    mine = memory((os.getpid(), os.getpid()))
    assert 10 < mine.resident <= mine.peak


def test_a_name_of_a_process_may_hold_anything() -> None:
    assert parse_parent("7 (a) R 3) S 42 7 7 0 -1") == 42


def test_children_belong_to_a_proxy() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.pid in tree(os.getpid())
        assert tree(child.pid) == (child.pid,)
        child.kill()


# Cause: processes were counted once the port was open, and nginx's may be before its worker is.
def test_a_proxy_is_waited_for_until_its_worker_runs(tmp_path: Path) -> None:
    forks_when_somebody_waits = """
import os, select, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print("port", server.getsockname()[1], flush=True)
    select.select([server], [], [])
    if not os.fork():
        client, _ = server.accept()
        client.sendall(b"HTTP/1.1 404 Not Found\\r\\n\\r\\n")
    input()
"""
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [sys.executable, "-c", forks_when_somebody_waits]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
    with process:
        port = int(until_it_says(process, tmp_path, b"port")[0].split()[1])
        until_it_answers(process, port, tmp_path)
        assert len(tree(process.pid)) == 2
        process.communicate(b"\n\n")


@pytest.mark.parametrize(
    ("data", "is_whole"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nabc", False),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nabcd", True),
        (b"HTTP/1.1 202 Accepted\r\n\r\n", True),
    ],
)
def test_an_answer_is_read_to_its_end(data: bytes, is_whole: bool) -> None:
    assert whole(data) is is_whole


def test_figures_of_the_middle_and_the_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert latency([float(number) for number in range(100)]) == Latency(49.5, 99.0)
    assert flatness([85.0, 100.0, 115.0]) == pytest.approx(0.15)


def test_another_tree_is_named() -> None:
    name, command = another("old=env PYTHONPATH=/tree python -m shim")
    assert name == "old"
    assert command.words == ("env", "PYTHONPATH=/tree", "python", "-m", "shim")
    for wrong in ("python -m shim", "=python", "old=", "not a name=python"):
        with pytest.raises(ValueError, match="NAME=COMMAND"):
            another(wrong)


def test_the_origin_answers_as_restate_does(tmp_path: Path) -> None:
    everywhere = frozenset(os.sched_getaffinity(0))
    with (
        origin(tmp_path, Cores(everywhere, everywhere)) as port,
        socket.create_connection(("127.0.0.1", port), 5) as asking,
    ):

        def ask(line: bytes, body: bytes = b"", more: bytes = b"") -> tuple[bytes, bytes]:
            asking.sendall(line + b" HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
            asking.sendall(body)
            data = b""
            while not (head := data.partition(b"\r\n\r\n"))[1] or not _is_all(*head[::2]):
                data += asking.recv(1 << 20)
            return head[0], head[2]

        for line, status, answer in (
            (b"GET /services/large", b"200 OK", LARGE),
            (b"PATCH /invocations/inv_1/kill", b"200 OK", b""),
            (b"DELETE /invocations/inv_1?mode=kill", b"202 Accepted", b""),
        ):
            head, body = ask(line)
            assert head.startswith(b"HTTP/1.1 " + status)
            assert body == answer
            names = [field.partition(b":")[0] for field in head.split(b"\r\n")[1:]]
            assert b"date" in names
            assert b"connection" not in names
            assert names == [name.lower() for name in names]
        head, body = ask(b"POST /query", b"12345", b"content-length: 5\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == b"%x\r\n%b\r\n0\r\n\r\n" % (len(ROWS), ROWS)
        assert ask(b"GET /count")[1] == b"4"
        assert len(LARGE) == 64 * 1024


def _is_all(head: bytes, body: bytes) -> bool:
    _, length, after = head.partition(b"content-length: ")
    if length:
        return len(body) == int(after.partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n")


def test_a_program_that_ends_early_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"hello\n")
    (tmp_path / "err").write_bytes(b"no such option\n")
    with subprocess.Popen(["false"]) as process:
        process.wait()
        with pytest.raises(Failed, match="no such option"):
            until_it_says(process, tmp_path, b"listening")


def _results() -> Results:
    proxies = {"shim": 40.0, "haproxy": 10.0, "envoy": 20.0, "a<b": 99.0}
    found = Results(
        when="2026-11-25T12:00:00+00:00",
        quick=True,
        rounds=3,
        seconds=1,
        stream_mib=16,
        machine={"processor": "A & B", "cores": "2", "memory": "8 GiB", "system": "Linux"},
        cores="every proxy on core 1",
        versions={**dict.fromkeys(proxies, "1.0"), "wrk": "4.1"},
        missing={"caddy": "Debian package caddy"},
        why=dict.fromkeys(proxies, "fair"),
        memory={"shim": Resident(70, 80, 90)},
        recorded={"shim": Recorded(5, 4)},
        one_after_another={"DELETE direct": Latency(0.1, 0.2), "DELETE shim": Latency(0.3, 0.9)},
        shim={"shim: start until listening, ms": Spread(500, 400, 600)},
    )
    for one in CALLS + CLIENTS:
        samples = {
            name: [Sample(1000.0, cost + n, 0.9, 1.0, 2.0) for n in range(3)]
            for name, cost in proxies.items()
        }
        samples["direct"] = [Sample(rate=5000.0, p50_ms=0.1, p99_ms=0.2)]
        found.scenarios.append(Measured(one.name, one.title, "calls", one.clients, samples))
    for one in HTTP2:
        samples = {"shim": [Sample(1000.0, 140.0, 0.9, 1.0, 2.0)]}
        found.scenarios.append(Measured(one.name, one.title, "h2", one.clients, samples))
    for stream in STREAMS:
        samples = {name: [Sample(1000.0, cost, 0.9)] for name, cost in proxies.items()}
        found.scenarios.append(Measured(stream.name, stream.title, "stream", 1, samples))
    return found


def test_json_has_every_sample_and_what_it_comes_to() -> None:
    written = json.loads(json.dumps(_results().as_json()))
    get = next(one for one in written["scenarios"] if one["name"] == "get")
    assert [sample["cpu"] for sample in get["samples"]["shim"]] == [40, 41, 42]
    assert get["spread"]["shim"]["cpu"] == {"median": 41, "least": 40, "most": 42}
    assert get["ratio"]["haproxy"]["shim"] == pytest.approx(41 / 11)
    assert get["ratio"]["envoy"]["envoy"] == 1
    assert "cpu" not in get["spread"]["direct"]
    assert written["missing"] == {"caddy": "Debian package caddy"}


def test_a_figure_that_did_not_come_out_is_missed() -> None:
    results = _results()
    assert results.holes(results.why) == []
    results.scenarios[0].samples["envoy"] = [Sample(1000.0, 0.0, 0.0)]
    del results.scenarios[1].samples["shim"]
    assert results.holes(results.why) == ["envoy get", "shim post"]


def test_markdown_tells_what_matters() -> None:
    text = markdown(_results())
    assert "A quick run" in text
    assert "**caddy is missing** (Debian package caddy)" in text
    assert "| shim | 41.0 (40.0 – 42.0) | 3.73 | 1.95 | 1,000 | 1.00 | 2.00 | 90 % |" in text
    assert "**Not every old call is on record.** Of 5 old calls answered by shim, 4" in text
    assert "| DELETE shim | 0.300 | 0.900 | 0.200 |" in text
    assert "## Small GET over HTTP/2, 8 streams on each connection (32 clients)" in text
    assert "| shim | 41.0 | 41.0 | 41.0 | 41.0 | 41.0 | ± 0 % (flat) | ± 0 % (flat) |" in text
    for _, table in _tables(text):
        assert len({line.count("|") for line in table}) == 1


def _tables(text: str) -> list[tuple[str, list[str]]]:
    parts = (part.partition("\n") for part in text.split("\n## ")[1:])
    lines = ((title, rest.splitlines()) for title, _, rest in parts)
    found = ((title, [one for one in rest if one.startswith("|")]) for title, rest in lines)
    return [(title, table) for title, table in found if table]


def test_the_chart_is_an_image_with_a_bar_for_each() -> None:
    results = _results()
    image = ET.fromstring(chart(results))
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert image.tag == "{http://www.w3.org/2000/svg}svg"
    bars = [bar for bar in image.findall("svg:rect", space) if "bar" in bar.attrib["class"]]
    assert len(bars) == len(CHARTED) * len(results.why)
    width = float(image.attrib["width"])
    assert all(float(bar.attrib["x"]) + float(bar.attrib["width"]) < width for bar in bars)
    described = image.findtext("svg:desc", "", space)
    assert "Small GET: shim 41, haproxy 11, envoy 21, a<b 100." in described


def test_a_chart_of_nothing_is_an_image_too() -> None:
    results = _results()
    results.scenarios.clear()
    ET.fromstring(chart(results))
