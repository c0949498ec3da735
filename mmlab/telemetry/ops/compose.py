"""What is needed to have Prometheus, Alertmanager and Grafana by docker compose, for those who use it."""

from __future__ import annotations

from typing import Any

IMAGES = {
    "prometheus": "prom/prometheus:v2.55.1",
    "alertmanager": "prom/alertmanager:v0.27.0",
    "grafana": "grafana/grafana:11.3.0",
}


def compose() -> dict[str, Any]:
    """``docker-compose.yml``. On the host's network, since engines listen on loopback only."""
    return {
        "services": {
            "prometheus": {
                "image": IMAGES["prometheus"],
                "network_mode": "host",
                "user": "${UID:-1000}",
                "command": [
                    "--config.file=/etc/prometheus/prometheus.yml",
                    "--web.listen-address=127.0.0.1:9090",
                    "--storage.tsdb.path=/prometheus",
                ],
                "volumes": [
                    "./prometheus.yml:/etc/prometheus/prometheus.yml:ro",
                    "./rules:/etc/prometheus/rules:ro",
                    "${MMLAB_TARGETS:?folder of telemetry.targets_dir}:/etc/prometheus/targets:ro",
                    "prometheus:/prometheus",
                ],
            },
            "alertmanager": {
                "image": IMAGES["alertmanager"],
                "network_mode": "host",
                "command": [
                    "--config.file=/etc/alertmanager/alertmanager.yml",
                    "--web.listen-address=127.0.0.1:9093",
                    "--cluster.listen-address=",
                ],
                "volumes": ["./alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro"],
            },
            "grafana": {
                "image": IMAGES["grafana"],
                "network_mode": "host",
                "environment": {"GF_SERVER_HTTP_ADDR": "127.0.0.1", "GF_AUTH_ANONYMOUS_ENABLED": "true"},
                "volumes": [
                    "./grafana/provisioning:/etc/grafana/provisioning:ro",
                    "./grafana/dashboards:/var/lib/grafana/dashboards:ro",
                ],
            },
        },
        "volumes": {"prometheus": {}},
    }


def grafana_source() -> dict[str, Any]:
    """``grafana/provisioning/datasources/mmlab.yml``."""
    source = {
        "name": "Prometheus", "type": "prometheus", "uid": "prometheus", "access": "proxy",
        "url": "http://127.0.0.1:9090", "isDefault": True,
    }  # fmt: skip
    return {"apiVersion": 1, "datasources": [source]}


def grafana_provider() -> dict[str, Any]:
    """``grafana/provisioning/dashboards/mmlab.yml``."""
    provider = {
        "name": "mmlab", "folder": "mmlab", "type": "file", "options": {"path": "/var/lib/grafana/dashboards"},
    }  # fmt: skip
    return {"apiVersion": 1, "providers": [provider]}
