#!/bin/sh
# Ask before an upgrade: `sh deploy/gate/ask.sh && helm upgrade …`. It starts the Job, waits for its
# end, shows what it said, and ends with 0 on "safe" alone; with ACCEPT on other verdicts too, such as
# that only those who are acknowledged use the old route (see job/job.yaml).
#   KUBECTL="kubectl --context production" ACCEPT="0 5" sh deploy/gate/ask.sh
set -eu
kubectl="${KUBECTL:-kubectl} --namespace ${NAMESPACE:-restate}"
$kubectl delete job restate-shim-gate --ignore-not-found
# What is accepted stands in the line below its name; without ACCEPT it stays as it is.
sed "/name: ACCEPT/{n;s/\"\(.*\)\"/\"${ACCEPT:-\1}\"/;}" "$(dirname "$0")/job/job.yaml" \
    | $kubectl create --filename -
# The Job has a limit of five minutes itself; this one, in seconds, is for where nobody heeds that.
deadline=$(($(date +%s) + ${PATIENCE:-360}))
while :; do
    # By itself, so that the script ends where it fails: a login that has expired, a Job that is gone.
    conditions=$($kubectl get job restate-shim-gate --output 'jsonpath={.status.conditions[*].type}')
    case $conditions in
        *Complete*) verdict=0 && break ;;
        *Failed*) verdict=1 && break ;;
    esac
    if [ "$(date +%s)" -ge "$deadline" ]; then
        echo "the Job restate-shim-gate does not end" >&2
        exit 1
    fi
    sleep 1
done
$kubectl logs job/restate-shim-gate
exit $verdict
