"""deploy/kubernetes: what Kubernetes takes, and that it agrees with the service."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fluxiq.tests.engines import PROJECT
from fluxiq.tests.image import USER
from fluxiq.tests.served import SECRET_NAMES

pytestmark = pytest.mark.once

DEPLOY = PROJECT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# The oldest version of Kubernetes that has all that is used, and the newest there is.
VERSIONS = ("1.34", "newest")
# Not of Kubernetes itself: their schemas are with those who make them.
OTHERS = {"ExternalSecret", "Kustomization"}

GUNICORN = PROJECT / "gunicorn.conf.py"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def manifests(*kinds: str) -> list[dict[str, Any]]:
    found = [document for path in MANIFESTS for document in documents(path)]
    return [document for document in found if not kinds or document["kind"] in kinds]


def one(kind: str) -> dict[str, Any]:
    (found,) = manifests(kind)
    return found


def pods() -> list[dict[str, Any]]:
    """The pod templates of what runs pods."""
    found = [manifest["spec"] for manifest in manifests("Deployment", "Job", "CronJob")]
    templates = [spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec for spec in found]
    return [template["template"] for template in templates]


class TestKubernetes:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_each_manifest_is_what_kubernetes_takes(self, version: str) -> None:
        import kubernetes_validate  # noqa: PLC0415 - see `fluxiq.tests.openapi`

        if version == "newest":
            version = kubernetes_validate.latest_version()
        checked = [document for document in manifests() if document["kind"] not in OTHERS]
        assert len(checked) == 12
        for document in checked:
            kubernetes_validate.validate(document, version, strict=True)

    def test_the_kustomization_takes_every_file_but_the_migration(self) -> None:
        named = set(one("Kustomization")["resources"])
        assert named == {path.name for path in MANIFESTS} - {"kustomization.yaml", "migration.yaml"}

    def test_every_pod_is_restricted(self) -> None:
        assert len(pods()) == 3
        for template in pods():
            spec = template["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert spec["serviceAccountName"] == one("ServiceAccount")["metadata"]["name"]
            assert spec["securityContext"] == {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            (container,) = spec["containers"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]

    def test_a_pod_writes_only_where_the_image_does(self) -> None:
        for template in pods():
            (container,) = template["spec"]["containers"]
            mounts = container["volumeMounts"]
            written = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
            assert written == {"/tmp", "/dev/shm"}  # noqa: S108 - those of the pod
            volumes = {volume["name"] for volume in template["spec"]["volumes"]}
            assert volumes == {mount["name"] for mount in mounts}

    def test_every_secret_is_a_file_of_a_secret_that_is_kept_outside(self) -> None:
        kept = {
            secret["metadata"]["name"]: {item["secretKey"] for item in secret["spec"]["data"]}
            for secret in manifests("ExternalSecret")
        }
        assert kept == {"fluxiq-auth": set(SECRET_NAMES), "fluxiq-auth-owner": {"DATABASE_URL"}}
        for template in pods():
            spec = template["spec"]
            (container,) = spec["containers"]
            secrets = {
                v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v
            }
            files = {
                f"{mount['mountPath']}/{key}"
                for mount in container["volumeMounts"]
                if mount["name"] in secrets
                for key in kept[secrets[mount["name"]]]
            }
            environment = {item["name"]: item["value"] for item in container["env"]}
            assert set(environment) == {f"{name}_FILE" for name in SECRET_NAMES}
            assert set(environment.values()) <= files
        assert not set(one("ConfigMap")["data"]) & set(SECRET_NAMES)

    def test_all_run_one_image_as_one_version(self) -> None:
        images = {template["spec"]["containers"][0]["image"] for template in pods()}
        assert len(images) == 1
        assert not images.pop().endswith(":latest")

    def test_what_selects_pods_finds_those_of_the_service(self) -> None:
        labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
        assert one("Deployment")["spec"]["selector"]["matchLabels"] == labels
        assert one("Service")["spec"]["selector"] == labels
        assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
        target = one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", "fluxiq-auth")
        policies = {p["metadata"]["name"]: p["spec"] for p in manifests("NetworkPolicy")}
        assert policies["default-deny"] == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }
        assert policies["fluxiq-auth-ingress"]["podSelector"]["matchLabels"] == labels
        for template in pods():
            chosen = policies["fluxiq-auth-egress"]["podSelector"]["matchLabels"].items()
            assert chosen <= template["metadata"]["labels"].items()

    def test_no_pod_leaves_before_it_is_out_of_the_routes_and_has_answered(self) -> None:
        spec = one("Deployment")["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        paths = {
            probe: container[probe]["httpGet"]["path"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert paths == {
            "startupProbe": "/healthz",
            "livenessProbe": "/healthz",
            "readinessProbe": "/readyz",
        }
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        graceful = re.search(r"^graceful_timeout = (\d+)", GUNICORN.read_text(), re.MULTILINE)
        assert graceful
        spare = pod["terminationGracePeriodSeconds"] - pause - int(graceful[1])
        assert spare >= 20
