"""One origin and one shim with default settings for all; more of either on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.certificates import Certificates
from tests.support.client import Client
from tests.support.expected import SILENCE
from tests.support.origin import Origin
from tests.support.running import Shim


@pytest.fixture(scope="session")
def shared_origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="session")
def shim(shared_origin: Origin) -> Iterator[Shim]:
    """A shim with default settings before the shared origin."""
    shim = Shim(upstream=shared_origin.url)
    yield shim
    shim.stop()


@pytest.fixture
def origin(shared_origin: Origin, shim: Shim) -> Iterator[Origin]:
    """The shared origin as if it were new: default script, nothing heard, nothing connected."""
    shared_origin.forget()
    yield shared_origin
    errors = list(shared_origin.errors)
    shared_origin.forget()
    assert not errors, f"the shim sent the origin what HTTP forbids: {errors}"
    assert shim.process.poll() is None, f"the shim died: {shim.stderr.decode()}"


@pytest.fixture
def client(shim: Shim, origin: Origin) -> Iterator[Client]:
    """A connection to the shared shim."""
    with Client(shim.proxy) as client:
        yield client


@pytest.fixture
def start() -> Iterator[Callable[..., Shim]]:
    """Start shims with settings of their own: `start("--phase", "observe", upstream=url)`."""
    running: list[Shim] = []

    def starts(*arguments: str, **more: object) -> Shim:
        running.append(Shim(*arguments, **more))  # type: ignore[arg-type]  # same keywords
        return running[-1]

    yield starts
    for shim in running:
        shim.stop()


@pytest.fixture
def own_origin() -> Iterator[Origin]:
    """An origin for tests that start their own shim."""
    origin = Origin()
    yield origin
    errors = list(origin.errors)
    origin.close()
    assert not errors, f"the shim sent the origin what HTTP forbids: {errors}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def impatient_origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="session")
def impatient(impatient_origin: Origin) -> Iterator[Shim]:
    """A shim that waits for upstream no longer than `SILENCE`."""
    shim = Shim("--upstream-timeout", f"{SILENCE * 1000:.0f}ms", upstream=impatient_origin.url)
    yield shim
    shim.stop()


@pytest.fixture
def silent_origin(impatient_origin: Origin, impatient: Shim) -> Iterator[Origin]:
    impatient_origin.forget()
    yield impatient_origin
    impatient_origin.forget()
    assert impatient.process.poll() is None, impatient.stderr.decode()
