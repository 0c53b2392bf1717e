"""What traces have in common: from when to when an event lasted, and which links lead from one event to another."""

from __future__ import annotations

from strataline.export.sql import epoch_ns

_CORRECTED = epoch_ns("corrected_time")
_LASTED = f"greatest(coalesce({epoch_ns('end_time')} - {epoch_ns('event_time')}, 0), 0)"
# A record that was logged at its end began before; one with an end of its own says when it ended.
_BACK = "CASE WHEN end_time IS NULL AND time_kind = 'end' THEN greatest(coalesce(duration_ns, 0), 0) ELSE 0 END"
_ON = f"CASE WHEN end_time IS NULL AND time_kind <> 'end' THEN greatest(coalesce(duration_ns, 0), 0) ELSE {_LASTED} END"

START = f"({_CORRECTED} - {_BACK})"
"""When an event began, in SQL: ns since the epoch by corrected time; null where it has no time."""
END = f"({_CORRECTED} + {_ON})"
"""When it ended; where no record says how long it took, when it began."""

LINKED = """
    SELECT DISTINCT relation, method, confidence, from_event, to_event FROM links
    WHERE taken AND relation <> 'member' AND to_event IS NOT NULL AND from_event <> to_event
"""
"""The taken relations between events, in SQL."""
