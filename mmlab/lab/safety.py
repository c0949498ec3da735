"""What must be so before a live order may leave. Pure: config and words in, a complaint or nothing out."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from mmlab.config import Config
from mmlab.errors import SafetyError


def require_armed(config: Config, *, dry_run: bool = False) -> None:
    """Refuse to trade live unless the config says so in full, and has its last lines of defence on.

    Parameters
    ----------
    config : Config
    dry_run : bool
        Nothing will be sent: arming and loss limits are not asked for.

    Raises
    ------
    SafetyError
        All that is missing, at once.
    """
    venue, kill = config.venue, config.kill
    missing = [
        venue.name != "lighter" and '[venue] name = "lighter"',
        not venue.market and '[venue] market = "..." (a symbol, or the venue\'s market id)',
        venue.account_index is None and "[venue] account_index = ...",
    ]
    if not dry_run:
        missing += [
            venue.mode != "live" and '[venue] mode = "live"',
            not venue.armed and "[venue] armed = true",
            kill.mode != "act" and '[kill] mode = "act"',
            not kill.loss.enabled and "[kill.loss] enabled = true",
            kill.loss.max_loss_quote is None and "[kill.loss] max_loss_quote = ... (quote currency)",
            not kill.drawdown.enabled and "[kill.drawdown] enabled = true",
        ]
    if lines := [line for line in missing if line]:
        raise SafetyError(
            "not armed: nothing live is sent without these lines in the config: " + "; ".join(lines)
            + ". Try `--dry-run` first, which sends nothing"
        )  # fmt: skip


def require_loopback(url: str, *, allow_remote: bool) -> None:
    """Refuse a paper server elsewhere, unless that is meant.

    Raises
    ------
    SafetyError
        The URL is off loopback, or is none.
    """
    host = urlsplit(url).hostname or ""
    try:
        near = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        near = False
    if not host:
        raise SafetyError(f"--paper {url}: give the server's URL, for example http://127.0.0.1:8800")
    if not near and not allow_remote:
        raise SafetyError(f"--paper {url}: not on this machine; if that is meant, add --allow-remote-paper")
