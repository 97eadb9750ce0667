"""How numbers are said to a person: in reports and in notebooks, and on the dashboard's pages."""

from __future__ import annotations


def number(value: float) -> str:
    """Three significant digits: 0.0123, 4.57, 12,300, 1.23e-5."""
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    if 1 <= abs(value) < 1e6:
        return f"{float(text):,.0f}"
    digits, exponent = text.split("e")
    return f"{digits}e{int(exponent)}"


def chance(probability: float) -> str:
    """At most three decimals, but never 0 or 1 of what is only near."""
    if 0 < probability < 0.0005:
        return "<0.001"
    if 0.9995 <= probability < 1:
        return ">0.999"
    return number(round(probability, 3))


def percent(share: float) -> str:
    """Whole percents, but never 0 or 100 of what is only near."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")
