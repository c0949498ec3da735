"""`Session`: trade a market with the engine, in a process of its own or in this one, and steer it meanwhile."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import pandas as pd

from mmlab.config import Config
from mmlab.engine.engine import Engine
from mmlab.errors import ConfigError, SessionError
from mmlab.feeds.feed import Feed
from mmlab.feeds.store import load_feed
from mmlab.lab.backtesting import Queue, load_run, rerun
from mmlab.lab.client import Client
from mmlab.lab.demo import sample_feed
from mmlab.lab.heartbeat import Heartbeat
from mmlab.lab.launch import Launched
from mmlab.lab.live import live_of
from mmlab.lab.local import Local
from mmlab.lab.order_table import order_table
from mmlab.lab.plan import Plan
from mmlab.lab.quoters import Quoter
from mmlab.lab.run import Run
from mmlab.lab.run import load_run as read_run
from mmlab.lab.session_html import session_html
from mmlab.lab.shadows import read_shadows
from mmlab.lab.trade import Progress, Trade
from mmlab.telemetry.info import RunInfo, folder_name
from mmlab.venues.paper import FaultPlan
from mmlab.venues.virtual import run_virtual

OVER_S = 60.0
"""How long after its engine has gone a run directory may take to be put in order."""


class Session:
    """One market maker on one market.

    Parameters
    ----------
    config : Config, optional
        Default ``Config()``, which works on any feed.
    venue : {"paper", "lighter"}
        Where to trade: a simulated exchange on a recorded or synthetic market, or Lighter (``docs/lighter.md``).
    feed : Feed or path, optional
        The market; "synthetic" or none: the synthetic sample. On Lighter: a recording to warm up on, instead of
        listening to the market for ``strategy.warmup_s`` first.
    speed : float
        1: as it was recorded; 10: ten times as fast; ``math.inf``: as fast as this machine can, always the same way.
    name : str
        Short name of the run.
    out : path, optional
        Run directory to make; default ``runs/<UTC start>-<name>``.
    loop : bool
        Repeat the feed until stopped.
    faults : FaultPlan, optional
        What goes wrong at the venue and on the way (`mmlab.venues.paper.FaultPlan`). Default: 5 ms each way, no faults.
    seed : int
        Of everything the session itself draws.
    strategy : Quoter, optional
        A quoting function of your own (`mmlab.quoter`); for `start` from an importable module.
    queue : {"risk_averse", "power", "log", "l3"}
        Queue position model.
    paper : dict or path, optional
        On Lighter: the ready line of a paper server (``mmlab paper-server``), or a file that holds it. Nothing real is
        traded then, and no key of yours is looked for. None: the venue itself, if the config is armed.
    dry_run : bool
        On Lighter: sign and log every order, send none.
    allow_remote_paper : bool
        The paper server may be on another machine.

    Attributes
    ----------
    run_dir : Path or None
        The run directory, once the session was started.

    Examples
    --------
    In a process of its own, steered from here, from the dashboard and from the command line:

    >>> session = mmlab.Session(feed="data/sample.parquet", name="tuning", loop=True)
    >>> session.start()
    >>> session.update({"ladder.offset_ticks": [2, 4, 6, 9]})
    1
    >>> session.stop()
    >>> run = session.wait()

    In this process, as fast as it goes:

    >>> session = mmlab.Session(feed="data/sample.parquet", speed=math.inf, out="runs/paper")
    >>> run = session.run()  # in a notebook cell: `run = await session.run()`

    Raises
    ------
    ConfigError, FeedError
        What is wrong with config, faults or feed.
    SafetyError
        On Lighter: the config is not armed.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        venue: str = "paper",
        feed: Feed | str | Path | None = None,
        speed: float = 1.0,
        name: str = "paper",
        out: str | Path | None = None,
        loop: bool = False,
        faults: FaultPlan | None = None,
        seed: int = 0,
        strategy: Quoter | None = None,
        queue: Queue = "risk_averse",
        paper: dict[str, Any] | str | Path | None = None,
        dry_run: bool = False,
        allow_remote_paper: bool = False,
    ) -> None:
        if venue not in ("paper", "lighter"):
            raise ConfigError(f"venue = {venue!r}: must be 'paper' or 'lighter'")
        config, live = config or Config(), None
        if venue == "lighter":
            live = live_of(config, paper=paper, dry_run=dry_run, remote=allow_remote_paper)
        elif paper is not None or dry_run:
            raise ConfigError('paper and dry_run are of Session(venue="lighter")')
        market = None if live is not None and feed is None else _feed_of(feed)
        self._trade: Trade | None = Trade(
            Plan(market, config, speed, name, loop, faults or FaultPlan(), seed, strategy, queue, live)
        )
        self.name, self.run_dir = name, None if out is None else Path(out)
        self._launched: Launched | None = None
        self._client: Client | None = None
        self._heartbeat: Heartbeat | None = None

    @classmethod
    def attach(cls, run_dir: str | Path) -> Self:
        """A handle on a session that runs already, started by whomever; this process becomes an owner too.

        Parameters
        ----------
        run_dir : path
            The run directory it writes.

        Raises
        ------
        SessionError
            No engine of this user is running for it.
        """
        self = cls.__new__(cls)
        self._trade = self._launched = None
        self._client = Client.of(run_dir)
        self._client.heartbeat()  # at once: the grace may be nearly over
        state = self._client.state()
        self.name, self.run_dir = state["name"], Path(state["run_dir"])
        self._own(lambda: Client.of(run_dir))
        return self

    # --- Driving -----------------------------------------------------------------------------------------------------

    def start(self, duration_s: float | None = None) -> Self:
        """Start the engine in a process of its own, and return at once.

        It goes on whatever this process does. Signs of life go to it from here; when they stop, it does what
        ``owner.on_owner_lost`` says, by default cancels all and ends after ``owner.grace_s``.

        Parameters
        ----------
        duration_s : float, optional
            Of the session's time. Default: to the end of the feed.

        Raises
        ------
        SessionError
            The run directory exists, or the session was started before.
        ConfigError
            ``speed = math.inf``, which only `run` can.
        """
        trade = self._fresh(duration_s)
        if trade.plan.speed == math.inf:
            raise ConfigError("speed = inf: a session in real time needs a finite speed; as fast as possible is run()")
        path = self.run_dir or Path("runs") / folder_name(RunInfo(name=self.name))
        self._launched = Launched(trade.plan, path, duration_s)
        self.run_dir = self._launched.run_dir
        self._own(self._launched.client)
        return self

    def run(self, duration_s: float | None = None, progress: Progress | None = None) -> Any:
        """Trade in this process until the feed ends, or for `duration_s` of the session's time.

        Where an event loop is running, as in a notebook, it returns an awaitable: ``run = await session.run()``.
        Elsewhere it returns when the session is over. Either way orders are cancelled, and proven gone, at the end.

        Parameters
        ----------
        duration_s : float, optional
            Default: to the end of the feed.
        progress : callable, optional
            Takes the share that is done.

        Returns
        -------
        Run, or an awaitable of it

        Raises
        ------
        SessionError
            The run directory cannot be made, or the session was run before.
        """
        work = self._run_here(self._fresh(duration_s), duration_s, progress)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._load(run_virtual(work) if self.fastest else asyncio.run(work))
        return self._run_beside(work)

    def run_sync(self, duration_s: float | None = None, progress: Progress | None = None) -> Run:
        """As `run`, and returns when the session is over even where an event loop is running, as in a notebook.

        The loop is made re-entrant with nest_asyncio2 for it, and goes on serving other tasks meanwhile.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self.run(duration_s, progress)
        import nest_asyncio2

        nest_asyncio2.apply(loop)
        return loop.run_until_complete(self.run(duration_s, progress))

    def _fresh(self, duration_s: float | None) -> Trade:
        if self._trade is None or self._trade.engine is not None or self._launched is not None:
            raise SessionError("this session has been run: make another one")
        if duration_s is not None and not duration_s > 0:
            raise ConfigError(f"duration_s = {duration_s!r}: must be > 0 (s)")
        return self._trade

    @property
    def fastest(self) -> bool:
        """Whether it runs as fast as this machine can, in virtual time."""
        return self._trade is not None and self._trade.plan.speed == math.inf

    async def _run_here(self, trade: Trade, duration_s: float | None, progress: Progress | None) -> Path:
        info = await trade.open()
        path = self.run_dir = self.run_dir or Path("runs") / folder_name(info)
        await trade.run(path, info, duration_s, progress)
        return path

    async def _run_beside(self, work: Any) -> Run:
        return self._load(await (asyncio.to_thread(run_virtual, work) if self.fastest else work))

    def _load(self, path: Path) -> Run:
        assert self._trade is not None  # noqa: S101  an attached session is loaded by load_run
        return read_run(path, partial(rerun, self._trade.plan.setting))

    def wait(self, timeout_s: float | None = None, progress: Progress | None = None) -> Run:
        """Wait until a started session is over, and give its run.

        Parameters
        ----------
        timeout_s : float, optional
            Default: as long as it takes.
        progress : callable, optional
            Takes the share that is done.

        Raises
        ------
        SessionError
            It is not over within `timeout_s`; or what went wrong at its start.
        """
        until_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        handle = self._handle()
        while (going := self._going(handle)) and time.monotonic() < until_s:
            time.sleep(0.1)
            if progress is not None:
                with suppress(SessionError):  # it is over
                    progress(handle.state()["done"])
        if going:
            raise SessionError(f"{self.name}: not over after {timeout_s:g} s; wait again, or stop() it")
        if self._heartbeat is not None:
            self._heartbeat.stop()
        assert self.run_dir is not None  # noqa: S101  it was started
        return self._load(self.run_dir) if self._trade is not None else load_run(self.run_dir)

    def _going(self, handle: Client | Local) -> bool:
        if isinstance(handle, Local):
            return not handle.state()["ended"]
        if self._launched is not None:
            return not self._launched.wait(0.1)
        try:
            handle.state()
        except SessionError:
            return False
        return True

    def until_quoting(self, timeout_s: float = 180.0) -> Self:
        """Wait until it quotes for the first time, or again.

        Raises
        ------
        SessionError
            It does not within `timeout_s`: what it does instead, and why.
        """
        until_s = time.monotonic() + timeout_s
        while (state := self.state())["trading"] != "quoting" or not state["orders"]:
            if state["ended"] or time.monotonic() > until_s:
                why = state["ended"] or state["why"] or "no quote rests"
                raise SessionError(f"{self.name}: not quoting but {state['trading']}: {why}")
            time.sleep(0.05)
        return self

    # --- Looking -----------------------------------------------------------------------------------------------------

    @property
    def began(self) -> bool:
        """Whether it has begun to trade; it may be over."""
        return self._launched is not None or self._client is not None or self._engine is not None

    def state(self) -> dict[str, Any]:
        """What the session does now, as plain values: keys as in ``docs/control_api.md``."""
        return self._handle().state()

    def status(self) -> pd.DataFrame:
        """What the session does now: one row a fact, column ``value``."""
        shown = {name: value for name, value in self.state().items() if not isinstance(value, dict | list)}
        shown["time"] = pd.Timestamp(shown.pop("session_ns"), unit="ns", tz="UTC")
        return pd.DataFrame({"value": pd.Series(shown, dtype=object)}).rename_axis("fact")

    def orders(self) -> pd.DataFrame:
        """Working orders: one row an order, with its state and the map that holds it."""
        return order_table(self.state()["orders"])

    def anomalies(self) -> pd.Series:
        """What the order manager met and settled: late and lost replies, strays, missed fills, doubts, by count."""
        return pd.Series(self.state()["anomalies"], name="count", dtype="int64")

    def fills(self) -> pd.DataFrame:
        """Fills so far, as in `Run.fills`."""
        return self._so_far().fills

    def metrics(self) -> pd.DataFrame:
        """Metrics so far, one row a second, as in `Run.metrics`."""
        return self._so_far().metrics

    def gates(self) -> pd.DataFrame:
        """Triggers of gates and kill switches so far, as in `Run.gates`."""
        return self._so_far().gates

    def params(self, *, history: bool = False) -> pd.DataFrame:
        """Parameters in force, or the history of their changes.

        Returns
        -------
        DataFrame
            Indexed by parameter: ``value, default``. With `history` one row a changed parameter:
            ``version, time, source, parameter, old, new``.
        """
        params = self._handle().params()
        if history:
            rows = [
                (change["version"], pd.Timestamp(change["time"]), change["source"], name, change["old"][name], new)
                for change in params["history"]
                for name, new in change["new"].items()
            ]
            return pd.DataFrame(rows, columns=["version", "time", "source", "parameter", "old", "new"])
        values = {"value": Config(**params["config"]).flat(), "default": Config().flat()}
        return pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in values.items()})

    def panel(self, *, read_only: bool = False) -> Any:
        """The dashboard's views of this session, live, with the tuning form; for a cell.

        A kernel that is busy draws nothing. The served dashboard (``mmlab dashboard``) always does.
        """
        return import_module("mmlab.views.cell").panel_of(self._viewed(), read_only=read_only)

    def widgets(self) -> Any:
        """Tuning and KILL as ipywidgets, for a cell. A kernel that is busy runs none of them: ``mmlab kill`` does."""
        return import_module("mmlab.views.controls").widgets_of(self._viewed())

    def _viewed(self) -> Any:
        handle = self._handle()
        if isinstance(handle, Client):
            return handle
        raise SessionError("views are of a session whose engine has a process of its own: start() it instead of run()")

    def _so_far(self) -> Run:
        self._handle()
        assert self.run_dir is not None  # noqa: S101  it has begun
        return load_run(self.run_dir)

    # --- Steering ----------------------------------------------------------------------------------------------------

    def update(self, changes: dict[str, Any], *, base_version: int | None = None) -> int:
        """Change parameters between two decisions: all of them, or with a `ConfigError` none.

        Parameters
        ----------
        changes : dict
            Dotted name -> value.
        base_version : int, optional
            The version that the changes were made for: with another one in force, nothing is applied.

        Returns
        -------
        int
            The new parameter version.
        """
        return self._handle().update(changes, base_version=base_version, source="session")

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt, until `rearm`."""
        self._handle().kill(reason)

    def rearm(self) -> None:
        """Quote again as soon as the conditions of a re-arm hold."""
        self._handle().rearm()

    def flatten(self) -> Any:
        """Leave the position by reduce-only slices; the lots that are left. Of a session in this process, awaitable."""
        return self._handle().flatten()

    def stop(self, reason: str = "stopped") -> None:
        """End the session; orders are cancelled, the position is kept or left as ``risk.on_stop`` says."""
        self._handle().stop(reason)

    def add_shadow(self, name: str, changes: dict[str, Any]) -> None:
        """Let a parameter set run along on the live market, without sending orders; at most eight.

        Parameters
        ----------
        name : str
        changes : dict
            On top of the parameters in force: dotted name -> value.
        """
        self._handle().add_shadow(name, changes)

    def remove_shadow(self, name: str) -> None:
        """Let a parameter set run along no more."""
        self._handle().remove_shadow(name)

    def shadows(self) -> pd.DataFrame:
        """Figures of the shadow sets beside the session's own, row ``live`` (`mmlab.lab.shadows.read_shadows`)."""
        self._handle()
        assert self.run_dir is not None  # noqa: S101  it has begun
        return read_shadows(self.run_dir)

    @property
    def _engine(self) -> Engine | None:
        return None if self._trade is None else self._trade.engine

    def _handle(self) -> Client | Local:
        """Whom to ask: the engine's process, once it stands, or the engine here."""
        if self._client is None and self._launched is not None:
            self._client = self._launched.client()
        if self._client is not None:
            return self._client
        if self._engine is None or self._trade is None:
            raise SessionError("the session has not begun: start() it, or run() it here")
        return Local(self._trade)

    def _own(self, client: Callable[[], Client]) -> None:
        self._heartbeat = Heartbeat(client)
        self._heartbeat.start()

    def __repr__(self) -> str:
        if self._trade is None:
            return f"Session({self.name!r}, attached to {self.run_dir})"
        plan, engine = self._trade.plan, self._engine
        state = "not started" if engine is None else engine.participation.trading.name.lower()
        if self._launched is not None:
            state = "ended" if self._launched.ended() else f"engine in process {self._launched.pid}"
        if plan.live is not None or plan.feed is None:
            return f"Session({self.name!r}, lighter, {plan.config.venue.market!r}, {state})"
        return f"Session({self.name!r}, paper, {plan.feed.instrument.symbol!r}, speed {plan.speed:g}, {state})"

    def _repr_html_(self) -> str:
        if not self.began:
            return f"<p>{escape(repr(self))}</p>"
        try:
            state = self.state()
        except SessionError as error:
            return f"<p><b>{escape(repr(self))}</b></p><p>{escape(str(error))}</p>"
        return session_html(repr(self), state, order_table(state["orders"]))


def attach(run_dir: str | Path) -> Session:
    """A handle on a running session (`Session.attach`)."""
    return Session.attach(run_dir)


def _feed_of(feed: Feed | str | Path | None) -> Feed:
    if isinstance(feed, Feed):
        return feed
    return sample_feed() if feed is None or feed == "synthetic" else load_feed(feed)
