"""Named preparations of public logs: their raw format, and the options of published experiments.

docs/DATA.md names the source of each format and the published counts.
"""

from __future__ import annotations

from typing import Any

YOOCHOOSE_COLUMNS = ("SessionId", "Time", "ItemId", "Category")

RECIPES: dict[str, dict[str, Any]] = {
    "yoochoose": {
        "item_key": "ItemId",
        "session_key": "SessionId",
        "time_key": "Time",
        "columns": YOOCHOOSE_COLUMNS,
        "sep": ",",
        "min_session_length": 2,
        "min_item_support": 5,
        "test_days": 1,
        "valid_days": 1,
    },
    "rees46": {
        "item_key": "product_id",
        "session_key": "user_session",
        "time_key": "event_time",
        "where": {"event_type": ("view",)},
        "remove_repeats": True,
        "min_session_length": 2,
        "min_item_support": 5,
        "test_days": 1,
        "valid_days": 1,
    },
    "retailrocket": {
        "item_key": "itemid",
        "session_key": "visitorid",
        "time_key": "timestamp",
        "time_unit": "ms",
        "where": {"event": ("view",)},
        "session_gap": 1800.0,
        "remove_repeats": True,
        "min_session_length": 2,
        "min_item_support": 5,
        "test_days": 7,
        "valid_days": 7,
    },
    "yambda": {
        "item_key": "item_id",
        "session_key": "uid",
        "time_key": "timestamp",
        "session_gap": 1800.0,
        "remove_repeats": True,
        "min_session_length": 2,
        "min_item_support": 5,
        "test_days": 1,
        "valid_days": 1,
    },
}
"""Name -> arguments of `prepare`, which the caller's own override."""
RECIPES["rsc15"] = RECIPES["yoochoose"]
