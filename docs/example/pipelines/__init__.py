"""Takes the place of ``include/pipelines`` while ``docs/dags.py`` runs."""
