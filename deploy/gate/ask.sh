#!/bin/sh
# Ask before an upgrade: `sh deploy/gate/ask.sh && helm upgrade …`. It starts the Job, waits for its
# end, shows what it said, and ends with 0 on "safe" alone.
#   KUBECTL="kubectl --context production" sh deploy/gate/ask.sh
set -eu
kubectl="${KUBECTL:-kubectl} --namespace ${NAMESPACE:-restate}"
$kubectl delete job restate-shim-gate --ignore-not-found
$kubectl create --filename "$(dirname "$0")/job/job.yaml"
# The Job has a limit of five minutes itself.
while :; do
    case $($kubectl get job restate-shim-gate --output 'jsonpath={.status.conditions[*].type}') in
        *Complete*) verdict=0 && break ;;
        *Failed*) verdict=1 && break ;;
    esac
    sleep 1
done
$kubectl logs job/restate-shim-gate
exit $verdict
