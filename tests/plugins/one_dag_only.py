"""An auth manager whose users may read one DAG only."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class OneDagOnly(SimpleAuthManager):
    """Everyone may read ``flights_train``."""

    def is_authorized_dag(self, *, details: Any = None, **rest: Any) -> bool:
        return (
            details is not None and details.id == "flights_train" and super().is_authorized_dag(details=details, **rest)
        )
