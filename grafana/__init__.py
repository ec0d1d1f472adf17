"""Dashboards as code: `python -m grafana.build` writes `dashboards/*.json`, which Grafana loads at start."""
