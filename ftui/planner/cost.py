"""What a run costs besides time: energy, and money where a price per hour is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftui.planner.document import TimeEstimate

DRAW = 0.85
DRAW_LOW, DRAW_HIGH = 0.55, 1.0
"""Share of its power limit that a card draws while it trains: large products draw all of it, launching kernels and
waiting about half.  A rule of ftui's; the monitor shows what is drawn."""


def cost(
    seconds: tuple[float, float, float], *, watts: float | None, devices: int = 1, price: float | None = None
) -> dict[str, Any]:
    """The fields of `TimeEstimate` on energy (Wh, all devices, the host left out) and money.

    `seconds` are the expected duration and the ends of its interval, `watts` one device's power limit, `price` what an
    hour of the whole machine costs, in whatever currency.
    """
    found: dict[str, Any] = {}
    hours = tuple(each / 3600 for each in seconds)
    if watts is not None:
        found |= {
            "energy_wh": hours[0] * watts * devices * DRAW, "energy_low_wh": hours[1] * watts * devices * DRAW_LOW,
            "energy_high_wh": hours[2] * watts * devices * DRAW_HIGH,
        }
    if price is not None:
        found |= {
            "cost": hours[0] * price, "cost_low": hours[1] * price, "cost_high": hours[2] * price,
            "price_per_hour": price,
        }
    return found


def said(time: TimeEstimate) -> str:
    """What a run costs besides time, for reading; empty where nothing is known of it."""
    parts = []
    if time.cost is not None and time.price_per_hour is not None:
        between = f"{money(time.cost_low or 0.0)} to {money(time.cost_high or 0.0)}"
        parts.append(f"≈ {money(time.cost)} at {money(time.price_per_hour)}/h ({between})")
    if time.energy_wh is not None:
        parts.append(f"≈ {energy(time.energy_wh)} of the card's power")
    return "; ".join(parts)


def money(amount: float) -> str:
    """An amount for reading: "3.10", "0.004", "1,250"."""
    if amount >= 1000:
        return f"{amount:,.0f}"
    return f"{amount:.2f}" if amount >= 0.1 else f"{amount:.2g}"


def energy(watt_hours: float) -> str:
    """Energy for reading: "850 Wh", "1.2 kWh"."""
    return f"{watt_hours / 1000:.3g} kWh" if watt_hours >= 1000 else f"{watt_hours:.3g} Wh"
