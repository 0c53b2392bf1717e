"""Checks of retrieval."""

from __future__ import annotations

from strataline.examine.check import Check

CHECKS: tuple[Check, ...] = ()
